"""How a step descends, as Optax transformations of numbers that may be traced."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import optax

from nets.tables import look_up

# Keras's numbers of Adam.
MEAN_KEPT, SQUARE_KEPT, EPSILON = 0.9, 0.999, 1e-7
Path: TypeAlias = tuple[Any, ...]  # The keys of a leaf of a tree, from its root.


class Rates(Protocol):
    """What descent reads its numbers off, float32 scalars by name: `Hyperparameters`."""

    def __getattr__(self, name: str) -> jax.Array: ...


class Optimizer(NamedTuple):
    """A way to descend: what makes it of the rates, and the config's numbers that are for it and not for all.

    One of those numbers stays at its default with any optimizer that does not take it: the config is refused otherwise.
    """

    make: Callable[[Rates], optax.GradientTransformation]
    takes: tuple[str, ...] = ()


def sgd(rates: Rates) -> optax.GradientTransformation:
    """Stochastic gradient descent, with Polyak's momentum where there is one."""
    return optax.sgd(rates.learning_rate, rates.momentum)


def adam(rates: Rates) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) as Keras has it."""
    return optax.chain(scale_by_adam_of_keras(), optax.scale_by_learning_rate(rates.learning_rate))


def scale_by_adam_of_keras() -> optax.GradientTransformation:
    """Moments m and v of the gradient, and m sqrt(1 - .999^t) / (1 - .9^t) / (sqrt v + 1e-7) as the step t.

    This is the efficient form of Kingma & Ba, section 2: epsilon stands beside the moment as it is, where `optax.adam`
    adds it to the corrected one. There it would be 1e-7 / sqrt(1 - .999^t), at the first step 32 times as much, which
    holds back weights of small gradients. The state is that of `optax.scale_by_adam`.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        zeros = optax.tree.zeros_like(params)
        return optax.ScaleByAdamState(count=jnp.zeros([], jnp.int32), mu=zeros, nu=zeros)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        assert isinstance(state, optax.ScaleByAdamState)
        mu = optax.tree.update_moment(updates, state.mu, MEAN_KEPT, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, SQUARE_KEPT, 2)
        count = jnp.asarray(optax.safe_increment(state.count))
        correction = jnp.sqrt(1 - SQUARE_KEPT**count) / (1 - MEAN_KEPT**count)

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            return m * correction / (jnp.sqrt(v) + EPSILON)

        return jax.tree.map(step, mu, nu), optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


OPTIMIZERS: dict[str, Optimizer] = {"sgd": Optimizer(sgd, takes=("momentum",)), "adam": Optimizer(adam)}


def make_optimizer(name: str, rates: Rates) -> optax.GradientTransformation:
    """L2 on the kernels, then the optimizer of that name; ValueError listing the names where there is none."""
    descent = look_up(OPTIMIZERS, name, "optimizer").make(rates)
    return optax.chain(optax.add_decayed_weights(rates.l2, mask=kernels), descent)


# What is no weight whatever its shape, as the biases of stacked layers.
NO_KERNELS = ("bias", "b", "scale", "offset", "beta", "gamma")


def is_kernel(path: Path, leaf: jax.Array) -> bool:
    """Whether a parameter is a weight between neurons, what init_scale and l2 apply to: called a kernel, or of two axes
    or more and not called a bias or a scale."""
    name = path[-1].key
    return name == "kernel" or (leaf.ndim >= 2 and name not in NO_KERNELS)


def kernels(params: Any) -> Any:
    """A tree like that of the parameters: whether each is a kernel."""
    return jax.tree.map_with_path(is_kernel, params)


def scale_kernels(params: Any, factor: jax.Array) -> Any:
    """The parameters with every kernel multiplied by the factor."""

    def scaled(path: Path, leaf: jax.Array) -> jax.Array:
        return (leaf * factor).astype(leaf.dtype) if is_kernel(path, leaf) else leaf

    return jax.tree.map_with_path(scaled, params)
