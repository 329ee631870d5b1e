"""A path's plane, barriers, widths, directions and the cost on lines and planes against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_net import CHUNK, KEY, net_cost, small_problem

from nets import curvature
from nets.landscape import barrier, instability, path_plane, width

pytestmark = pytest.mark.usefixtures("quick_to_compile")


def test_path_in_a_plane_is_found():
    """A path of three directions: the shares are the eigenvalues of its covariance, the coordinates its projection on
    the first two of them, the end is the origin and the start is positive."""
    random = np.random.default_rng(0)
    basis_3xP = np.linalg.qr(random.standard_normal((50, 3)))[0].T
    known_Sx3 = random.standard_normal((12, 3)) * np.array([3.0, 1.0, 0.1])
    path_SxP = np.float32(known_Sx3 @ basis_3xP + 7)
    plane = path_plane(path_SxP)
    values, vectors = np.linalg.eigh(np.cov(known_Sx3.T))
    np.testing.assert_allclose(plane.shares_2, values[:0:-1] / values.sum(), rtol=1e-4)
    expected_Sx2 = (known_Sx3 - known_Sx3[-1:]) @ vectors[:, :0:-1]
    expected_Sx2 *= np.sign(expected_Sx2[:1])
    np.testing.assert_allclose(plane.coordinates_Sx2, expected_Sx2, atol=1e-4)
    np.testing.assert_allclose(plane.directions_2xP @ plane.directions_2xP.T, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(
        (path_SxP - path_SxP[-1:]) @ np.asarray(plane.directions_2xP).T, plane.coordinates_Sx2, atol=1e-4
    )


def test_shares_of_a_random_walk_and_of_a_straight_line():
    """6 / pi^2 and a quarter of it in the limit of a long walk in many dimensions; all in one; none to share."""
    walk_SxP = np.cumsum(np.random.default_rng(1).standard_normal((100, 5_000)), axis=0)
    np.testing.assert_allclose(path_plane(walk_SxP).shares_2, [6 / np.pi**2, 1.5 / np.pi**2], atol=0.01)
    line_SxP = np.arange(5.0)[:, None] * np.ones((1, 7))
    np.testing.assert_allclose(path_plane(line_SxP).shares_2, [1, 0], atol=1e-6)
    assert np.isnan(path_plane(np.ones((4, 3))).shares_2).all()


def test_heights_between_two_nets():
    """Above the higher end, and above the mean of both, line by line."""
    costs_2xA = np.array([[1.0, 5.0, 2.0, 3.0], [4.0, 2.0, 1.0, 0.0]])
    np.testing.assert_allclose(barrier(costs_2xA), [2, 0])
    np.testing.assert_allclose(instability(costs_2xA), [3, 2])


def test_width_of_a_bowl():
    """c + h a^2 / 2 doubles at sqrt(2 c / h), within the places' linear interpolation; infinite where it does not."""
    a_A, curvature_3 = np.linspace(0, 4, 401), np.array([1.0, 4.0, 0.01])
    costs_3xA = 0.5 + curvature_3[:, None] * a_A[None] ** 2 / 2
    np.testing.assert_allclose(width(a_A, costs_3xA, 2 * costs_3xA[:, 0]), [1, 0.5, np.inf], rtol=1e-4)
    assert float(width(np.array([0.0, 2.0]), np.array([1.0, 5.0]), 2.0)) == 0.5
    # The first of two passes counts; what is reached at the start has no width.
    assert float(width(np.arange(5.0), np.array([0.0, 2.0, 0.0, 0.0, 9.0]), 1.0)) == 0.5
    assert float(width(np.arange(3.0), np.array([2.0, 0.0, 2.0]), 1.0)) == 0.0


