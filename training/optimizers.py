"""How a step descends, as Optax transformations of numbers that may be traced."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import optax

from nets.tables import look_up

# Keras's numbers of Adam and AdamW.
MEAN_KEPT, SQUARE_KEPT, EPSILON, WEIGHT_DECAY = 0.9, 0.999, 1e-7, 0.004
Path: TypeAlias = tuple[Any, ...]  # The keys of a leaf of a tree, from its root.
Number: TypeAlias = jax.Array | float


class Rates(Protocol):
    """What descent reads its numbers off, float32 scalars by name: `Hyperparameters`. Those that may be left out are
    None where they are at the default of the config's field."""

    def __getattr__(self, name: str) -> jax.Array: ...


class Optimizer(NamedTuple):
    """A way to descend: what makes it of the rates, and the config's fields that are for it and not for all. `make`
    reads numbers off the rates, and takes other fields by keyword.

    Each of them stays at its default with any optimizer that does not take it: the config is refused otherwise.
    """

    make: Callable[..., optax.GradientTransformation]
    takes: tuple[str, ...] = ()


def sgd(rates: Rates, nesterov: bool = False) -> optax.GradientTransformation:
    """Stochastic gradient descent, with Polyak's momentum where there is one, or Nesterov's: v = m v + g, and the step
    g + m v in place of v (Sutskever et al. 2013, as Keras, PyTorch and Optax have it)."""
    return optax.sgd(rates.learning_rate, rates.momentum, nesterov)


def adam(rates: Rates) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) as Keras has it."""
    return optax.chain(moments_of(rates), optax.scale_by_learning_rate(rates.learning_rate))


def adamw(rates: Rates) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): w -= rate (step of Adam + weight_decay w), w on the
    right being that before the step. Kernels alone decay, as L2 has it."""
    decay = optax.add_decayed_weights(or_default(rates.weight_decay, WEIGHT_DECAY), mask=kernels)
    return optax.chain(moments_of(rates), decay, optax.scale_by_learning_rate(rates.learning_rate))


def or_default(number: Number | None, default: float) -> Number:
    """The number, or its default where it is left out."""
    return default if number is None else number


def has_number(rates: Rates, name: str) -> bool:
    """Whether the number is there, and not left out."""
    return getattr(rates, name) is not None


def moments_of(rates: Rates) -> optax.GradientTransformation:
    """`scale_by_adam_of_keras` with the run's numbers."""
    return scale_by_adam_of_keras(
        or_default(rates.beta1, MEAN_KEPT), or_default(rates.beta2, SQUARE_KEPT), or_default(rates.epsilon, EPSILON)
    )


def scale_by_adam_of_keras(
    mean_kept: Number = MEAN_KEPT, square_kept: Number = SQUARE_KEPT, epsilon: Number = EPSILON
) -> optax.GradientTransformation:
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
        mu = optax.tree.update_moment(updates, state.mu, mean_kept, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, square_kept, 2)
        count = jnp.asarray(optax.safe_increment(state.count))
        correction = jnp.sqrt(1 - square_kept**count) / (1 - mean_kept**count)

        def step(m: jax.Array, v: jax.Array) -> jax.Array:
            return m * correction / (jnp.sqrt(v) + epsilon)

        return jax.tree.map(step, mu, nu), optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


OF_ADAM = ("beta1", "beta2", "epsilon")
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(sgd, takes=("momentum", "nesterov")),
    "adam": Optimizer(adam, takes=OF_ADAM),
    "adamw": Optimizer(adamw, takes=(*OF_ADAM, "weight_decay")),
}


def make_optimizer(name: str, rates: Rates, **options: Any) -> optax.GradientTransformation:
    """L2 on the kernels, then the optimizer of that name; ValueError listing the names where there is none. `options`
    are the config's fields that the optimizer takes and that are no numbers."""
    descent = look_up(OPTIMIZERS, name, "optimizer").make(rates, **options)
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
