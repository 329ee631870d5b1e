"""The optimizers: Adam against Keras's numbers, Nesterov and AdamW against Optax, L2 and weight decay on kernels alone,
and which of the config's fields each takes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import train
from configs import shallow
from input_pipeline import Dataset
from training import optimizers
from training.batches import make_data
from training.config import ConfigError, Hyperparameters, as_config
from training.optimizers import Optimizer, make_optimizer

# What Keras 3.15.1 ends at (backend jax 0.10.1).
KERNEL_OF_KERAS = [
    [1.7777451, -0.84489673],
    [-0.5908678, -0.50301504],
    [1.2607157, -0.76576215],
    [1.6615111, 1.6218368],
]
BIAS_OF_KERAS = [0.08745163, -0.013390273]


def rates_of(**rates):
    """Learning rate and so on as a run has them; no L2 and no momentum where they are not given."""
    none = {"init_scale": jnp.float32(1), "learning_rate": jnp.float32(0.01), "momentum": None, "l2": jnp.float32(0)}
    return Hyperparameters(**(none | {name: jnp.float32(value) for name, value in rates.items()}))


def two_epochs_of_the_problem(optimizer_of):
    """Kernel and bias after two epochs of 33 steps with the optimizer that a learning rate makes.

    In Keras: Sequential([Input((4,)), Dense(2)]) with this kernel and zero bias, compile(Adam(.01), "mse"),
    fit(x, y, batch_size=8, epochs=2, shuffle=False). The inputs' scales make gradients from 1 to 1e-6.
    """
    rng = np.random.default_rng(0)
    x_NxD = np.float32(rng.standard_normal((264, 4)) * [1.0, 1e-3, 1e-5, 1e-6])
    y_NxC = np.float32(rng.standard_normal((264, 2)))
    params = {"kernel": jnp.float32(rng.standard_normal((4, 2))), "bias": jnp.zeros(2)}

    def mean_cost(params, x_BxD, y_BxC):
        return jnp.mean(jnp.square(x_BxD @ params["kernel"] + params["bias"][None] - y_BxC))

    @jax.jit
    def run(params, learning_rate):
        optimizer = optimizer_of(learning_rate)

        def step(carry, batch):
            params, state = carry
            updates, state = optimizer.update(jax.grad(mean_cost)(params, *batch), state, params)
            return (optax.apply_updates(params, updates), state), None

        batches = jnp.tile(x_NxD.reshape(33, 8, 4), (2, 1, 1)), jnp.tile(y_NxC.reshape(33, 8, 2), (2, 1, 1))
        return jax.lax.scan(step, (params, optimizer.init(params)), batches)[0][0]

    return run(params, jnp.float32(0.01))


def test_adam_is_that_of_keras():
    """To rounding, with a learning rate that is traced."""
    params = two_epochs_of_the_problem(lambda rate: make_optimizer("adam", rates_of()._replace(learning_rate=rate)))
    np.testing.assert_allclose(params["kernel"], KERNEL_OF_KERAS, rtol=2e-6)
    np.testing.assert_allclose(params["bias"], BIAS_OF_KERAS, rtol=1e-5)


def test_the_form_of_optax_is_another():
    """The problem tells the two forms apart: with epsilon added after the correction small gradients go further."""
    params = two_epochs_of_the_problem(lambda rate: optax.adam(rate, eps=1e-7))
    differences = np.abs(np.asarray(params["kernel"]) - KERNEL_OF_KERAS)
    assert (differences[2:] > 1e-3).all(), differences


def test_first_step_of_adam_by_hand():
    """m = .1 g and v = .001 g^2, so that the step is rate * g / (|g| + 1e-7 / sqrt .001)."""
    gradient = np.array([1.0, -1e-3, 1e-6, 1e-9, 0.0])
    optimizer = make_optimizer("adam", rates_of(learning_rate=0.5))
    params = {"w": jnp.zeros(5)}
    updates, _ = optimizer.update({"w": jnp.float32(gradient)}, optimizer.init(params), params)
    expected = -0.5 * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(0.001))
    np.testing.assert_allclose(updates["w"], expected, rtol=1e-4)


def test_state_of_adam_is_that_of_optax():
    """Checkpoints that were written with optax.adam are restored: the same tree of the same shapes and types."""
    params = {"hidden_0": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
    ours, optax_s = optimizers.adam(rates_of()).init(params), optax.adam(0.01).init(params)
    assert jax.tree.structure(ours) == jax.tree.structure(optax_s)
    jax.tree.map(np.testing.assert_array_equal, ours, optax_s)
    assert [leaf.dtype for leaf in jax.tree.leaves(ours)] == [leaf.dtype for leaf in jax.tree.leaves(optax_s)]


def test_l2_pulls_at_kernels_alone():
    """w -= rate (g + l2 w) for a kernel; biases and the scale of batch normalization feel the gradient alone."""
    params = {
        "hidden_0": {"kernel": jnp.array([2.0]), "bias": jnp.array([2.0])},
        "batch_norm_0": {"scale": jnp.ones(1)},
    }
    gradient = jax.tree.map(lambda leaf: 0.5 * jnp.ones_like(leaf), params)
    optimizer = make_optimizer("sgd", rates_of(learning_rate=0.1, l2=0.25))
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates["hidden_0"]["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(updates["hidden_0"]["bias"], -0.05, rtol=1e-6)
    np.testing.assert_allclose(updates["batch_norm_0"]["scale"], -0.05, rtol=1e-6)


def test_a_third_optimizer_is_an_entry_of_the_table(monkeypatch, synthetic_config):
    """It is what a step descends with, and numbers that it does not take are refused with it."""

    def sign(rates):
        return optax.chain(optax.scale_by_sign(), optax.scale_by_learning_rate(rates.learning_rate))

    monkeypatch.setitem(optimizers.OPTIMIZERS, "sign", Optimizer(sign))
    synthetic_config.update(optimizer="sign", learning_rate=0.25, hidden=(4,))
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    state = functions.init(numbers, jax.random.key(0))
    after, _ = functions.step(state, numbers, (jnp.ones((2, 784)), jnp.array([0, 1]), jnp.ones(2)))
    change = np.abs(np.asarray(after.params["output"]["bias"] - state.params["output"]["bias"]))
    np.testing.assert_allclose(change, 0.25, rtol=1e-6)
    with pytest.raises(ConfigError, match=r"config.momentum=0.9 is for sgd; accepted with sign: 0.0"):
        as_config(shallow.get_config().to_dict() | {"optimizer": "sign", "momentum": 0.9})


def test_numbers_that_an_optimizer_takes(monkeypatch):
    """Momentum goes with every entry that takes it, with adam only at its default."""
    fields = shallow.get_config().to_dict()
    assert as_config(fields | {"optimizer": "sgd", "momentum": 0.9}).momentum == 0.9
    assert as_config(fields | {"optimizer": "adam", "momentum": 0.0}).momentum == 0.0
    monkeypatch.setitem(optimizers.OPTIMIZERS, "heavy", Optimizer(optimizers.sgd, takes=("momentum",)))
    assert as_config(fields | {"optimizer": "heavy", "momentum": 0.5}).momentum == 0.5
    with pytest.raises(ConfigError, match=r"config.momentum=0.9 is for sgd, heavy; accepted with adam: 0.0"):
        as_config(fields | {"optimizer": "adam", "momentum": 0.9})


GRADIENTS = np.float32(np.random.default_rng(3).standard_normal((7, 3, 2)))
PARAMS = {"kernel": jnp.float32([[1.0, -2.0], [0.5, 0.1], [3.0, 0.0]]), "bias": jnp.float32([1.0, -1.0])}


def after_steps(optimizer):
    """Kernel and bias after seven steps with gradients that depend on them."""
    params, state = PARAMS, optimizer.init(PARAMS)
    for gradient_3x2 in GRADIENTS:
        gradient = {"kernel": gradient_3x2 + 0.1 * params["kernel"], "bias": gradient_3x2[0]}
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_close(params, expected):
    """To rounding, and away from the start."""
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(params[name], expected[name], rtol=1e-5, atol=1e-6)
        assert np.abs(np.asarray(params[name]) - PARAMS[name]).min() > 1e-3


def test_nesterov_is_that_of_optax_and_of_sutskever():
    """Also by hand, v = m v + g, w -= rate (g + m v); Polyak's ends elsewhere."""
    ours = after_steps(make_optimizer("sgd", rates_of(learning_rate=0.1, momentum=0.9), nesterov=True))
    assert_close(ours, after_steps(optax.sgd(0.1, 0.9, nesterov=True)))
    kernel, velocity = np.float64(PARAMS["kernel"]), 0.0
    for gradient_3x2 in np.float64(GRADIENTS):
        gradient = gradient_3x2 + 0.1 * kernel
        velocity = 0.9 * velocity + gradient
        kernel = kernel - 0.1 * (gradient + 0.9 * velocity)
    np.testing.assert_allclose(ours["kernel"], kernel, rtol=1e-5)
    polyak = after_steps(make_optimizer("sgd", rates_of(learning_rate=0.1, momentum=0.9)))
    assert np.abs(np.asarray(ours["kernel"]) - polyak["kernel"]).max() > 0.01


