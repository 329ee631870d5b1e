"""What a traced program computes: its activations and products, by the parameters that feed them, and its values there.

A program is the jaxpr of a function `f(params, *inputs)`. `find` walks it and lists its *sites*: every activation, and
every product with weights that no activation follows. `evaluate` runs it again and hands out what went into each site
and what came out, with a shift added to what went in. A place in a program is a tuple: the number of an equation, then
its number in the program within that equation, and so on; of a `cond` the number of the branch stands between.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from nets import axes
from nets.activations import ADDED
from nets.axes import BATCH, Axes
from nets.curves import Match, match
from nets.equations import (
    PRODUCTS,
    equations_within,
    has_products,
    inner_program,
    line_of,
    name_of,
    programs_in,
    variables_of,
)
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
RESHAPING = ("broadcast_in_dim", "convert_element_type", "reshape", "squeeze", "transpose")
RANDOM = ("random_wrap", "random_bits", "random_split", "random_fold_in", "random_seed", "threefry2x32")
HIDDEN = {"logistic": "sigmoid", "tanh": "tanh"}
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
# Finding.


def find(program: ClosedJaxpr, leaves: Sequence[str | None], *, of_cost: bool = False) -> list[Site]:
    """The sites of a program in the order in which it comes to them; `leaves` has a parameter's path for every argument
    that is one, and None for every input.

    What a cost does to an output and its target is no activation, so that in a program `of_cost` one that nothing
    follows counts where all its inputs have gone through the product that feeds it. UnfollowedError for an activation
    in a while loop, or in a kernel that runs apart, and for a program without layers.
    """
    finder = _Finder()
    arguments = enumerate(zip(program.jaxpr.invars, leaves, strict=True))
    finder.walk(program, [_argument(variable.aval, leaf, i) for i, (variable, leaf) in arguments], (), ())
    activations = [
        site
        for site in finder.activations
        if not (of_cost and site.place in finder.mixed and site.place not in finder.followed)
    ]
    # What follows a scan follows its last step alone.
    activated = {
        site.product.place for site in activations if site.product and set(site.product.loops) <= set(site.loops)
    }
    activated |= {site.product.before.place for site in activations if site.product and site.product.before}
    linear = [site for site in finder.products if site.product and site.product.place not in activated]
    return sorted(activations + linear, key=lambda site: site.place)


def _argument(aval: Any, leaf: str | None, number: int) -> Value:
    rank = getattr(aval, "ndim", 0)
    if not (jnp.issubdtype(aval.dtype, jnp.number) or aval.dtype == jnp.bool_):
        return Value((None,) * rank)  # Random numbers are no inputs: nothing is done to them but by them.
    if leaf is not None:
        return Value((None,) * rank, leaf=leaf, size=aval.size)
    return Value((BATCH, *[None] * (rank - 1)) if rank else (), fed=True, inputs=frozenset((number,)))


class _Finder:
    """The walk through a program, with what it has met so far."""

    def __init__(self, met: int = 0) -> None:
        self.activations: list[Site] = []
        self.products: list[Site] = []
        self.met = met  # How many products.
        self.mixed: set[Place] = set()  # Activations of what an input went into besides the product.
        self.followed: set[Place] = set()  # Activations of which something goes into a product.

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
                results = [results[0]._replace(pending=frozenset((here,)))]
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
        readers = frozenset(i for i in parts if variable in variables_of(jaxpr.eqns[i].invars))
        value, aval, line = known[variable], variable.aval, line_of(jaxpr.eqns[number])
        if value.product and value.inputs - value.product.inputs:
            self.mixed.add(here)
        what = kind.activation, kind.parameter, value.product, loops, aval.shape, aval.dtype, value.axes, line
        self.activations.append(Site(here, variable, readers, *what))

    def step(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> list[Value]:
        """What is known of an equation's results."""
        name = equation.primitive.name
        if name in PRODUCTS:
            return [self.product(equation, values, here, loops)]
        if name in RANDOM:
            return [Value((None,) * getattr(variable.aval, "ndim", 0)) for variable in equation.outvars]
        if name == "gather" and values[1].fed and not values[0].fed and values[0].leaf is not None:
            product = self.numbered(here, (values[0].leaf,), values[0].loops, values[1].inputs)
            labels = axes.of_lookup(equation, [value.axes for value in values])
            return [Value(labels, fed=True, product=product, inputs=values[1].inputs)]
        if name == "scan":
            return self.scan(equation, values, here, loops)
        if name == "cond":
            branches = [
                self.walk(branch, [value._replace(curves={}) for value in values[1:]], (*here, number), loops)
                for number, branch in enumerate(equation.params["branches"])
            ]
            return [either(results) for results in zip(*branches, strict=True)]
        if (inner := inner_program(equation)) is not None:
            if name_of(equation) in (*NAMED, *ADDED, *NO_ACTIVATION) and not has_products(equation):
                results = _Finder(self.met).walk(inner, values, here, loops)
                if name_of(equation) in NO_ACTIVATION:
                    return [value._replace(curves={}) for value in results]
                if _named(equation, results[0], here[:-1]):
                    return results
            return self.walk(inner, values, here, loops)
        self.refuse_hidden(equation, values)
        return self.elementwise(equation, values, here)

    def numbered(
        self, here: Place, leaves: tuple[str, ...], loops: tuple[Loop, ...], inputs: frozenset[int]
    ) -> Product:
        self.met += 1
        return Product(self.met, here, leaves, loops, inputs)

    def product(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> Value:
        """A product's result, and its site where it has weights."""
        left, right = values
        if not (left.fed or right.fed):
            return of_parameters(equation, values)
        self.followed |= left.pending | right.pending
        inputs, weights = left.inputs | right.inputs, right if left.fed else left
        labels = axes.of_product(equation, [left.axes, right.axes], [value.leaf is not None for value in values])
        products = [value.product for value in values if value.product]
        if (weights.fed or weights.leaf is None) and len(products) == 1:
            # A mean over neighbours, or a picture of another size: the units are what they were.
            return Value(labels, fed=True, product=products[0], inputs=inputs)
        if left.fed and right.fed:
            fed_by = [leaf for product in products for leaf in product.leaves]
            sliced = max((product.loops for product in products), key=len, default=())
            product = self.numbered(here, tuple(dict.fromkeys(fed_by)) or ("input",), sliced, inputs)
            return Value(labels, fed=True, product=product, inputs=inputs)
        product = self.numbered(here, ("constant" if weights.leaf is None else weights.leaf,), weights.loops, inputs)
        if weights.leaf is not None:
            aval = equation.outvars[0].aval
            what = None, None, product, loops, aval.shape, aval.dtype, labels, line_of(equation)
            self.products.append(Site(here, None, frozenset(), *what))
        return Value(labels, fed=True, product=product, fresh=True, inputs=inputs)

    def scan(self, equation: Any, values: list[Value], here: Place, loops: tuple[Loop, ...]) -> list[Value]:
        """A loop whose steps are layers where it goes through stacked weights."""
        length, constants, carried = (equation.params[key] for key in ("length", "num_consts", "num_carry"))
        inner = (*loops, Loop(here, length, 0 if equation.params["reverse"] else length - 1))
        slices = [
            value._replace(
                axes=value.axes[1:], loops=(*value.loops, inner[-1]) if value.leaf is not None else (), curves={}
            )
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
        carry = [_late(value, first, inner[-1]) for value, first in zip(carry, values[constants:], strict=False)]
        results = self.walk(body, [*values[:constants], *carry, *slices], here, inner)
        stacked = [value._replace(axes=(None, *value.axes), constant=None) for value in results[carried:]]
        return [value._replace(curves={}) for value in results[:carried] + stacked]

    def refuse_hidden(self, equation: Any, values: list[Value]) -> None:
        """UnfollowedError for an activation in a program that does not run once and as it stands."""
        if not any(value.fed for value in values) or name_of(equation) in NO_ACTIVATION:
            return
        programs = [inner for parameter in equation.params.values() for inner in programs_in(parameter)]
        for hidden in (within for program in programs for within in equations_within(program)):
            found = _called(hidden) or HIDDEN.get(hidden.primitive.name)
            if hidden.primitive.name in PRODUCTS and any(value.leaf is not None for value in values):
                found = "a product"
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
        inputs = frozenset[int]().union(*(value.inputs for value in fed))
        weights = [value for value in values if value.leaf is not None]
        if product is None and weights and equation.primitive.name in ("mul", "div", "add", "sub"):
            largest = max(weights, key=lambda value: value.size)
            product = self.numbered(here, (largest.leaf or "",), largest.loops, inputs)._replace(order=0)
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
                inputs=inputs,
                pending=frozenset[Place]().union(*(value.pending for value in fed)),
                curves=curves,
            )
            for rank in ranks
        ]


