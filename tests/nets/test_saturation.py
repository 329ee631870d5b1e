"""The measures of saturation against hand-made layers, closed forms, numpy in float64, and identities."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from nets import saturation
from nets.activations import ACTIVATIONS, ADDED, INF, Activation

BOUNDED = ["sigmoid", "tanh", "softsign", "step", "relu6", "hard_tanh", "hard_sigmoid"]
UNBOUNDED = {
    "relu": "use zero_fraction, dead_units or dormant_units",
    **dict.fromkeys(("softplus", "gelu_tanh", "silu", "mish", "elu", "selu", "celu", "hard_silu"), "use slope_mass"),
    "gelu": "use slope_mass",
    "leaky_relu": "it has no asymptote at all",
    "identity": "it has no asymptote at all",
}
LECUN = Activation(lambda z: 1.75 * jnp.tanh(2 / 3 * z), (-1.75, 1.75), (-1.75, 1.75), 1.75 * 2 / 3)
ONE_MINUS_SIGMOID = Activation(lambda z: jax.nn.sigmoid(-z), (0.0, 1.0), (1.0, 0.0), 0.25)


def bump(z):
    """Both its asymptotes are 0, and its range ends at 1, where it is steep on neither side."""
    return jnp.exp(-(z**2))


# Every measure of outputs or weighted inputs as a function of one array, with whether it gives floats.
MEASURES = {
    "saturated_fraction": (lambda a: saturation.saturated_fraction(a, "tanh"), True),
    "unit_saturation": (lambda a: saturation.unit_saturation(a, "tanh"), True),
    "phi, even": (lambda a: saturation.phi(a, "tanh"), True),
    "phi, odd": (lambda a: saturation.phi(a, "tanh", 5), True),
    "slopes": (lambda a: saturation.slopes(a, "relu"), True),
    "slope_mass": (lambda a: saturation.slope_mass(a, "relu"), True),
    "statistics": (saturation.statistics, True),
    "zero_fraction": (saturation.zero_fraction, True),
    "wrong_side_fraction": (lambda a: saturation.wrong_side_fraction(a, jnp.ones_like(a)), True),
    "dead_units": (saturation.dead_units, False),
    "dormant_units": (lambda a: saturation.dormant_units(a, 0.5), False),
}


def normal_grid(n, sigma):
    """n weighted inputs with the quantiles of N(0, sigma^2), as [n / 10, 10]."""
    return jnp.asarray(sigma * scipy.special.ndtri((np.arange(n) + 0.5) / n).reshape(-1, 10), jnp.float32)


def test_every_activation_is_bounded_or_refused():
    """A new one in the table must be placed; what other tests have added was not in it."""
    assert set(BOUNDED) | set(UNBOUNDED) == set(ACTIVATIONS) - ADDED


@pytest.mark.parametrize(
    ("activation", "a", "saturated"),
    [
        ("sigmoid", [0.0, 0.049, 0.05, 0.051, 0.5, 0.949, 0.95, 0.951, 1.0], [1, 1, 0, 0, 0, 0, 0, 1, 1]),
        ("tanh", [-1.0, -0.901, -0.9, -0.899, 0.0, 0.899, 0.9, 0.901, 1.0], [1, 1, 0, 0, 0, 0, 0, 1, 1]),
        ("softsign", [-1.0, -0.901, -0.9, -0.899, 0.0, 0.899, 0.9, 0.901, 1.0], [1, 1, 0, 0, 0, 0, 0, 1, 1]),
        ("step", [0.0, 1.0], [1, 1]),
        (LECUN, [-1.58, -1.57, 0.0, 1.57, 1.58], [1, 0, 0, 0, 1]),
        (ONE_MINUS_SIGMOID, [0.04, 0.06, 0.94, 0.96], [1, 0, 0, 1]),
    ],
)
def test_saturated_is_strictly_nearer_than_a_twentieth_of_the_range(activation, a, saturated):
    """Output by output, each a unit of a layer with one example."""
    a = np.array([a])
    np.testing.assert_array_equal(saturation.unit_saturation(a, activation), saturated)
    assert float(saturation.saturated_fraction(a, activation)) == pytest.approx(np.mean(saturated), rel=1e-6)


def test_units_are_columns_and_margin_is_a_share_of_the_range():
    """Four examples of three units, counted by hand."""
    a = np.array([[0.01, 0.2, 0.5], [0.99, 0.9, 0.5], [0.02, 0.7, 0.5], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(saturation.unit_saturation(a, "sigmoid"), [0.75, 0.0, 0.0])
    np.testing.assert_array_equal(saturation.unit_saturation(a, "sigmoid", 0.25), [0.75, 0.5, 0.0])
    np.testing.assert_array_equal(saturation.unit_saturation(2 * a - 1, "tanh", 0.25), [0.75, 0.5, 0.0])
    assert float(saturation.saturated_fraction(a, "sigmoid", 0.25)) == pytest.approx(5 / 12, rel=1e-6)


def test_unit_variance_weights_saturate_a_sigmoid_layer():
    """z ~ N(0, 784/3): 85.55 % of the outputs have |z| > ln 19; with the variance of Glorot's, 3e-5."""
    sigma = math.sqrt(784 / 3)
    share = float(saturation.saturated_fraction(jax.nn.sigmoid(normal_grid(100_000, sigma)), "sigmoid"))
    assert share == pytest.approx(math.erfc(math.log(19) / sigma / math.sqrt(2)), abs=2e-5)
    assert share == pytest.approx(0.8555, abs=1e-4)
    sigma *= math.sqrt(2 / (784 + 256))
    share = float(saturation.saturated_fraction(jax.nn.sigmoid(normal_grid(100_000, sigma)), "sigmoid"))
    assert share == pytest.approx(math.erfc(math.log(19) / sigma / math.sqrt(2)), abs=1e-5)
    assert 2e-5 < share < 4e-5


