"""How programs are compiled: XLA's options for its CPU backend, and where they are kept for the next process."""

import contextlib
import functools
import hashlib
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
from jaxlib import utils  # pyright: ignore[reportAttributeAccessIssue]

from nets import canary

Result = TypeVar("Result")


class CompilerError(Exception):
    """A compiler that computes wrong numbers, in one line."""


def check_sums() -> None:
    """CompilerError where this process's compiler adds up wrong; every command asks it once, before its own numbers."""
    if wrong := canary.wrong_sums():
        raise CompilerError(canary.warning(wrong))


# XLA's options for its CPU backend, which other backends refuse. What runs every epoch is as fast with LLVM's first
# optimizations alone, which compile sooner; the initial draw runs once, so that it is not optimized at all. An epoch is
# faster without the YNN kernels, whose matrix products are slower than Eigen's at the shapes of a batch. Thousands of
# examples at a time need them: on a busy machine Eigen's product of so many rows was seen to take the first 96 of them
# from what was in the memory before (jaxlib 0.10.2). In jaxlib 0.10.1 products go to YNN, and of sums the first windows
# of long ones, which came out right wherever they were tried; in 0.10.2 whole sums do, and come out wrong.
FAST_TO_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
LARGE_PRODUCTS = {
    "xla_backend_optimization_level": 1,
    "xla_llvm_disable_expensive_passes": True,
    # XLA's own choice, said here for processes that were started with another.
    "xla_cpu_use_fusion_emitters": True,
}
FAST_TO_RUN = LARGE_PRODUCTS | {"xla_cpu_experimental_ynn_fusion_type": ""}
MOST_ROWS_OF_EIGEN = 256
# A model of one's own may be made of what LLVM's later optimizations speed up: pooling, normalization, scans.
OF_OWN_MODEL: dict[str, Any] = {"xla_cpu_use_fusion_emitters": True}


def options_for(examples: int, is_own: bool) -> dict[str, Any]:
    """The options for a program that takes so many examples at a time through Plateau's network or one of one's own."""
    if is_own:
        return OF_OWN_MODEL
    return FAST_TO_RUN if examples <= MOST_ROWS_OF_EIGEN else LARGE_PRODUCTS


def compiled(
    function: Callable[..., Result], *arguments: Any, cpu_options: dict[str, Any], donate: tuple[int, ...] = ()
) -> Callable[..., Result]:
    """The function compiled for arguments of these shapes, with options for the CPU backend but for those that the
    environment's XLA_FLAGS sets."""
    given = os.environ.get("XLA_FLAGS", "")
    options = {name: value for name, value in cpu_options.items() if f"--{name}=" not in given}
    options = options if jax.default_backend() == "cpu" else None
    return jax.jit(function, donate_argnums=donate, compiler_options=options).lower(*arguments).compile()


# ---------------------------------------------------------------------------------------------------------------------
# From one process to the next.

MOST_KEPT = 500_000_000  # bytes
FOLDER = "jax_compilation_cache_dir"
LOG_LEVEL, FATAL = "TF_CPP_MIN_LOG_LEVEL", 3


def keep_programs(kind: str = "programs") -> None:
    """What this process compiles is found by the next one on this machine that keeps programs of the same kind, in
    `~/.cache/plateau` (or below XDG_CACHE_HOME); commands ask for it before they compile.

    JAX's own settings go before: JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 keeps
    nothing. Nothing is kept where the folder cannot be written, and a program that cannot be read is compiled again.
    """
    be_silent_of_preferences()
    if getattr(jax.config, FOLDER):
        return
    # A home may be shared by machines whose processors differ.
    folder = _caches() / "plateau" / f"{kind}-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_oldest(folder, MOST_KEPT)
    except OSError:
        return
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    jax.config.update(FOLDER, str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def be_silent_of_preferences() -> None:
    """XLA's own messages below fatal ones are not printed on processors with AVX-512, unless TF_CPP_MIN_LOG_LEVEL=0.

    On some of them LLVM prefers no gather, which XLA takes for an instruction that the processor lacks when it loads
    what was compiled on it: two lines a program, of an error that is none (openxla/xla issue 44565). What fails raises.
    """
    if os.environ.get(LOG_LEVEL) != "0" and " avx512f " in _processor_text():
        utils.absl_set_min_log_level(FATAL)


@functools.cache
def _processor_text() -> str:
    """What the system says of the processors, which takes it a while where they are many; "" where it says nothing."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def remove_oldest(folder: Path, most: int) -> None:
    """Removes the oldest files of the folder until half of so many bytes are left, if there are more than these."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # Another process may have removed it.
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    size = sum(size for _, size, _ in found)
    if size <= most:
        return
    for _, length, path in sorted(found):
        if size <= most // 2:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        size -= length


def _caches() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~")) / ".cache"


def _processor() -> str:
    """What tells processors apart that run other instructions."""
    lines = _processor_text().splitlines()
    kinds = {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))}
    kinds.add(platform.machine())
    return hashlib.sha256("\n".join(sorted(kinds)).encode()).hexdigest()[:12]
