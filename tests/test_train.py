"""Steps against a float64 back-propagation written by hand, the shuffle, and what an epoch means.

B batch, D inputs, H hidden units, C classes.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import input_pipeline
import nets
import train
from configs import deep, intermediate, shallow
from training import models
from training.batches import batches, make_data, on_data, permutation
from training.compiling import FAST_TO_RUN, compiled
from training.screen import summary, uniform_guess_cost

# Derivatives da/dz by hand, in float64, of z and of the output a.
ERF = np.vectorize(math.erf)


def normal_cdf(z):
    return 0.5 * (1 + ERF(z / math.sqrt(2)))


def logistic(z):
    return 0.5 * (1 + np.tanh(z / 2))


ACTIVATIONS_64 = {
    "sigmoid": (logistic, lambda z: logistic(z) * (1 - logistic(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "softplus": (lambda z: np.logaddexp(0, z), logistic),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1, 0.01)),
    "gelu": (
        lambda z: z * normal_cdf(z),
        lambda z: normal_cdf(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "identity": (lambda z: z, np.ones_like),
    "step": (lambda z: (z > 0) * 1.0, np.zeros_like),
}
PAIRS = [
    (cost, output)
    for cost, output in itertools.product(nets.costs.COSTS, nets.costs.OUTPUTS)
    if (cost, output) != ("cross_entropy", "identity")
]
# The slope of an activation and the error of an output neuron are factors of one product, which meet in nothing else:
# every pair of cost and output stands with the sigmoid, and each other activation with one of them in turn.
CASES = [("sigmoid", *pair) for pair in PAIRS] + [
    (activation, *PAIRS[i % len(PAIRS)]) for i, activation in enumerate(ACTIVATIONS_64) if activation != "sigmoid"
]


def output_64(z_BxC, output):
    if output == "softmax":
        e_BxC = np.exp(z_BxC - z_BxC.max(axis=1, keepdims=True))
        return e_BxC / e_BxC.sum(axis=1, keepdims=True)
    return logistic(z_BxC) if output == "sigmoid" else z_BxC


def output_delta_64(z_BxC, y_BxC, cost, output):
    """dC/dz of the output layer, C the mean over the batch."""
    a_BxC = output_64(z_BxC, output)
    if cost == "cross_entropy":
        return (a_BxC - y_BxC) / len(z_BxC)
    g_BxC = 2 * (a_BxC - y_BxC) / y_BxC.size
    if output == "softmax":
        return a_BxC * (g_BxC - (g_BxC * a_BxC).sum(axis=1, keepdims=True))
    return g_BxC * a_BxC * (1 - a_BxC) if output == "sigmoid" else g_BxC


def step_64(params, x_BxD, y_BxC, config):
    """One step of plain gradient descent with L2 on the kernels, in place, layer by layer as in a textbook."""
    function, slope = ACTIVATIONS_64[config.activation]
    layers = [f"hidden_{i}" for i in range(len(config.hidden))] + ["output"]
    inputs, weighted = [x_BxD], []
    for layer in layers:
        weighted.append(inputs[-1] @ params[layer]["kernel"] + params[layer]["bias"])
        inputs.append(function(weighted[-1]))
    delta = output_delta_64(weighted[-1], y_BxC, config.cost, config.output)
    for i in reversed(range(len(layers))):
        layer = params[layers[i]]
        below = delta @ layer["kernel"].T
        layer["kernel"] -= config.learning_rate * (inputs[i].T @ delta + config.l2 * layer["kernel"])
        layer["bias"] -= config.learning_rate * delta.sum(axis=0)
        if i:
            delta = below * slope(weighted[i - 1])


def relative_difference(params, params_64):
    """The largest over the arrays of |difference| / |reference|, in the Euclidean norm."""
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(params_64), strict=True)
    return max(np.linalg.norm(np.float64(a) - b) / max(np.linalg.norm(b), 1e-12) for a, b in pairs)


@functools.cache
def subsampled_mnist():
    """The first 4,064 images, which are 31 batches of 128 and one of 96, by a seventh of their pixels."""
    mnist = input_pipeline.load("mnist")
    return mnist.images[:4_064, ::7].copy(), mnist.labels[:4_064]


@functools.cache
def initial_state(hidden):
    """One draw for every activation and cost."""
    config = shallow.get_config()
    config.hidden, config.inputs = hidden, 112
    return train.make_train(config).init(train.hyperparameters(config), jax.random.key(1))


def train_both_ways(config, passes):
    """Parameters after so many passes of 32 steps, from one draw: by `step`, and by the float64 formulas."""
    images, labels = subsampled_mnist()
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    order, weights = (np.asarray(a) for a in batches(jnp.arange(4_064), 128))
    assert weights[-1].sum() == 96

    def one_step(state, rows):
        return functions.step(state, numbers, (jnp.asarray(images)[rows[0]], jnp.asarray(labels)[rows[0]], rows[1]))

    def one_pass(state, _):
        return jax.lax.scan(one_step, state, (order, weights))

    start = initial_state(config.hidden)
    # As a run compiles it, since what is compiled otherwise may round otherwise.
    all_passes = compiled(lambda state: jax.lax.scan(one_pass, state, length=passes), start, cpu_options=FAST_TO_RUN)
    state, _ = all_passes(start)
    assert int(state.step) == 32 * passes
    params_64 = jax.tree.map(np.float64, start.params)
    x_NxD, y_NxC = np.float64(images) / 255, np.eye(10)[labels]
    for _ in range(passes):
        for first in range(0, 4_064, 128):
            step_64(params_64, x_NxD[first : first + 128], y_NxC[first : first + 128], config)
    return state.params, params_64


@pytest.mark.parametrize(("activation", "cost", "output"), CASES)
def test_thousand_steps_agree_with_float64_back_propagation(activation, cost, output, optimized):
    """From the same weights and batches, on real MNIST, the 96-example batch padded to 128 included."""
    config = shallow.get_config()
    config.activation, config.cost, config.output, config.inputs = activation, cost, output, 112
    # An example whose z changes sign by rounding counts as a whole at a kink, so few units leave few such chances.
    config.hidden = (4,) if activation in ("relu", "leaky_relu", "step") else (8, 8)
    config.learning_rate = 0.05
    assert relative_difference(*train_both_ways(config, passes=32)) < 1e-5


def test_l2_agrees_with_float64_back_propagation(optimized):
    """L2 shrinks the kernels and leaves the biases alone."""
    config = shallow.get_config()
    config.hidden, config.inputs, config.learning_rate, config.l2 = (8, 8), 112, 0.5, 0.1
    assert relative_difference(*train_both_ways(config, passes=1)) < 1e-5


def plain_gradients(config):
    """A function giving the output kernel's gradient: the difference made by one plain SGD step of rate 1."""
    config = config.copy_and_resolve_references()
    config.optimizer, config.momentum, config.learning_rate = "sgd", 0.0, 1.0
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    start = functions.init(numbers, jax.random.key(0))

    def gradient(params, batch):
        after, _ = functions.step(start._replace(params=params), numbers, batch)
        return np.float64(params["output"]["kernel"]) - np.float64(after.params["output"]["kernel"])

    return gradient


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.9), ("adam", 0.0)])
def test_momentum_and_adam_agree_with_their_formulas(synthetic_config, optimizer, momentum):
    """v = m v + g, w -= rate v (Sutskever et al. 2013); Adam as in Kingma & Ba (2015), end of section 2."""
    data = input_pipeline.load("synthetic")
    batch = (data.images[:100], data.labels[:100], jnp.ones(100))
    config = synthetic_config
    config.optimizer, config.momentum, config.hidden, config.learning_rate = optimizer, momentum, (8,), 0.1
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    state = functions.init(numbers, jax.random.key(0))
    gradients, first, second = plain_gradients(config), 0.0, 0.0
    for t in range(1, 6):
        gradient = gradients(state.params, batch)
        before = np.float64(state.params["output"]["kernel"])
        state, _ = functions.step(state, numbers, batch)
        if optimizer == "sgd":
            first = momentum * first + gradient
            change = config.learning_rate * first
        else:
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            corrected_rate = config.learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            change = corrected_rate * first / (np.sqrt(second) + 1e-7)
        np.testing.assert_allclose(before - np.float64(state.params["output"]["kernel"]), change, rtol=1e-3, atol=1e-6)


