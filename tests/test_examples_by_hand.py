"""The examples of other people's models run, print what they promise and measure what each framework's own numbers say,
by hand and without a function of `nets`.

Both are computed in float64, at the same weights: those of the example, moved at random so that units saturate and die.
Float32 has seven digits, which sums over thousands of weights do not keep, so that it could not tell a wrong constant
from rounding; how far it goes off is bounded by a test of its own. A few examples and all weights keep it quick.

N examples times positions, H units, B examples of a batch, C classes, P parameters.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_cases import CASES, EXAMPLES, as_tree, as_vector, cast, in_float32, in_float64, of_floats, ran
from scipy.sparse.linalg import LinearOperator, eigsh

import nets


@pytest.fixture(autouse=True, scope="module")
def quickly():
    """Compiling, which is most of the time, is kept short."""
    jax.config.update("jax_disable_most_optimizations", True)
    with in_float64():
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", params=CASES)
def example(request: pytest.FixtureRequest) -> str:
    """One after another, so that what is known of one is used by all its tests."""
    return request.param


def slope_of_gelu(z: np.ndarray) -> np.ndarray:
    """That of the form with tanh."""
    root = (2 / np.pi) ** 0.5
    tanh = np.tanh(root * (z + 0.044715 * z**3))
    return (1 + tanh) / 2 + z / 2 * (1 - tanh**2) * root * (1 + 3 * 0.044715 * z**2)


ENDS = {"sigmoid": (0, 1), "tanh": (-1, 1)}
SLOPES = {
    "sigmoid": lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "tanh": lambda z: 1 / np.cosh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "gelu": slope_of_gelu,
}


def norm(arrays: Any) -> float:
    return float(np.sqrt(sum(np.sum(np.square(np.float64(array))) for array in arrays)))


def saturation_by_hand(activation: str, z: Any, a: Any) -> dict[str, float]:
    """The measures of one layer's outputs, as the instruments' definitions have them."""
    z_NxH, a_NxH = (np.asarray(x, np.float64).reshape(-1, x.shape[-1]) for x in (z, a))
    found = {}
    if activation in ENDS:
        low, high = ENDS[activation]
        near = 0.05 * (high - low)
        found["saturation"] = np.mean((a_NxH < low + near) | (a_NxH > high - near))
        place_NxH = (a_NxH - low) / (high - low)
        bins = [place_NxH[np.floor(10 * place_NxH).clip(0, 9) == b] for b in range(10)]
        found["phi"] = sum(abs(2 * held.mean() - 1) * held.size for held in bins if held.size) / a_NxH.size
    else:
        size_H = np.abs(a_NxH).mean(0)
        found["dormant_units"] = np.mean(size_H <= 0.1 * size_H.mean())
    if activation == "relu":
        found |= {"zero_fraction": np.mean(a_NxH == 0), "dead_units": np.mean((a_NxH == 0).all(0))}
    largest = SLOPES[activation](np.linspace(-3, 3, 600_001)).max()
    found["slope_mass"] = np.abs(SLOPES[activation](z_NxH)).mean() / largest
    statistics = {"mean": a_NxH.mean(), "std": a_NxH.std(), "p98": np.percentile(a_NxH, 98)}
    return found | {f"activation_{name}": value for name, value in statistics.items()}


@cache
def hessian(example: str) -> tuple[int, Callable[[Any], np.ndarray]]:
    """P, and the product of the mean cost's Hessian with a vector."""
    case = CASES[example]()
    floats, cost = of_floats(case.cost, case.params)
    slope = jax.grad(lambda floats: jnp.mean(cost(floats, case.batch)))
    product = jax.jit(lambda vector: jax.jvp(slope, (floats,), (vector,))[1])
    return len(as_vector(floats)), lambda vector_P: as_vector(product(as_tree(np.ravel(vector_P), floats)))


def noise_by_hand(slopes_BxP: np.ndarray) -> dict[str, float]:
    """From all examples' own gradients."""
    trace = slopes_BxP.var(0, ddof=1).sum()
    squared = np.sum(slopes_BxP.mean(0) ** 2) - trace / len(slopes_BxP)
    return {"noise/covariance_trace": trace, "noise/gradient_squared": squared, "noise/scale": trace / squared}


@cache
def by_hand(example: str) -> dict[str, float]:
    """All measures of an example but those of curvature."""
    case = CASES[example]()
    found = {
        f"{measure}/{name}": float(value)
        for name, values in case.values.items()
        for measure, value in saturation_by_hand(*values).items()
    }
    found |= {f"speed/{name}": norm([delta]) for name, delta in case.deltas.items()}
    found |= {f"speed/{name}": norm(bias) for name, bias in case.biases.items() if name not in case.deltas}
    found |= {f"gradient_norm/{name}": norm(arrays) for name, arrays in case.gradients.items()}
    return found | noise_by_hand(case.slopes_BxP)


def measured(example: str) -> dict[str, float]:
    """What the example itself measured."""
    return ran(example)[0]["measured"]


@pytest.mark.parametrize("example", [*CASES, "optax_loop"], scope="module")
def test_example_runs(example):
    """As it stands: a table of layers and measures of all four groups, in at most 40 lines of which three measure."""
    text = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert sum("nets.watch" in line or "watched." in line for line in text.splitlines()) <= 3
    _, printed = ran(example)
    assert "speed/" in printed and ("saturation/" in printed or "slope_mass/" in printed)
    assert example == "optax_loop" or ("curvature/top_eigenvalue" in printed and "noise/scale" in printed)