@pytest.mark.parametrize("numbers", [{}, {"beta1": 0.7, "beta2": 0.9, "weight_decay": 0.3}])
def test_adamw_is_that_of_optax(numbers):
    """With an epsilon that is next to nothing, so that its place makes no difference; biases do not decay."""
    ours = after_steps(make_optimizer("adamw", rates_of(learning_rate=0.05, epsilon=1e-12, **numbers)))
    given = {"beta1": 0.9, "beta2": 0.999, "weight_decay": 0.004} | numbers
    theirs = optax.adamw(
        0.05,
        given["beta1"],
        given["beta2"],
        eps=1e-12,
        weight_decay=given["weight_decay"],
        mask={"kernel": True, "bias": False},
    )
    assert_close(ours, after_steps(theirs))


def test_adam_with_other_numbers_by_hand():
    """Keras's form with a large epsilon: m sqrt(1 - b2^t) / (1 - b1^t) / (sqrt v + epsilon)."""
    ours = after_steps(make_optimizer("adam", rates_of(learning_rate=0.1, beta1=0.5, beta2=0.8, epsilon=0.3)))
    kernel, m, v = np.float64(PARAMS["kernel"]), 0.0, 0.0
    for t, gradient_3x2 in enumerate(np.float64(GRADIENTS), start=1):
        gradient = gradient_3x2 + 0.1 * kernel
        m, v = 0.5 * m + 0.5 * gradient, 0.8 * v + 0.2 * gradient**2
        kernel = kernel - 0.1 * m * np.sqrt(1 - 0.8**t) / (1 - 0.5**t) / (np.sqrt(v) + 0.3)
    np.testing.assert_allclose(ours["kernel"], kernel, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimizer": "adam", "nesterov": True}, "config.nesterov=True is for sgd; accepted with adam: False"),
        ({"beta1": 0.5}, "config.beta1=0.5 is for adam, adamw; accepted with sgd: 0.9"),
        ({"optimizer": "adam", "weight_decay": 0.1}, "=0.1 is for adamw; accepted with adam: 0.004"),
        ({"nesterov": True}, "config.nesterov=True with config.momentum=0.0 is plain descent; accepted: momentum"),
        ({"optimizer": "adam", "beta2": 1.0}, r"config.beta2=1.0 is not accepted; accepted: a number in \[0, 1\)"),
        ({"optimizer": "adam", "beta2": 0.999999999}, r"accepted: a number in \[0, 1\)"),
        ({"optimizer": "adam", "epsilon": 0.0}, "config.epsilon=0.0 is not accepted; accepted: a finite number above"),
        ({"optimizer": "adamw", "weight_decay": -0.1}, "accepted: a finite number from 0"),
    ],
)
def test_refusals_of_optimizers(fields, said):
    """One line that says what is accepted."""
    with pytest.raises(ConfigError, match=said) as caught:
        as_config(fields)
    assert "\n" not in str(caught.value)


def test_inputs_that_are_always_zero_decay_with_adamw():
    """Training does without them where nothing decays; AdamW shrinks their weights too."""
    images = np.zeros((4, 784), np.uint8)
    images[:, 3] = 9
    dataset = Dataset(images, np.zeros(4, np.int32), images, np.zeros(4, np.int32))
    for fields, are_kept in (
        ({"optimizer": "adam"}, False),
        ({"optimizer": "adam", "l2": 0.1}, True),
        ({"optimizer": "adamw"}, True),
        ({"optimizer": "adamw", "weight_decay": 0.0}, False),
    ):
        assert (make_data(as_config(fields), dataset).live_K is None) == are_kept, fields