def test_plane_goes_with_the_cost_on_it():
    """On a quadratic cost whose path keeps to two weights, the cost in the plane is that at the path's points."""
    path_Sx3 = np.array([[2.0, 1.0, 5.0], [1.0, -1.0, 5.0], [0.5, 0.2, 5.0], [0.0, 0.0, 5.0]], np.float32)
    plane = path_plane(path_Sx3)
    function = lambda w_P, rows_BxP: jnp.sum((w_P[None] - rows_BxP) ** 2, axis=1)  # noqa: E731
    data = np.zeros((1, 3), np.float32)
    a_A, b_B = np.asarray(plane.coordinates_Sx2).T
    cost_AxB = curvature.cost_on_plane(function, path_Sx3[-1], tuple(plane.directions_2xP), a_A, b_B, data)
    np.testing.assert_allclose(np.diag(cost_AxB), np.sum(path_Sx3**2, axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: path_plane(np.ones((2, 5))), r"path_SxP has shape \(2, 5\)"),
        (lambda: path_plane(np.ones((5, 1))), r"S >= 3 and P >= 2"),
        (lambda: barrier(np.ones((3, 1))), r"costs_xA has shape \(3, 1\)"),
        (lambda: instability(np.float32(1.0)), r"errors_xA has shape \(\)"),
        (lambda: width(np.ones(3), np.ones((2, 4)), 1.0), r"coordinates_A has shape \(3,\)"),
        (lambda: width(np.ones(4), np.ones((2, 4)), np.ones(3)), r"level_x \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    """In one line that names what was given."""
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_directions_have_the_norms_of_the_filters():
    """Column by column, [in, out]; also a convolution's; biases are left out; another key, another direction."""
    params = small_problem()[0] | {"conv": {"kernel": jax.random.normal(KEY, (3, 2, 4, 5)), "gain": jnp.float32(2)}}
    draw = jax.jit(curvature.filter_normalised_direction)
    direction = draw(KEY, params)
    for layer in ("hidden_0", "output"):
        kernel, drawn = params[layer]["kernel"], direction[layer]["kernel"]
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=0), np.linalg.norm(kernel, axis=0), rtol=1e-5)
        assert abs(np.linalg.norm(drawn, axis=1) / np.linalg.norm(kernel, axis=1) - 1).max() > 0.05
        assert not direction[layer]["bias"].any()
    norms = [np.linalg.norm(tree["conv"]["kernel"].reshape(24, 5), axis=0) for tree in (params, direction)]
    np.testing.assert_allclose(*norms, rtol=1e-5)
    assert direction["conv"]["gain"] == 0
    other = draw(jax.random.key(1), params)
    assert abs(other["output"]["kernel"] - direction["output"]["kernel"]).max() > 0.01


def test_cost_on_a_line_and_a_plane():
    """Rows and columns in the order of the coordinates, and the cost itself where both are 0."""
    function, (params, data) = net_cost(), small_problem()
    draw = jax.jit(curvature.filter_normalised_direction)
    d = [draw(jax.random.key(i), params) for i in (0, 1)]
    a, b = jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 0.5])
    plane = curvature.cost_on_plane(function, params, tuple(d), a, b, data, CHUNK)

    def at(p, q):
        moved = jax.tree.map(lambda x, u, v: x + float(p) * u + float(q) * v, params, *d)
        return float(curvature.mean_cost(function, moved, data, chunk=CHUNK))

    expected = [[at(p, q) for q in b] for p in a]
    np.testing.assert_allclose(plane, expected, rtol=1e-5)
    np.testing.assert_allclose(curvature.cost_on_line(function, params, d[0], a, data, CHUNK), plane[:, 0], rtol=1e-6)


def test_coordinates_may_be_any_numbers():
    """A list, whole numbers and float64 are where they say; what is no number is refused."""
    cost = lambda w, b: b * 0 + w**2  # noqa: E731
    arguments = cost, jnp.float32(1), jnp.float32(2)
    for given in ([-1, 0, 1], [-1.0, 0.0, 1.0], np.array([-1.0, 0.0, 1.0]), jnp.arange(-1, 2)):
        np.testing.assert_allclose(curvature.cost_on_line(*arguments, given, jnp.ones(3)), [1, 1, 9])
        plane = curvature.cost_on_plane(cost, jnp.float32(1), (arguments[2], arguments[2]), given, [0.0], jnp.ones(3))
        np.testing.assert_allclose(plane, [[1], [1], [9]])
    for given, says in ((["a"], "coordinates are a list of something else"), (3.0, r"coordinates have the shape \(\)")):
        with pytest.raises(ValueError, match=says):
            curvature.cost_on_line(*arguments, given, jnp.ones(3))


@pytest.mark.parametrize("shape", [(3, 4), (2, 5, 3, 4)])
def test_filters_of_weights_whose_first_axis_is_the_outputs(shape):
    """Index by index of the first axis, and of the last; the name `weight` alone does not tell which."""
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    norms = {
        "out_in": lambda x: np.sqrt((np.asarray(x) ** 2).reshape(shape[0], -1).sum(1)),
        "in_out": lambda x: np.sqrt((np.asarray(x) ** 2).reshape(-1, shape[-1]).sum(0)),
    }
    for layout, other in (("out_in", "in_out"), ("in_out", "out_in")):
        drawn = curvature.filter_normalised_direction(KEY, {"weight": weight}, layout=layout)["weight"]
        np.testing.assert_allclose(norms[layout](drawn), norms[layout](weight), rtol=1e-5)
        assert abs(norms[other](drawn) / norms[other](weight) - 1).max() > 0.02
    np.testing.assert_array_equal(drawn, curvature.filter_normalised_direction(KEY, {"kernel": weight})["kernel"])
    for name in ("weight", "weight_hh"):
        with pytest.raises(ValueError, match=f"a leaf is called '{name}', .*; accepted with it: layout='out_in' or"):
            curvature.filter_normalised_direction(KEY, {name: weight})
    with pytest.raises(ValueError, match="layout is 'oi'; accepted: in_out, out_in"):
        curvature.filter_normalised_direction(KEY, {"kernel": weight}, layout="oi")