def _late(value: Value, first: Value, loop: Loop) -> Value:
    """What a step of a scan is given: its product, where the loop has one, is that of the step before."""
    product = value.product
    if product is None or loop not in product.loops:
        return value
    return value._replace(product=product._replace(late=loop, before=first.product))


def _activation(equation: Any, result: Value, known: Mapping[Any, Value], place: Place) -> tuple[Match, Any] | None:
    """The activation that an equation completes, if any, with the variable that goes into it."""
    aval = equation.outvars[0].aval
    if not result.fed or not jnp.issubdtype(getattr(aval, "dtype", bool), jnp.floating):
        return None
    if named := _named(equation, result, place):
        return named
    tolerance = TOLERANCE if aval.dtype.itemsize >= 4 else TOLERANCE_OF_HALF
    for (level, variable), curve in reversed(list(result.curves.items())):
        # A variance is kept from falling below zero by rounding; that is no neuron.
        if level != place or known[variable].reduced or variable.aval.shape != aval.shape:
            continue
        if kind := match(curve, tolerance):
            return kind, variable
    return None


TOLERANCE, TOLERANCE_OF_HALF = 1e-4, 2e-2


def _called(equation: Any) -> str | None:
    """The activation whose name a call bears."""
    name = name_of(equation)
    return NAMED.get(name) or (name if name in ADDED else None)