def test_momentum_zero_as_an_array_is_plain_sgd(synthetic_config):
    """A lane of momentum 0 beside others gives what a run without velocity gives."""
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    assert numbers.momentum is None
    data = input_pipeline.load("synthetic")
    plain = functions.epoch(functions.init(numbers, jax.random.key(0)), numbers, data, jax.random.key(1))[0]
    lanes = numbers._replace(momentum=jnp.array([0.0, 0.9]))
    axes = train.Hyperparameters(None, 0, None, None)

    def run(numbers):
        return functions.epoch(functions.init(numbers, jax.random.key(0)), numbers, data, jax.random.key(1))[0]

    both = jax.jit(jax.vmap(run, in_axes=(axes,)))(lanes)
    first = jax.tree.map(lambda leaf: leaf[0], both.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), first, plain.params)
    assert not np.allclose(both.params["output"]["kernel"][1], plain.params["output"]["kernel"], atol=1e-4)


def test_epoch_is_its_steps(synthetic_config):
    """One epoch equals its steps taken one by one over the same order; its metrics are their weighted means."""
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    data, key = input_pipeline.load("synthetic"), jax.random.key(5)
    start = functions.init(numbers, jax.random.key(0))
    after, metrics = functions.epoch(start, numbers, data, key)
    order, weights = batches(permutation(key, 512), 100)
    assert order.shape == (6, 100)
    assert weights.sum() == 512
    state, seen = start, []
    for rows, weight in zip(order, weights, strict=True):
        state, m = functions.step(state, numbers, (data.images[rows], data.labels[rows], weight))
        seen.append((float(m["examples"]), float(m["loss"]), float(m["accuracy"])))
    assert [examples for examples, _, _ in seen] == [100.0] * 5 + [12.0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after, state)
    for i, name in enumerate(("loss", "accuracy"), start=1):
        assert float(metrics[name]) == pytest.approx(sum(s[0] * s[i] for s in seen) / 512, rel=1e-5)


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.9), ("adam", 0.0)])
def test_training_does_without_inputs_that_are_always_zero(synthetic_config, optimizer, momentum):
    """The epoch on live inputs is the epoch on all of them; weights of the others keep their bits; L2 keeps all."""
    synthetic_config.update(optimizer=optimizer, momentum=momentum)
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    dataset = input_pipeline.load("synthetic")
    dead = np.arange(784) % 3 == 0
    dataset.images[:, dead] = 0
    data = make_data(synthetic_config, dataset)
    assert data.training[0].shape == (512, (~dead).sum()) and data.validation[0].shape[1] == 784
    state, key = functions.init(numbers, jax.random.key(0)), jax.random.key(1)
    # Another epoch before: the optimizer's state is then not zero.
    state, _ = functions.epoch(state, numbers, dataset, key)
    expected, expected_metrics = functions.epoch(state, numbers, dataset, key)
    found, metrics = jax.jit(on_data(functions.epoch))(state, numbers, data, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
    assert float(metrics["loss"]) == pytest.approx(float(expected_metrics["loss"]), rel=1e-5)
    kernels = [run.params["hidden_0"]["kernel"] for run in (found, state)]
    np.testing.assert_array_equal(kernels[0][dead], kernels[1][dead])
    assert not np.array_equal(kernels[0][~dead], kernels[1][~dead])
    synthetic_config.l2 = 0.01
    assert make_data(synthetic_config, dataset).training[0].shape == (512, 784)


def test_padding_counts_for_nothing():
    """With batch normalization, dropout and Adam too, the content of padding rows changes no bit."""
    config = deep.get_config()
    config.dropout = 0.2
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    data = input_pipeline.load("synthetic")
    state = functions.init(numbers, jax.random.key(0))
    weights = jnp.where(jnp.arange(128) < 96, 1.0, 0.0)
    other = np.where(np.arange(128)[:, None] < 96, data.images[:128], 255).astype(np.uint8)
    a = functions.step(state, numbers, (data.images[:128], data.labels[:128], weights))
    b = functions.step(state, numbers, (other, data.labels[:128], weights))
    jax.tree.map(np.testing.assert_array_equal, a, b)


drawn = jax.jit(permutation, static_argnums=1)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1023, 1024, 1025, 5_000, 60_000, 65_537])
def test_permutation_is_one(count):
    """Every number once, and another order for another key."""
    order, other = (np.asarray(drawn(jax.random.key(seed), count)) for seed in (0, 1))
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    if count > 10:
        assert not np.array_equal(order, other)