def phi_by_bins(a, low, high, bins):
    """The paper's definition, in float64."""
    a = np.asarray(a, np.float64).ravel()
    index = np.minimum(np.floor((a - low) / (high - low) * bins), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = a[index == b]
        if inside.size:
            total += abs(2 * (inside.mean() - low) / (high - low) - 1) * inside.size
    return total / a.size


@pytest.mark.parametrize("bins", [1, 2, 3, 4, 5, 7, 10, 11, 100])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", LECUN])
def test_phi_is_the_papers_sum_over_bins(activation, bins):
    """Lopsided random outputs and both ends; an even number of bins gives the mean of |g'|."""
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    z = 0.3 + 1.5 * np.random.default_rng(bins).standard_normal((60, 7)).astype(np.float32)
    low, high = entry.range
    a = np.concatenate([entry.function(z), np.full((1, 7), high), np.full((2, 7), low)]).astype(np.float32)
    value = float(saturation.phi(a, activation, bins))
    assert value == pytest.approx(phi_by_bins(a, low, high, bins), rel=1e-5)
    straight = np.abs(2 * (np.asarray(a, np.float64) - low) / (high - low) - 1).mean()
    assert (value == pytest.approx(straight, rel=1e-5)) == (bins % 2 == 0)


@pytest.mark.parametrize(
    ("a", "bins", "expected"),
    [
        ([0.0, 1.0], 1, 0.0),  # Two ends in one bin cancel,
        ([0.0, 1.0], 2, 1.0),  # and saturate in two.
        ([1.0, 1.0], 1, 1.0),  # The upper end belongs to the last bin.
        ([1.0, 1.0], 3, 1.0),
        ([0.5, 0.5], 10, 0.0),
        ([0.25, 0.75], 3, 0.5),
        ([0.4, 0.6], 3, 0.0),
        ([0.4, 0.6], 10, 0.2),
        ([0.375, 0.5, 0.625, 0.0], 4, (0.25 + 0.25 + 1.0) / 4),
    ],
)
def test_phi_of_hand_made_layers(a, bins, expected):
    """Values on and off the bins' edges."""
    assert float(saturation.phi(np.array([a]), "sigmoid", bins)) == pytest.approx(expected, abs=1e-6)


def test_phi_tells_saturated_from_normal_from_linear():
    """Every output of a step is at an end; uniform outputs give 1/2; small weighted inputs nearly 0."""
    assert float(saturation.phi(np.array([[0.0, 1.0, 1.0]]), "step", np.int64(10))) == 1.0
    uniform = (np.arange(1000.0).reshape(-1, 10) + 0.5) / 500 - 1
    assert float(saturation.phi(uniform, "tanh")) == pytest.approx(0.5, rel=1e-5)
    assert float(saturation.phi(np.tanh(uniform / 100), "tanh")) == pytest.approx(0.005, rel=1e-3)


SMOOTH = [name for name in ACTIVATIONS if name != "step"]
END = 6.0


@functools.cache
def masses_and_ends():
    """The slope mass over a grid of [-END, END], and the outputs at both ends: one program for all activations."""
    n = 40_000
    z = np.float32(-END + 2 * END * (np.arange(n) + 0.5) / n).reshape(-1, 20)
    of = lambda name, z, ends: (saturation.slope_mass(z, name), ACTIVATIONS[name].function(ends))  # noqa: E731
    return jax.device_get(jax.jit(lambda *args: {name: of(name, *args) for name in SMOOTH})(z, np.float32([-END, END])))


@pytest.mark.parametrize("name", SMOOTH)
def test_slope_mass_is_the_total_variation_over_an_interval(name):
    """The mean of |f'| over a grid of [-c, c] is the variation of f there over 2c; some fall before they rise."""
    entry = ACTIVATIONS[name]
    mass, (low, high) = masses_and_ends()[name]
    falls = entry.range[0] < 0 == entry.asymptotes[0]
    variation = low + high - 2 * entry.range[0] if falls else high - low
    assert mass == pytest.approx(variation / (2 * END) / entry.max_slope, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("sigmoid", lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
        ("tanh", lambda z: 1 / np.cosh(z) ** 2),
        ("softplus", lambda z: 1 / (1 + np.exp(-z))),
        ("softsign", lambda z: 1 / (1 + np.abs(z)) ** 2),
        ("relu", lambda z: (z > 0) * 1.0),
        ("leaky_relu", lambda z: np.where(z > 0, 1.0, 0.01)),
        ("identity", np.ones_like),
        ("step", np.zeros_like),
    ],
)
def test_slopes_are_the_derivatives_by_hand(name, slope):
    """In float64."""
    z = 3 * np.random.default_rng(0).standard_normal((20, 5)).astype(np.float32)
    np.testing.assert_allclose(saturation.slopes(z, name), slope(z.astype(np.float64)), rtol=2e-4, atol=3e-7)


def test_slope_mass_of_a_rising_and_falling_function_counts_both():
    """|f'|, not f'; half of relu's inputs give one half."""
    z = np.linspace(-5.0, 5.0, 2001)[:, None]
    steepest = math.sqrt(2 / math.e)
    entry = Activation(bump, (0.0, 1.0), (0.0, 0.0), steepest)
    assert float(jax.jit(saturation.slope_mass, static_argnums=1)(z, entry)) == pytest.approx(
        2 / 10 / steepest, rel=2e-3
    )
    assert float(saturation.slope_mass(jnp.array([[-1, 2], [3, -4]]), "relu")) == 0.5


def some_layers():
    """Layers whose order statistics are awkward: one output, ties, signs, the ends of float32, whole positions."""
    random = np.random.default_rng(0)
    shape = (70, 11)
    signs = random.choice([-1, 1], shape)
    return {
        "one output": np.array([[0.3]]),
        "two outputs": np.array([[-0.3, 4.0]]),
        "fifty-one, a whole position": random.standard_normal((51, 1)),
        "all equal": np.full(shape, -1.5),
        "all negative": -random.random(shape) - 1,
        "relu": np.maximum(0, random.standard_normal(shape)),
        "mostly zeros of both signs": np.where(random.random(shape) < 0.99, 0.0, 1.0) * signs,
        "whole numbers with ties": random.integers(-3, 4, shape),
        "scales from 1e-30 to 1e30": signs * 10 ** random.uniform(-30, 30, shape),
        "a probe set": random.random((1000, 64)),
    }


@pytest.mark.parametrize("case", some_layers())
def test_statistics_are_numpys(case):
    """The percentile to float32 rounding of the same outputs; mean and deviation against float64."""
    a = np.asarray(some_layers()[case], np.float32)
    measured = jax.jit(saturation.statistics)(a)
    assert set(measured) == {"mean", "std", "percentile_98"}
    assert float(measured["percentile_98"]) == pytest.approx(np.percentile(a.astype(np.float64), 98), rel=3e-7)
    if "1e30" not in case:
        assert float(measured["mean"]) == pytest.approx(a.mean(dtype=np.float64), rel=1e-5, abs=1e-6)
        assert float(measured["std"]) == pytest.approx(a.std(dtype=np.float64), rel=1e-5, abs=1e-6)


def test_statistics_sort_nothing():
    """A sort of a probe set costs as much as a tenth of an epoch on a CPU."""
    operations = str(jax.make_jaxpr(saturation.statistics)(jnp.ones((1000, 64))))
    assert "sort" not in operations and "top_k" not in operations


def test_half_precision_counts_beyond_2048():
    """Sums of float16 would not."""
    a = np.ones((100, 100), np.float16)
    a[0, 0] = 0
    assert float(saturation.zero_fraction(a)) == pytest.approx(1e-4, rel=1e-5)
    assert float(saturation.slope_mass(np.float16(60_000) * a, "relu")) == pytest.approx(1 - 1e-4, rel=1e-5)
    assert float(jax.jit(saturation.statistics)(np.float16(60_000) * a)["mean"]) == pytest.approx(59_994, rel=1e-5)
    assert float(saturation.zero_fraction(a.astype(bool))) == pytest.approx(1e-4, rel=1e-5)


def test_zeros_dead_and_dormant_units_of_a_hand_made_layer():
    """Five units: dead, nearly silent, active, silent once, and negative; the layer's mean |a| is 1.162."""
    a = jnp.array([[0.0, 0.01, 2.0, 0.0, -2.0], [-0.0, 0.01, 3.0, 2.6, -2.0]])
    assert float(saturation.zero_fraction(a)) == pytest.approx(0.3, rel=1e-6)
    np.testing.assert_array_equal(saturation.dead_units(a), [True, False, False, False, False])
    np.testing.assert_array_equal(saturation.dormant_units(a), [True, False, False, False, False])
    np.testing.assert_array_equal(saturation.dormant_units(a, 0.025), [True, True, False, False, False])
    # Unit means are 0, .01, 2.5, 1.3, 2: the fourth lies at 1.1188 of the layer's.
    np.testing.assert_array_equal(saturation.dormant_units(a, 1.11), [True, True, False, False, False])
    np.testing.assert_array_equal(saturation.dormant_units(a, 1.12), [True, True, False, True, False])


def test_a_layer_of_zeros_is_dead_and_dormant_and_a_trickle_is_neither():
    """0 / 0 is no NaN; tiny outputs are not 0."""
    zeros, tiny = jnp.zeros((4, 3)), jnp.full((4, 3), 1e-30)
    for measure in (saturation.dead_units, saturation.dormant_units, lambda a: saturation.dormant_units(a, 0.1)):
        assert measure(zeros).dtype == bool and measure(zeros).all()
        assert not measure(tiny).any()


def test_wrong_side_of_the_target():
    """|a - y| > .95 strictly, per output neuron."""
    y = np.array([[0, 1, 0], [1, 0, 0]])
    a = np.array([[0.96, 0.04, 0.95], [0.05, 0.5, 0.0]])
    assert float(saturation.wrong_side_fraction(a, y)) == pytest.approx(2 / 6, rel=1e-6)
    assert float(saturation.wrong_side_fraction(a, y, 0.4)) == pytest.approx(5 / 6, rel=1e-6)
    assert float(saturation.wrong_side_fraction(1 - y, y)) == 1.0
    assert float(saturation.wrong_side_fraction(y, y)) == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_jit_and_vmap_over_lanes_agree_with_each_lane_alone(measure):
    """Three lanes of different scales."""
    function, _ = MEASURES[measure]
    scale = np.array([0.1, 1.0, 30.0])[:, None, None]
    a = np.tanh(scale * np.random.default_rng(0).standard_normal((3, 40, 5))).astype(np.float32)
    a[a < -0.5] = 0
    a[1, :, 2] = 0
    lanes = jax.jit(jax.vmap(function))(a)
    alone = jax.tree.map(lambda *values: np.stack(values), *[jax.jit(function)(lane) for lane in a])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7), lanes, alone)
    assert len(np.unique(np.asarray(jax.tree.leaves(lanes)[0]), axis=0)) > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_not_finite_is_not_hidden(measure, bad):
    """NaN where the result is a float, in that unit alone where it is by unit; False where it is a truth value."""
    function, is_float = MEASURES[measure]
    a = np.zeros((4, 3), np.float32)
    a[2, 1] = bad
    result = jax.jit(function)(a)
    if measure in ("unit_saturation", "slopes"):
        assert np.isnan(result).sum() == 1
    elif is_float:
        assert all(np.isnan(value) for value in jax.tree.leaves(result))
    else:
        np.testing.assert_array_equal(result, [measure == "dead_units", False, measure == "dead_units"])


