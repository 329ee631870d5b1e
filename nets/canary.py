"""Whether this process's compiler adds up right, asked by a sum whose value is known.

The YNN kernels of jaxlib 0.10.2 compute some sums wrong on CPUs: of a broadcast, by up to 17 % and another value each
time; of squares over more than 32,768 rows, the rows beyond (jax-ml/jax#39103). jaxlib 0.10.1, which `nets` is tested
with, gives them no whole sum, and was right wherever it was asked.
"""

import functools
import warnings
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

ROWS = 32_769
# Of XLA's LLVM code, which compiles sooner so; the kernels come compiled.
UNOPTIMIZED = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@functools.cache
def wrong_sums() -> int:
    """How many sums come out wrong, of 32,769 of squares and 10 of a broadcast: whole numbers, exact in float32. They
    are computed once a process, in milliseconds beside a quarter of a second of compiling; 0 on a device that is no
    CPU, which has other kernels."""
    if jax.default_backend() != "cpu":
        return 0
    rows_N = np.arange(ROWS, dtype=np.float32) % 2048 + 1
    x_Nx3 = np.stack([rows_N, 0 * rows_N, 0 * rows_N], axis=1)

    def squares(x_Nx3: jax.Array, m_3x3: jax.Array) -> jax.Array:
        return jax.vmap(lambda x_3: jnp.sum((m_3x3 @ x_3) ** 2))(x_Nx3)

    def total(k_Kx1: jax.Array) -> jax.Array:
        return jnp.sum(jnp.broadcast_to(k_Kx1, (2, 1024, 1024)))

    def wrong(options: dict[str, int | bool]) -> int:
        found_N = jax.jit(squares, compiler_options=options)(x_Nx3, np.eye(3, dtype=np.float32))
        # This one is wrong now and then, so that it is asked more than once.
        ones, sums = np.ones((1024, 1), np.float32), jax.jit(total, compiler_options=options)
        broadcast = sum(float(sums(ones)) != 2_097_152.0 for _ in range(10))
        return int(np.sum(np.asarray(found_N) != rows_N**2)) + broadcast

    with jax.ensure_compile_time_eval():
        try:
            return wrong(UNOPTIMIZED)
        except jax.errors.JaxRuntimeError:  # Another jaxlib may not know such an option.
            return wrong({})


def warning(wrong: int) -> str:
    """What there is to say of so many wrong sums, in one line."""
    return (
        f"jaxlib {version('jaxlib')} computes wrong sums on this machine ({wrong:,} of {ROWS + 10:,}); "
        "accepted: jaxlib 0.10.1"
    )


@functools.cache
def warn_once() -> None:
    """A warning, once a process, where sums come out wrong: what measures is then not to be believed."""
    if wrong := wrong_sums():
        warnings.warn(warning(wrong), RuntimeWarning, stacklevel=3)