def test_permutation_is_uniform():
    """Over 400 keys: positions of single numbers, and pairs in one batch, as often as in uniform orders."""
    count, batch, keys = 2_000, 100, 400
    draw = jax.jit(jax.vmap(lambda key: permutation(key, count)))
    orders = np.asarray(draw(jax.random.split(jax.random.key(7), keys)))
    positions = np.argsort(orders, axis=1)
    batches = positions // batch  # [keys, count]: the batch that each number falls into, one of 20
    cells = np.stack([np.bincount(batches[:, n], minlength=20) for n in range(count)])
    chi_square = ((cells - keys / 20) ** 2 / (keys / 20)).sum(axis=1)  # 19 degrees of freedom each
    assert abs(chi_square.mean() - 19) < 5 * math.sqrt(2 * 19 / count)
    for distance in (1, 2, 44, 45, 46, 1_000):  # Neighbours in the data, along the grid's rows and columns of 45.
        together = (batches == np.roll(batches, distance, axis=1)).mean()
        expected = (batch - 1) / (count - 1)
        assert abs(together - expected) < 5 * math.sqrt(expected / (keys * count))


def test_same_seed_same_bits_and_one_compilation(synthetic_config):
    """New numbers and a new key recompile nothing; the same ones give the same bits."""
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    data = input_pipeline.load("synthetic")
    states = []
    for rate, seed in ((0.01, 0), (0.5, 1), (0.01, 0)):
        new = numbers._replace(learning_rate=jnp.float32(rate), l2=jnp.float32(rate / 100))
        state = functions.init(new, jax.random.key(seed))
        states.append(functions.epoch(state, new, data, jax.random.key(seed))[0])
    jax.tree.map(np.testing.assert_array_equal, states[0], states[2])
    assert functions.epoch._cache_size() == functions.init._cache_size() == 1, "a run-time number became structural"