def test_a_target_that_is_not_finite_is_not_hidden():
    """Nor one behind an output that is right."""
    assert np.isnan(saturation.wrong_side_fraction(jnp.ones((2, 2)), jnp.array([[1.0, jnp.nan], [1.0, 1.0]])))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 3), (3, 0)])
def test_arrays_of_another_rank_and_empty_ones_are_refused(measure, shape):
    """In one line that names the argument and its shape."""
    with pytest.raises(ValueError, match=rf"^[az]_Bx[HC] has shape {re.escape(str(shape))}; accepted: [^\n]*$"):
        MEASURES[measure][0](np.ones(shape, np.float32))


@pytest.mark.parametrize("name", UNBOUNDED)
@pytest.mark.parametrize("measure", ["saturated_fraction", "unit_saturation", "phi"])
def test_unbounded_activations_are_refused_with_what_applies(measure, name):
    """By name, or as the table's entry."""
    for given in (name, ACTIVATIONS[name]):
        with pytest.raises(
            ValueError, match=rf"^{measure} needs .* activation '{name}' with [^\n]*; {UNBOUNDED[name]}"
        ):
            getattr(saturation, measure)(jnp.ones((2, 2)), given)


@pytest.mark.parametrize("measure", ["saturated_fraction", "unit_saturation", "phi"])
def test_a_range_that_does_not_end_in_asymptotes_is_refused(measure):
    """A bump is steep on its way to 1, and a sine never settles."""
    with pytest.raises(ValueError, match=r"activation 'bump' .* use slope_mass"):
        getattr(saturation, measure)(jnp.ones((2, 2)), Activation(bump, (0.0, 1.0), (0.0, 0.0), 0.86))
    with pytest.raises(ValueError, match="no asymptote at all"):
        getattr(saturation, measure)(jnp.ones((2, 2)), Activation(jnp.sin, (-1.0, 1.0), (None, None), 1.0))


