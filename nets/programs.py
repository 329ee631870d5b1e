"""What a traced program computes: its activations and products, by the parameters that feed them, and its values there.

A program is the jaxpr of a function `f(params, *inputs)`. `find` walks it and lists its *sites*: every activation, and
every product with weights that no activation follows. `evaluate` runs it again and hands out what went into each site
and what came out, with a shift added to what went in. A place in a program is a tuple: the number of an equation, then
its number in the program within that equation, and so on; of a `cond` the number of the branch stands between.
"""

import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from nets import axes
from nets.axes import BATCH, Axes
from nets.curves import Match, match
from nets.values import (
    Loop,
    Place,
    Product,
    Value,
    as_root,
    constant_of,
    curves_of,
    either,
    of_parameters,
    settled,
)

# Functions that are one activation, by the name under which JAX traces them, whatever they are made of. Most are told
# by their values as well, but not where half precision rounds those, nor softmax, which is no function of one number.
NAMED = {
    "identity": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "relu6": "relu6",
    "elu": "elu",
    "selu": "selu",
    "celu": "celu",
    "gelu": "gelu",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
    "softplus": "softplus",
    "soft_sign": "softsign",
    "softsign": "softsign",
    "leaky_relu": "leaky_relu",
    "hard_tanh": "hard_tanh",
    "hard_sigmoid": "hard_sigmoid",
    "hard_silu": "hard_silu",
    "hard_swish": "hard_silu",
    "softmax": "softmax",
    "_softmax": "softmax",
}
# Functions made of what looks like activations, which belong to costs and to statistics.
NO_ACTIVATION = (
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "logmeanexp",
    "standardize",
    "sparse_sigmoid",
    "sparse_plus",
)
PRODUCTS = ("dot_general", "conv_general_dilated")
RESHAPING = ("broadcast_in_dim", "convert_element_type", "reshape", "squeeze", "transpose")
REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin")


class Site(NamedTuple):
    """A place where a layer's weighted input is at hand: before an activation, or behind a product without one."""

    place: Place  # Of the equation that gives the activation, or the product.
    variable: Any  # The weighted input, in the program that the equation stands in; None where it is the product.
    readers: frozenset[int]  # The equations of the activation that read it.
    activation: str | None
    parameter: float | None  # What else the activation depends on: the slope of leaky_relu, the alpha of elu.
    product: Product | None
    loops: tuple[Loop, ...]  # From outside.
    shape: tuple[int, ...]
    dtype: Any
    axes: Axes
    line: str  # Of the user's source.

    @property
    def sliced(self) -> tuple[bool, ...]:
        """Of each loop around, whether its steps have weights of their own, and so are layers of their own."""
        of_weights = self.product.loops if self.product else ()
        return tuple(loop in of_weights for loop in self.loops)


class UnfollowedError(ValueError):
    """A program that cannot be followed, in one line with the place in the user's source."""


# ---------------------------------------------------------------------------------------------------------------------
# Looking into equations.