def test_every_example_is_one_of_these():
    """None is left out."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*CASES, "optax_loop"}


# A softmax does not feel a shift of all its inputs: its speed by head is 0 but for rounding.
ROUNDING = 1e-12


def test_measures_are_those_by_hand(example):
    """Every one that is measured, to 1e-9 of itself; 4e-12 is reached. The cost by hand is the example's."""
    case, expected = CASES[example](), by_hand(example)
    np.testing.assert_allclose(case.costs_B, case.own_costs_B, rtol=1e-12)
    found = {name: value for name, value in measured(example).items() if not name.startswith("curvature/")}
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-9, abs=ROUNDING), name
    # Where a bias is added to what goes into the activation, its own gradient says the same.
    for name, bias in case.biases.items():
        assert found[f"speed/{name}"] == pytest.approx(norm(bias), rel=1e-9), name
    # Nothing to compare would be left of a net that saturates nowhere.
    shares = [value for name, value in expected.items() if name.startswith(("saturation/", "zero_fraction/"))]
    assert all(0.01 < share < 0.99 for share in shares)


@pytest.mark.parametrize("example", ["equinox_mlp", "haiku_mlp", "nnx_mlp"], scope="module")
def test_curvature_is_that_of_the_products_with_the_hessian(example):
    """The largest eigenvalue by ARPACK: within the residual, which is 1e-4 of it at most, and to 1e-6 of itself, 1e-8
    being reached, since the error of an eigenvalue goes with the residual's square.
    The trace and its error from the same random signs."""
    found, (size, product) = measured(example), hessian(example)
    start = np.random.default_rng(0).normal(size=size)
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    top = float(eigsh(operator, 1, which="LA", v0=start, tol=1e-9, return_eigenvectors=False)[0])
    value, residual = found["curvature/top_eigenvalue"], found["curvature/top_residual"]
    assert abs(value - top) <= residual <= 1e-4 * top
    assert value == pytest.approx(top, rel=1e-6)
    keys = jax.random.split(jax.random.split(jax.random.key(0))[1], 10)
    signs = [jax.random.rademacher(key, (size,), np.float64) for key in keys]
    traces = [float(vector @ product(vector)) for vector in signs]
    assert found["curvature/trace"] == pytest.approx(np.mean(traces), rel=1e-9)
    assert found["curvature/trace_error"] == pytest.approx(np.std(traces, ddof=1) / 10**0.5, rel=1e-9)


def test_float32_goes_off_by_rounding_alone(example):
    """At the same numbers, as the examples run: 1e-6 of each measure at most is what came out."""
    case = CASES[example]()
    cost = case.cost
    if example == "linen_cnn":
        names = cost.__globals__
        names = names | {"statistics": cast(names["statistics"], np.float32)}
        cost = FunctionType(cost.__code__, names)
    with in_float32():
        params, batch = cast(case.params, np.float32), cast(case.batch, np.float32)
        more = ("curvature", "noise") if example == "equinox_mlp" else ()
        found = nets.watch(cost).measure(cost, params, batch, ("saturation", "speed", *more))
    assert len(found) > 4
    if more:
        there = measured(example)
        names = ["curvature/top_eigenvalue", *(name for name in there if name.startswith("noise/"))]
        assert len(names) > 1
        for name in names:
            assert float(found[name]) == pytest.approx(there[name], rel=1e-4), name
        found = {name: value for name, value in found.items() if not name.startswith(("curvature/", "noise/"))}
    for name in found:
        assert float(found[name]) == pytest.approx(by_hand(example)[name], rel=1e-5, abs=1e-7), name


def test_what_the_loop_of_optax_measures_is_what_numpy_trains():
    """At every tenth of a hundred steps of gradient descent that numpy takes itself, all that is measured."""
    names, _ = ran("optax_loop")
    images, labels = (np.asarray(names[name]) for name in ("images", "labels"))
    v, w = (np.asarray(names["params"][name]) for name in ("hidden", "head"))

    def passes(rows):
        """z, and the derivatives of the mean cost by the weighted inputs of every example and by the weights."""
        x, z = images[rows], images[rows] @ v
        a = 1 / (1 + np.exp(-z))
        powers = np.exp(a @ w)
        delta = (powers / powers.sum(1, keepdims=True) - np.eye(10)[labels[rows]]) / len(x)
        before = delta @ w.T * a * (1 - a)
        return z, before, delta, x.T @ before, a.T @ delta

    for number in range(100):
        if number % 10 == 0:
            z, before, delta, *gradients = passes(slice(500))
            of_layer = saturation_by_hand("sigmoid", z, 1 / (1 + np.exp(-z)))
            expected = {f"{measure}/hidden": value for measure, value in of_layer.items()}
            expected |= {"speed/hidden": norm([before.sum(0)]), "speed/head": norm([delta.sum(0)])}
            expected |= {"gradient_norm/.": norm(gradients)}
            assert names["measured"].keys() == expected.keys()
            for name, value in expected.items():
                assert float(names["measured"][name][number]) == pytest.approx(value, rel=1e-9, abs=ROUNDING), name
        *_, by_v, by_w = passes((100 * number + np.arange(100)) % 4000)
        v, w = v - 0.5 * by_v, w - 0.5 * by_w
    assert all(np.isnan(values[1]) for values in names["measured"].values())