def _named(equation: Any, result: Value, place: Place) -> tuple[Match, Any] | None:
    """The same for a call of a function that has the name of an activation, where its values do not say otherwise."""
    called = _called(equation)
    fed = [variable for variable in variables_of(equation.invars) if (place, variable) in result.curves]
    if called is None or has_products(equation):
        return None
    shape, dtype = equation.outvars[0].aval.shape, equation.outvars[0].aval.dtype
    if len(fed) == 1:
        if called == "identity" or called in ADDED:
            return Match(called), fed[0]
        if kind := match(result.curves[place, fed[0]], TOLERANCE):
            # With alpha 1 they are one function.
            return (Match("celu") if (called, kind.activation) == ("celu", "elu") else kind), fed[0]
        return (Match(called), fed[0]) if dtype.itemsize < 4 else None
    # It depends on a parameter as well, or is no function of one number.
    given = [v for v in variables_of(equation.invars) if v.aval.shape == shape and v.aval.dtype == dtype]
    return (Match(called, float("nan") if called in WITH_PARAMETER else None), given[0]) if len(given) == 1 else None


WITH_PARAMETER = ("leaky_relu", "elu", "celu")


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
            largest = next(filter(None, map(maker, variables_of(largest.invars))), None)
        if largest is not None and largest.primitive.name == "reduce_max":
            variable = difference.invars[0]
    return (Match("softmax"), variable) if known[variable].fed else None


def _equations_between(jaxpr: Jaxpr, variable: Any, number: int) -> set[int]:
    """The equations, up to that number, through which its result depends on the variable."""
    depends, found = {variable}, set[int]()
    for i, equation in enumerate(jaxpr.eqns[: number + 1]):
        if depends & set(variables_of(equation.invars)):
            depends |= set(equation.outvars)
            found.add(i)
    needed, parts = set(variables_of(jaxpr.eqns[number].invars)), {number}
    for i in range(number - 1, -1, -1):
        if i in found and needed & set(jaxpr.eqns[i].outvars):
            needed |= set(variables_of(jaxpr.eqns[i].invars))
            parts.add(i)
    return parts


def _is_one_of(place: Place, level: Place, numbers: set[int]) -> bool:
    """Whether a place is one of these equations of the program at a level, or within one."""
    return place[: len(level)] == level and len(place) > len(level) and place[len(level)] in numbers