def inner_program(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation runs once, as it stands, where it is such a call."""
    if equation.primitive.name in ("scan", "while", "cond", *_OPAQUE):
        return None
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        inner = equation.params.get(name)
        if isinstance(inner, ClosedJaxpr):
            return inner
        if isinstance(inner, Jaxpr):
            return ClosedJaxpr(inner, ())
    return None


# Kernels and programs on several devices, into whose middle nothing can be added.
_OPAQUE = ("pallas_call", "shard_map", "custom_root", "custom_linear_solve", "custom_partitioning")


def name_of(equation: Any) -> str:
    """The name of the function that an equation calls, empty where it calls none."""
    name = equation.params.get("name")
    if name is None and (inner := equation.params.get("call_jaxpr")) is not None:
        name = getattr(getattr(inner, "jaxpr", inner).debug_info, "func_name", "")
    return str(name or "")


def line_of(equation: Any) -> str:
    """`file.py:12`, the innermost place in the user's source from which an equation comes."""
    traceback = equation.source_info.traceback
    frames = list(traceback.frames) if traceback is not None else []
    for frame in frames:
        in_library = frame.file_name.startswith(_PYTHON) and "site-packages" not in frame.file_name
        if not in_library and not any(f"/{library}/" in frame.file_name for library in _LIBRARIES):
            return f"{frame.file_name}:{frame.line_num}"
    return f"{frames[0].file_name}:{frames[0].line_num}" if frames else "an unknown place"


_PYTHON = sysconfig.get_paths()["stdlib"]
_LIBRARIES = ("jax", "jaxlib", "flax", "equinox", "haiku", "optax")


def _programs(parameter: object) -> Iterable[Jaxpr]:
    """The programs in a parameter of an equation."""
    if isinstance(parameter, ClosedJaxpr):
        yield parameter.jaxpr
    elif isinstance(parameter, Jaxpr):
        yield parameter
    elif isinstance(parameter, list | tuple):
        for part in parameter:
            yield from _programs(part)


def equations_within(program: Jaxpr) -> Iterable[Any]:
    """All equations of a program and of those within it."""
    for equation in program.eqns:
        yield equation
        for parameter in equation.params.values():
            for inner in _programs(parameter):
                yield from equations_within(inner)


# ---------------------------------------------------------------------------------------------------------------------
# Finding.


def find(program: ClosedJaxpr, leaves: Sequence[str | None]) -> list[Site]:
    """The sites of a program in the order in which it comes to them; `leaves` has a parameter's path for every argument
    that is one, and None for every input.

    UnfollowedError for an activation in a while loop, or in a kernel that runs apart.
    """
    finder = _Finder()
    known = [_argument(variable.aval, leaf) for variable, leaf in zip(program.jaxpr.invars, leaves, strict=True)]
    finder.walk(program, known, (), ())
    activated = {site.product.place for site in finder.activations if site.product}
    linear = [site for site in finder.products if site.product and site.product.place not in activated]
    return sorted(finder.activations + linear, key=lambda site: site.place)


def _argument(aval: Any, leaf: str | None) -> Value:
    rank = getattr(aval, "ndim", 0)
    if not (jnp.issubdtype(aval.dtype, jnp.number) or aval.dtype == jnp.bool_):
        return Value((None,) * rank)  # Random numbers are no inputs: nothing is done to them but by them.
    if leaf is not None:
        return Value((None,) * rank, leaf=leaf, size=aval.size)
    return Value((BATCH, *[None] * (rank - 1)) if rank else (), fed=True)


class _Finder:
    """The walk through a program, with what it has met so far."""

    def __init__(self, met: int = 0) -> None:
        self.activations: list[Site] = []
        self.products: list[Site] = []
        self.met = met  # How many products.

    def walk(self, program: ClosedJaxpr, given: Sequence[Value], place: Place, loops: tuple[Loop, ...]) -> list[Value]:
        """What is known of the program's results, from what is known of its arguments."""
        jaxpr = program.jaxpr
        known: dict[Any, Value] = {}
        for variable, value in zip(jaxpr.invars, given, strict=True):
            known[variable] = as_root(value, variable, place)
        known |= {var: constant_of(value) for var, value in zip(jaxpr.constvars, program.consts, strict=True)}

        def read(variable: Any) -> Value:
            return constant_of(variable.val) if isinstance(variable, Literal) else known[variable]

        for number, equation in enumerate(jaxpr.eqns):
            values, here = [read(variable) for variable in equation.invars], (*place, number)
            results = self.step(equation, values, here, loops)
            found = _activation(equation, results[0], known, place) if len(results) == 1 else None
            if found or (found := _softmax(jaxpr, number, known)):
                self.add(jaxpr, found, known, here, loops)
            for variable, value in zip(equation.outvars, results, strict=True):
                known[variable] = as_root(value, variable, place)
        return [read(variable) for variable in jaxpr.outvars]

    def add(
        self, jaxpr: Jaxpr, found: tuple[Match, Any], known: Mapping[Any, Value], here: Place, loops: tuple[Loop, ...]
    ) -> None:
        """The site of an activation, in place of those that it is made of."""
        (kind, variable), (*place, number) = found, here
        parts = _equations_between(jaxpr, variable, number)
        level = tuple(place)
        self.activations = [site for site in self.activations if not _is_one_of(site.place, level, parts)]
        readers = frozenset(i for i in parts if variable in _variables(jaxpr.eqns[i].invars))
        value, aval, line = known[variable], variable.aval, line_of(jaxpr.eqns[number])
        what = kind.activation, kind.parameter, value.product, loops, aval.shape, aval.dtype, value.axes, line
        self.activations.append(Site(here, variable, readers, *what))

    def step(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> list[Value]:
        """What is known of an equation's results."""
        name = equation.primitive.name
        if name in PRODUCTS:
            return [self.product(equation, values, here, loops)]
        if name == "gather" and values[1].fed and not values[0].fed:
            product = self.numbered(here, (values[0].leaf or "constant",), values[0].loops)
            return [Value(axes.of_lookup(equation, [value.axes for value in values]), fed=True, product=product)]
        if name == "scan":
            return self.scan(equation, values, here, loops)
        if name == "cond":
            branches = [
                self.walk(branch, [value._replace(curves={}) for value in values[1:]], (*here, number), loops)
                for number, branch in enumerate(equation.params["branches"])
            ]
            return [either(results) for results in zip(*branches, strict=True)]
        if (inner := inner_program(equation)) is not None:
            called = name_of(equation)
            walker = _Finder(self.met) if called in NAMED or called in NO_ACTIVATION else self
            results = walker.walk(inner, values, here, loops)
            return [value._replace(curves={}) for value in results] if called in NO_ACTIVATION else results
        self.refuse_hidden(equation, values)
        return self.elementwise(equation, values, here)

    def numbered(self, here: Place, leaves: tuple[str, ...], loops: tuple[Loop, ...]) -> Product:
        self.met += 1
        return Product(self.met, here, leaves, loops)

    def product(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> Value:
        """A product's result, and its site where it has weights."""
        left, right = values
        if not (left.fed or right.fed):
            return of_parameters(equation, values)
        labels = axes.of_product(equation, [left.axes, right.axes], [not left.fed, not right.fed])
        if left.fed and right.fed:
            fed_by = [leaf for value in values if value.product for leaf in value.product.leaves]
            sliced = [value.product.loops for value in values if value.product]
            product = self.numbered(here, tuple(dict.fromkeys(fed_by)), max(sliced, key=len, default=()))
            return Value(labels, fed=True, product=product)
        weights = right if left.fed else left
        product = self.numbered(here, (weights.leaf or "constant",), weights.loops)
        if weights.leaf:
            aval = equation.outvars[0].aval
            what = None, None, product, loops, aval.shape, aval.dtype, labels, line_of(equation)
            self.products.append(Site(here, None, frozenset(), *what))
        return Value(labels, fed=True, product=product, fresh=True)

    def scan(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> list[Value]:
        """A loop whose steps are layers where it goes through stacked weights."""
        length, constants, carried = (equation.params[key] for key in ("length", "num_consts", "num_carry"))
        inner = (*loops, Loop(here, length, 0 if equation.params["reverse"] else length - 1))
        slices = [
            value._replace(axes=value.axes[1:], loops=(*value.loops, inner[-1]) if value.leaf else (), curves={})
            for value in values[constants + carried :]
        ]
        values, body = [value._replace(curves={}) for value in values], equation.params["jaxpr"]
        carry = values[constants : constants + carried]
        while True:
            # What the first step is given is known; what later steps are given is known once it does not change.
            after = _Finder(self.met).walk(body, [*values[:constants], *carry, *slices], here, inner)
            joined = [either(pair) for pair in zip(carry, after[:carried], strict=True)]
            if [settled(value) for value in joined] == [settled(value) for value in carry]:
                break
            carry = joined
        results = self.walk(body, [*values[:constants], *carry, *slices], here, inner)
        stacked = [value._replace(axes=(None, *value.axes), constant=None) for value in results[carried:]]
        return [value._replace(curves={}) for value in results[:carried] + stacked]

    def refuse_hidden(self, equation: Any, values: list[Value]) -> None:
        """UnfollowedError for an activation in a program that does not run once and as it stands."""
        if not any(value.fed for value in values) or name_of(equation) in NO_ACTIVATION:
            return
        programs = [inner for parameter in equation.params.values() for inner in _programs(parameter)]
        for hidden in (within for program in programs for within in equations_within(program)):
            found = NAMED.get(name_of(hidden)) or {"logistic": "sigmoid", "tanh": "tanh"}.get(hidden.primitive.name)
            if found:
                name = {"while": "a while loop"}.get(equation.primitive.name, f"a {equation.primitive.name}")
                raise UnfollowedError(
                    f"{line_of(hidden)}: {found} in {name} cannot be followed; accepted: jit, vmap, remat, cond, "
                    "scan, and loops of a fixed number of steps"
                )

    def add_bias(self, equation: Any, product: Product | None, labels: Axes, here: Place) -> None:
        """The weighted input of a layer without activation has its bias."""
        for i, site in enumerate(self.products):
            if site.product == product and site.place[:-1] == here[:-1]:
                shape = equation.outvars[0].aval.shape
                self.products[i] = site._replace(place=here, shape=shape, axes=labels)

    def elementwise(self, equation: Any, values: list[Value], here: Place) -> list[Value]:
        """What is known of the results of any other operation."""
        if not any(value.fed for value in values):
            return [of_parameters(equation, values, i) for i in range(len(equation.outvars))]
        fed = [value for value in values if value.fed]
        products = [value.product for value in fed if value.product]
        product = max(products, key=lambda product: product.order, default=None)
        weights = [value for value in values if value.leaf]
        if product is None and weights and equation.primitive.name in ("mul", "div", "add", "sub"):
            largest = max(weights, key=lambda value: value.size)
            product = self.numbered(here, (largest.leaf or "",), largest.loops)
        reduced = equation.primitive.name in REDUCTIONS or all(value.reduced for value in fed)
        labels = axes.after(equation, [value.axes for value in values])
        ranks = [getattr(variable.aval, "ndim", 0) for variable in equation.outvars]
        fresh = len(fed) == 1 and fed[0].fresh and equation.primitive.name in RESHAPING
        if len(fed) == 1 and fed[0].fresh and weights and equation.primitive.name in ("add", "add_any"):
            self.add_bias(equation, product, labels, here)
        curves = curves_of(equation, values)
        return [
            Value(
                labels if len(labels) == rank else (None,) * rank,
                fed=True,
                product=product,
                fresh=fresh,
                reduced=reduced,
                curves=curves,
            )
            for rank in ranks
        ]


def _activation(equation: Any, result: Value, known: Mapping[Any, Value], place: Place) -> tuple[Match, Any] | None:
    """The activation that an equation completes, if any, with the variable that goes into it."""
    aval = equation.outvars[0].aval
    if not result.fed or not jnp.issubdtype(getattr(aval, "dtype", bool), jnp.floating):
        return None
    called = NAMED.get(name_of(equation))
    fed = [variable for variable in _variables(equation.invars) if known[variable].fed]
    if called and len(fed) == 1 and fed[0].aval.shape == aval.shape and not _has_products(equation):
        exact = result.curves.get((place, fed[0]))
        kind = match(exact, TOLERANCE) if exact is not None else None
        if kind and called == "celu" and kind.activation == "elu":  # With alpha 1 they are one function.
            kind = Match("celu")
        return kind or Match(called), fed[0]
    tolerance = TOLERANCE if aval.dtype.itemsize >= 4 else TOLERANCE_OF_HALF
    for (level, variable), curve in reversed(list(result.curves.items())):
        # A variance is kept from falling below zero by rounding; that is no neuron.
        if level != place or known[variable].reduced or variable.aval.shape != aval.shape:
            continue
        if kind := match(curve, tolerance):
            return kind, variable
    return None


TOLERANCE, TOLERANCE_OF_HALF = 1e-4, 2e-2


def _softmax(jaxpr: Jaxpr, number: int, known: Mapping[Any, Value]) -> tuple[Match, Any] | None:
    """The same for exp(z) / sum exp(z), which JAX leaves in pieces, with or without the largest z taken off first."""
    if jaxpr.eqns[number].primitive.name != "div":
        return None
    made_by = {variable: equation for equation in jaxpr.eqns[:number] for variable in equation.outvars}

    def maker(variable: Any) -> Any:
        """The equation that makes a variable, but for those that only change its shape or type."""
        while (equation := None if isinstance(variable, Literal) else made_by.get(variable)) is not None:
            if equation.primitive.name not in ("broadcast_in_dim", "reshape", "convert_element_type", "stop_gradient"):
                return equation
            variable = equation.invars[0]
        return None

    above, below = (maker(variable) for variable in jaxpr.eqns[number].invars)
    if above is None or below is None or (above.primitive.name, below.primitive.name) != ("exp", "reduce_sum"):
        return None
    if maker(below.invars[0]) is not above:
        return None
    variable = above.invars[0]
    difference = maker(variable)
    if difference is not None and difference.primitive.name == "sub":
        largest = maker(difference.invars[1])
        while largest is not None and largest.primitive.name == "max":
            largest = next(filter(None, map(maker, _variables(largest.invars))), None)
        if largest is not None and largest.primitive.name == "reduce_max":
            variable = difference.invars[0]
    return (Match("softmax"), variable) if known[variable].fed else None


def _has_products(equation: Any) -> bool:
    programs = [inner for parameter in equation.params.values() for inner in _programs(parameter)]
    return any(within.primitive.name in PRODUCTS for inner in programs for within in equations_within(inner))


def _variables(variables: Iterable[Any]) -> list[Any]:
    return [variable for variable in variables if not isinstance(variable, Literal)]


def _equations_between(jaxpr: Jaxpr, variable: Any, number: int) -> set[int]:
    """The equations, up to that number, through which its result depends on the variable."""
    depends, found = {variable}, set[int]()
    for i, equation in enumerate(jaxpr.eqns[: number + 1]):
        if depends & set(_variables(equation.invars)):
            depends |= set(equation.outvars)
            found.add(i)
    needed, parts = set(_variables(jaxpr.eqns[number].invars)), {number}
    for i in range(number - 1, -1, -1):
        if i in found and needed & set(jaxpr.eqns[i].outvars):
            needed |= set(_variables(jaxpr.eqns[i].invars))
            parts.add(i)
    return parts


def _is_one_of(place: Place, level: Place, numbers: set[int]) -> bool:
    """Whether a place is one of these equations of the program at a level, or within one."""
    return place[: len(level)] == level and len(place) > len(level) and place[len(level)] in numbers