@pytest.mark.parametrize("measure", ["saturated_fraction", "unit_saturation", "phi", "slope_mass", "slopes"])
def test_unknown_activations_are_refused(measure):
    """With the near match; a bare function does not say where it ends."""
    with pytest.raises(ValueError, match=r"unknown activation 'tahn' \(did you mean 'tanh'\?\)"):
        getattr(saturation, measure)(jnp.ones((2, 2)), "tahn")
    with pytest.raises(ValueError, match=r"activation is .*tanh.*; accepted: an Activation, or one of sigmoid"):
        getattr(saturation, measure)(jnp.ones((2, 2)), jnp.tanh)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: saturation.slope_mass(a, "step"), "activation 'step' is inf; .* saturated_fraction or phi"),
        (lambda a: saturation.slope_mass(a, Activation(bump, (0.0, 1.0), (0.0, 0.0), INF)), "'bump' is inf"),
        (lambda a: saturation.saturated_fraction(a, "tanh", 0.0), "margin is 0.0"),
        (lambda a: saturation.unit_saturation(a, "tanh", 0.6), "margin is 0.6"),
        (lambda a: saturation.saturated_fraction(a, "tanh", math.nan), "margin is nan"),
        (lambda a: saturation.phi(a, "tanh", 0), "bins is 0; accepted: a whole number from 1"),
        (lambda a: saturation.phi(a, "tanh", 2.5), "bins is 2.5"),
        (lambda a: saturation.phi(a, "tanh", True), "bins is True"),
        (lambda a: saturation.dormant_units(a, -0.1), "tau is -0.1"),
        (lambda a: saturation.wrong_side_fraction(a, a, 1.0), "margin is 1.0"),
        (lambda a: saturation.wrong_side_fraction(a, a[:, :1]), r"shape \(2, 2\) and targets_BxC \(2, 1\)"),
        (lambda a: saturation.wrong_side_fraction(a, a[0]), r"targets_BxC has shape \(2,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """In one line, by name."""
    with pytest.raises(ValueError, match=rf"^[^\n]*{message}[^\n]*$"):
        call(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("values", "activation", "says"),
    [
        ([[1.5, 1.5]], "sigmoid", r"from 1.5 to 1.5, beyond the range \(0, 1\) of activation 'sigmoid'"),
        ([[-6.0, 0.5, 6.0]], "tanh", r"from -6 to 6, beyond the range \(-1, 1\)"),
        ([[-0.5, 0.5]], "sigmoid", r"from -0.5 to 0.5"),
        ([[np.nan, 3.0]], "softsign", r"from 3 to 3"),
    ],
)
def test_weighted_inputs_are_no_outputs(values, activation, says):
    """Shares of what lies outside the range mean nothing; by rounding an output may."""
    for measure in (saturation.saturated_fraction, saturation.unit_saturation, saturation.phi):
        with pytest.raises(ValueError, match=says + ".*; accepted: outputs of the activation, not its weighted inputs"):
            measure(np.array(values), activation)
        jax.jit(lambda a, measure=measure: measure(a, activation))(jnp.array(values))
    assert float(saturation.saturated_fraction([[1.0 + 1e-6]], "sigmoid")) == 1


def test_what_is_no_real_number_is_refused():
    """Complex numbers and objects have no share; in one line."""
    for values, says in ((np.zeros((2, 2), complex), "holds complex"), (np.array([[None, 1]]), "of something else")):
        with pytest.raises(ValueError, match=f"a_BxH .*{says}.*accepted: real numbers") as caught:
            saturation.zero_fraction(values)
        assert "\n" not in str(caught.value)
