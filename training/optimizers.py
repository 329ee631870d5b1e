"""How a step descends, as Optax transformations of numbers that may be traced."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import optax

from nets.tables import look_up


class Rates(Protocol):
    """What descent reads its numbers off, float32 scalars by name: `Hyperparameters`."""

    def __getattr__(self, name: str) -> jax.Array: ...


def sgd(rates: Rates) -> optax.GradientTransformation:
    """Stochastic gradient descent, with Polyak's momentum where there is one."""
    return optax.sgd(rates.learning_rate, rates.momentum)


def adam(rates: Rates) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) with Keras's epsilon of 1e-7."""
    return optax.adam(rates.learning_rate, eps=1e-7)


OPTIMIZERS: dict[str, Callable[[Rates], optax.GradientTransformation]] = {"sgd": sgd, "adam": adam}


def make_optimizer(name: str, rates: Rates) -> optax.GradientTransformation:
    """L2 on the kernels, then the optimizer of that name; ValueError listing the names where there is none."""
    descent = look_up(OPTIMIZERS, name, "optimizer")(rates)
    kernels = lambda params: jax.tree.map_with_path(lambda path, _: is_kernel(path), params)  # noqa: E731
    return optax.chain(optax.add_decayed_weights(rates.l2, mask=kernels), descent)


def is_kernel(path: tuple[Any, ...]) -> bool:
    """Whether a parameter's path in the tree names a dense kernel: what init_scale and l2 apply to."""
    return path[-1].key == "kernel"


def scale_kernels(params: Any, factor: jax.Array) -> Any:
    """The parameters with every kernel multiplied by the factor."""
    return jax.tree.map_with_path(lambda path, leaf: leaf * factor if is_kernel(path) else leaf, params)
