"""Compiled programs as files, so that a later process neither traces, nor lowers, nor compiles them.

JAX's own cache spares a process the compiling alone: it is asked by the lowered program, and to trace and lower the
programs of a structure takes longer than to run them over a small data set. Here all programs of a structure stand in
one file, `whole-KEY`, in the folder of JAX's cache, which then has none of them. The key covers what they are made of:
the fields that shape them, the shapes of lanes and data, the text of this project's files, the versions of the
packages, JAX's settings, the devices and the variables of the environment that XLA reads. A digest covers the file, and
one that cannot be read counts as not there.

What is not covered is not kept: models, activations, costs and data sets of one's own, whose files may import others,
and anything once a config file has put functions of its own into the tables of this project. On other devices than a
CPU JAX's cache is used alone.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import sys
import zlib
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from nets import activations, costs
from training import compiling, probes
from training.config import Config
from training.files import write_atomically
from training.provenance import code_digest, versions

# Whose functions a program may call without the key saying so: their text or their version is in it.
KNOWN = ("nets", "training", "jax", "jaxlib", "flax", "optax", "builtins", "functools")
# Of JAX's settings those that only say where and what is kept.
ENABLED = "jax_enable_compilation_cache"
NOT_COMPILED = ("jax_compilation_cache_dir", "jax_persistent_cache")
VARIABLES = ("XLA_FLAGS", "JAX_PLATFORMS", "NPROC", "OMP_NUM_THREADS")
ROOMS = ("train.py", "nets", "training", "experiments/engine")
DIGEST_SIZE = hashlib.sha256().digest_size


def path_of(trial: Config, asked: object) -> Path | None:
    """The file of the programs of trials like this one, whether it is there or not; `asked` is all else that they are
    made of and that this process may change. None where they are not kept."""
    folder = compiling.own_folder()
    if folder is None or trial.code or jax.default_backend() != "cpu" or not getattr(jax.config, ENABLED):
        return None
    if not all(map(_is_known, _functions())):
        return None
    key = hashlib.sha256(repr((asked, _made_by(), _settings())).encode()).hexdigest()
    return folder / f"whole-{key}"


def key_here(trial: Config, asked: object) -> Hashable | None:
    """What the programs of trials like this one depend on within this process, `asked` as in `path_of`; None where
    another call may not have those of an earlier one: the file of a model of one's own may have changed."""
    if trial.code or jax.default_backend() != "cpu":
        return None
    return repr((asked, _settings())), tuple(_functions())


def read(path: Path, devices: Sequence[Any]) -> dict[str, Any] | None:
    """The programs in the file by name, on those devices; None where it is not there or cannot be read."""
    try:
        content = path.read_bytes()
        digest, packed = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if hashlib.sha256(packed).digest() != digest:
            return None
        parts: dict[str, tuple[bytes, Any, Any] | None] = pickle.loads(zlib.decompress(packed))
        return {
            name: part and serialize_executable.deserialize_and_load(*part, execution_devices=devices)
            for name, part in parts.items()
        }
    except Exception:  # What XLA and pickle raise of what they cannot read may be anything; it is compiled again.
        return None


@contextlib.contextmanager
def compiled_anew() -> Generator[None]:
    """Within the block nothing is read from JAX's cache: a program from there lacks some of its kernels where it is
    written once more (jaxlib 0.10.1)."""
    jax.config.update(ENABLED, False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update(ENABLED, True)
        compilation_cache.reset_cache()


def write(path: Path, programs: Mapping[str, Any]) -> None:
    """Writes the compiled programs, by name, None for those that are not there; nothing where the disk or JAX refuses
    it."""
    try:
        parts = {name: program and serialize_executable.serialize(program) for name, program in programs.items()}
        packed = zlib.compress(pickle.dumps(parts), 1)
        write_atomically(path, hashlib.sha256(packed).digest() + packed)
    except Exception:  # A program that is not kept is compiled again.
        return


def _functions() -> Iterator[Any]:
    """The functions in the tables from which configs choose."""
    for activation in activations.ACTIVATIONS.values():
        yield activation.function
    yield from costs.COSTS.values()
    yield from costs.OUTPUTS.values()
    for group in probes.PROBES.values():
        yield group.measure


def _is_known(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "").partition(".")[0] in KNOWN


def _made_by() -> tuple[Any, ...]:
    """The text of this project's files that programs are made of, and the versions of Python and the packages."""
    return code_digest(ROOMS), sys.version, platform.machine(), versions(("ml_dtypes",))


def _settings() -> tuple[Any, ...]:
    """What else the compiler goes by: JAX's settings, the environment, the devices."""
    values: dict[str, Any] = jax.config.values  # pyright: ignore[reportAttributeAccessIssue]
    names = [name for name in sorted(values) if not name.startswith(NOT_COMPILED)]
    # As attributes they are those of this thread, within `jax.enable_x64` and the like.
    settings = [(name, str(getattr(jax.config, name, values[name]))) for name in names]
    variables = [(name, os.environ.get(name)) for name in VARIABLES]
    devices = [(device.id, device.platform, device.device_kind) for device in jax.local_devices()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return settings, variables, devices, cores
