"""The compiled programs of the last few structures, for all that trains lanes in this process: a study that trains one
structure after its own fashion again and again traces, lowers and loads it once."""

import os
from collections.abc import Hashable
from typing import Any

import jax

from experiments.engine import lanes
from nets import activations, costs, mlp
from training import optimizers, probes, schedules
from training.batches import Data
from training.config import FIELDS, Config

MOST_RECENT = 8
# By what they depend on, in the order in which they were used; beside them what the key names by identity, to live as
# long.
recent: dict[Hashable, tuple[lanes.Programs, list[Any]]] = {}
# Of JAX's settings those that only say where compiled programs are kept.
NOT_COMPILED = ("jax_compilation_cache_dir", "jax_persistent_cache")


def programs_for(trial: Config, shape: lanes.Shape, optional: tuple[str, ...], data: Data) -> lanes.Programs:
    """`lanes.compile_programs`, or what it has given for such trials before, if that is among the last few."""
    key = key_of(trial, shape, optional, data)
    programs, entries = recent.pop(key, None) or (lanes.compile_programs(trial, shape, optional, data), entries_here())
    if key is not None:
        recent[key] = programs, entries  # The last one now.
        for old in list(recent)[:-MOST_RECENT]:
            recent.pop(old, None)
    return programs


def key_of(trial: Config, shape: lanes.Shape, optional: tuple[str, ...], data: Data) -> Hashable | None:
    """What the programs of trials like this one depend on within this process; None for code of one's own, whose file
    may have changed since, and where there is more than a CPU, whose memory they would hold."""
    if trial.code or jax.default_backend() != "cpu":
        return None
    fields = tuple((name, value) for name, value in lanes.structure(trial) if not FIELDS[name].spec.not_compiled)
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(data)), jax.tree.structure(data)
    return (
        fields,
        shape,
        optional,
        shapes,
        lanes.mesh_of(trial, shape.rows).size,
        tuple(map(id, entries_here())),
        _settings(),
    )


def entries_here() -> list[Any]:
    """What stands in the tables from which configs choose by name: it may be replaced under its name."""
    tables: tuple[dict[str, Any], ...] = (
        activations.ACTIVATIONS,
        costs.OUTPUTS,
        costs.COSTS,
        mlp.KERNEL_INITS,
        mlp.BIAS_INITS,
        optimizers.OPTIMIZERS,
        schedules.SCHEDULES,
        probes.PROBES,
    )
    return [entry for table in tables for entry in table.values()]


def _settings() -> tuple[Any, ...]:
    """What the compiler goes by beside the program: JAX's settings, those of this thread, and XLA's options."""
    values: dict[str, Any] = jax.config.values  # pyright: ignore[reportAttributeAccessIssue]
    names = [name for name in sorted(values) if not name.startswith(NOT_COMPILED)]
    settings = tuple((name, str(getattr(jax.config, name, values[name]))) for name in names)
    return settings, os.environ.get("XLA_FLAGS"), tuple(jax.local_devices()), tuple(lanes.ONE_CORE.items())
