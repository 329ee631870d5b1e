"""Running a traced program again, with a shift added at its sites, and what it computes there handed out.

See `nets.programs` for programs, places and sites. The result of an equation that holds no site is computed as ever;
programs that hold one are gone through, so that a derivative of their own (`jax.custom_vjp`) is that of what they do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from nets.equations import inner_program
from nets.programs import Place, Site

# The weighted input and the output at each site, with a leading axis for every scan around it.
Taps = dict[Place, tuple[jax.Array, jax.Array]]


def evaluate(
    program: ClosedJaxpr, arguments: Sequence[Any], sites: Sequence[Site], shifts: Mapping[Place, jax.Array]
) -> tuple[list[Any], Taps]:
    """The program's results, and what goes into and comes out of each site.

    A shift has a leading axis for every scan around its site whose steps are layers of their own, and fits the site's
    weighted input otherwise; none is added where none is given.
    """
    return _Replay(sites).run(program, arguments, shifts, ())


class _Replay:
    """The sites of a program by their place, and the places that hold one."""

    def __init__(self, sites: Sequence[Site]):
        self.sites = {site.place: site for site in sites}
        self.holds = {site.place[:end] for site in sites for end in range(1, len(site.place))}

    def run(
        self, program: ClosedJaxpr, arguments: Sequence[Any], shifts: Mapping[Place, jax.Array], place: Place
    ) -> tuple[list[Any], Taps]:
        jaxpr, taps = program.jaxpr, Taps()
        known = dict(zip(jaxpr.constvars, program.consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))
        sites = {site.place[-1]: site for site in self.sites.values() if site.place[:-1] == place}
        reads = {number: site for site in sites.values() for number in site.readers}

        def read(variable: Any, site: Site | None = None) -> Any:
            if isinstance(variable, Literal):
                return variable.val
            shift = shifts.get(site.place) if site and variable is site.variable else None
            return known[variable] if shift is None else known[variable] + shift.astype(known[variable].dtype)

        for number, equation in enumerate(jaxpr.eqns):
            here, values = (*place, number), [read(variable, reads.get(number)) for variable in equation.invars]
            if here in self.holds:
                results, inner = self.enter(equation, values, shifts, here)
                taps |= inner
            else:
                results = _bind(equation, values)
            if (site := sites.get(number)) and site.variable is None:
                results = [results[0] if here not in shifts else results[0] + shifts[here].astype(results[0].dtype)]
            known.update(zip(equation.outvars, results, strict=True))
            if site:
                taps[here] = results[0] if site.variable is None else read(site.variable, site), results[0]
        return [read(variable) for variable in jaxpr.outvars], taps

    def enter(
        self, equation: Any, values: list[Any], shifts: Mapping[Place, jax.Array], here: Place
    ) -> tuple[list[Any], Taps]:
        """An equation that holds sites."""
        if equation.primitive.name == "scan":
            return self.scan(equation, values, shifts, here)
        if equation.primitive.name == "cond":
            return self.cond(equation, values, shifts, here)
        inner = inner_program(equation)
        assert inner is not None
        return self.run(inner, values, shifts, here)

    def scan(
        self, equation: Any, values: list[Any], shifts: Mapping[Place, jax.Array], here: Place
    ) -> tuple[list[Any], Taps]:
        """The loop, whose steps hand out what they compute beside their results."""
        parameters = equation.params
        constants, carried = parameters["num_consts"], parameters["num_carry"]
        depth = {
            place: [loop.place for loop in self.sites[place].loops] for place in shifts if place[: len(here)] == here
        }
        sliced = {place: shifts[place] for place, loops in depth.items() if self.sites[place].sliced[loops.index(here)]}
        shared = {place: shifts[place] for place in depth if place not in sliced}

        def step(carry: list[Any], slices: tuple[list[Any], dict[Place, jax.Array]]) -> tuple[list[Any], Any]:
            given = [*values[:constants], *carry, *slices[0]]
            results, taps = self.run(parameters["jaxpr"], given, shared | slices[1], here)
            return results[:carried], (results[carried:], taps)

        carry, (stacked, taps) = jax.lax.scan(
            step,
            values[constants : constants + carried],
            (values[constants + carried :], sliced),
            length=parameters["length"],
            reverse=parameters["reverse"],
            unroll=parameters["unroll"],
        )
        return [*carry, *stacked], taps

    def cond(
        self, equation: Any, values: list[Any], shifts: Mapping[Place, jax.Array], here: Place
    ) -> tuple[list[Any], Taps]:
        """The branch that is taken; the sites of the others are NaN."""
        index, *given = values
        branches = equation.params["branches"]
        within = {place: shift for place, shift in shifts.items() if place[: len(here)] == here}

        def branch(number: int) -> Any:
            def run(given: list[Any], within: dict[Place, jax.Array]) -> tuple[list[Any], Taps]:
                return self.run(branches[number], given, within, (*here, number))

            return run

        taps = [jax.eval_shape(branch(number), given, within)[1] for number in range(len(branches))]

        def filled(number: int) -> Any:
            def run(given: list[Any], within: dict[Place, jax.Array]) -> tuple[list[Any], Taps]:
                results, found = branch(number)(given, within)
                missing = {place: tap for i, others in enumerate(taps) if i != number for place, tap in others.items()}
                return results, found | jax.tree.map(lambda tap: jnp.full(tap.shape, jnp.nan, tap.dtype), missing)

            return run

        return jax.lax.switch(index, [filled(number) for number in range(len(branches))], given, within)


def _bind(equation: Any, values: list[Any]) -> list[Any]:
    """The results of an equation as it stands."""
    parameters = equation.primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        results = equation.primitive.bind(*values, **parameters)
    return list(results) if equation.primitive.multiple_results else [results]
