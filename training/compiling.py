"""How programs are compiled: XLA's options for its CPU backend."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import jax

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


def epoch_options(batch_size: int) -> dict[str, Any]:
    """The options with which an epoch of batches of that size is compiled."""
    return FAST_TO_RUN if batch_size <= MOST_ROWS_OF_EIGEN else LARGE_PRODUCTS


def compiled(
    function: Callable[..., Result], *arguments: Any, cpu_options: dict[str, Any], donate: tuple[int, ...] = ()
) -> Callable[..., Result]:
    """The function compiled for arguments of these shapes, with options for the CPU backend but for those that the
    environment's XLA_FLAGS sets."""
    given = os.environ.get("XLA_FLAGS", "")
    options = {name: value for name, value in cpu_options.items() if f"--{name}=" not in given}
    options = options if jax.default_backend() == "cpu" else None
    return jax.jit(function, donate_argnums=donate, compiler_options=options).lower(*arguments).compile()