def test_evaluate_counts_every_example(synthetic_config):
    """2,001 examples, one more than a chunk: loss and accuracy of all of them."""
    functions, numbers = train.make_train(synthetic_config), train.hyperparameters(synthetic_config)
    data = input_pipeline.synthetic(2_001, 10)
    state = functions.init(numbers, jax.random.key(0))
    logits, _ = jax.jit(models.make_mlp(synthetic_config).apply)(train.variables(state), np.float32(data.images / 255))
    expected = jax.jit(nets.costs.quadratic)(logits, np.eye(10, dtype=np.float32)[data.labels])
    metrics = functions.evaluate(state, data.images, data.labels)
    assert float(metrics["loss"]) == pytest.approx(float(expected.mean()), rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(np.asarray(logits).argmax(1) == data.labels), abs=1e-6)


def test_a_real_epoch_starts_above_the_uniform_guess():
    """469 steps whose mean cost lies just above .09, as in the lecture's log."""
    config = shallow.get_config("quick")
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    mnist = input_pipeline.load("mnist")
    init_key, shuffle_key = train.run_keys(config.seed)
    state, metrics = functions.epoch(functions.init(numbers, init_key), numbers, mnist, shuffle_key)
    assert int(state.step) == 469
    assert 0.0895 < float(metrics["loss"]) < 0.095
    assert uniform_guess_cost(config) == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("config", "total"), [(shallow, "50,890"), (intermediate, "55,050"), (deep, "59,978  (59,594 trainable)")]
)
def test_summary_counts_the_lectures_parameters(config, total):
    """The lecture's own counts."""
    functions, numbers = train.make_train(config.get_config()), train.hyperparameters(config.get_config())
    shapes = jax.eval_shape(functions.init, numbers, jax.random.key(0))
    assert (
        summary(train.as_config(config.get_config()), shapes.params, shapes.batch_stats)
        .splitlines()[-1]
        .endswith(total)
    )


def test_tensorflow_datasets_is_imported_beside_no_other_thread(tmp_path, synthetic_config, monkeypatch):
    """It exchanges Python's `import` for a while, at which a program that is traced meanwhile fails."""
    begun = []

    def load(config, data_dir):
        begun.append("load")
        raise input_pipeline.DataError("enough")

    monkeypatch.setattr(train, "load_dataset", load)
    monkeypatch.setattr(train, "check_sums", lambda: begun.append("check"))
    synthetic_config.dataset = "tfds:some"
    with pytest.raises(input_pipeline.DataError, match="enough"):
        train.train_and_evaluate(synthetic_config, tmp_path / "run")
    assert begun == ["load"]
