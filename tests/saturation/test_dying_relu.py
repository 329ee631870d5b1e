"""The chances of being born dead against counts by hand and by drawing; what is dead stays so, the others learn."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nets
from experiments.saturation import dying_relu
from experiments.study import command, narrow_nets


def test_study_at_its_tiny_size(tmp_path):
    """A published share and the bounds of an oracle, of nets; a net of three hidden layers dies too rarely."""
    command.run(dying_relu.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert [(key, claim["kind"], claim["count"], claim["sample"]) for key, claim in claims.items()] == [
        ("width2/ended", "direction", 20, "nets"),
        ("width2/born", "oracle", 100, "nets"),
    ]
    assert claims["width2/ended"]["verdict"] == "not reproduced"
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def found_nets(born: int, died: int) -> dying_relu.Nets:
    """A thousand nets, of which so many are born constant and so many more end so."""
    before_LxG = np.ones((1_000, 3)) * np.array([0.0, 1.0, 2.0])
    before_LxG[:born] = 0.0
    after_LxG = before_LxG.copy()
    after_LxG[: born + died] = 1.0
    return dying_relu.Nets(np.arange(1_000) < born, before_LxG, after_LxG)


@pytest.mark.parametrize(
    ("width", "ended", "verdict"),
    [
        (2, 950, "reproduced"),
        (2, 800, "not reproduced"),
        (3, 600, "reproduced"),
        (3, 718, "not reproduced"),
        (3, 640, "undecided"),
        (5, 258, "reproduced"),
        (5, 700, "not reproduced"),
        (10, 2, "reproduced"),
        (10, 7, "undecided"),
        (10, 50, "not reproduced"),
    ],
)
def test_shares_are_judged_with_their_binomial_intervals(width, ended, verdict):
    """Of 1,000 nets: the published bounds are open on their own sides, but for what another width has."""
    assert dying_relu.collapsed_claim(width, found_nets(ended // 2, ended - ended // 2)).verdict == verdict


def test_note_says_how_many_die_in_training():
    """300 of 700 that are born alive, and 300 that are not."""
    claim = dying_relu.collapsed_claim(3, found_nets(300, 300))
    assert claim.kind == "number" and claim.rival_at == (0.9, 0.1)
    assert claim.note == "0.300 are born constant, and 43% of the others die in training"


def test_widths_are_judged_jointly():
    """All in their bands; or one that is off by seven points, of a thousand nets each."""
    ended = {2: 950, 3: 600, 5: 258, 10: 5}
    (right,) = dying_relu.table_claims({width: found_nets(count, 0) for width, count in ended.items()})
    (off,) = dying_relu.table_claims({width: found_nets(count, 0) for width, count in (ended | {3: 718}).items()})
    assert (right.verdict, off.verdict) == ("reproduced", "not reproduced") and right.count == 4
    assert not dying_relu.table_claims({3: found_nets(600, 0)})


def test_the_closest_training_is_shown():
    """Of two rows that are off the nearer one, which says that none gives it; of one that is right, that it does."""

    def row(of_3: int) -> dict[int, np.ndarray]:
        return {width: np.arange(1_000) < ended for width, ended in {2: 950, 3: of_3, 5: 258, 10: 5}.items()}

    missed = dying_relu.row_claim({"near": row(718), "far": row(900)})
    assert missed.verdict == "not reproduced" and missed.exploratory and missed.count == 4
    assert "closest with near; none that was tried gives the whole row" in missed.note and "0.900" in missed.note
    given = dying_relu.row_claim({"near": row(718), "right": row(610)})
    assert given.verdict == "reproduced" and "right gives the whole row" in given.note


def test_widths_are_trained_by_each_optimizer(monkeypatch):
    """Each cell has its own nets, in the order of the optimizers."""
    size = dying_relu.TINY._replace(nets={2: 3, 3: 2}, others={2: 2, 3: 1})
    monkeypatch.setattr(dying_relu, "measure", lambda width, size, optimizer: (width, optimizer))
    assert list(dying_relu.train_all(size)) == [
        (width, optimizer) for optimizer in narrow_nets.OPTIMIZERS for width in (2, 3)
    ]
    assert all(cell == measured for cell, measured in dying_relu.train_all(size).items())


def test_born_constant_between_the_bounds():
    """Of width 2 and nine hidden layers .85 to .90; .5 is outside."""
    low, high = nets.born_dead.constant_bounds(2, 9)
    assert dying_relu.born_claim(2, 9, found_nets(round(500 * (low + high)), 0)).verdict != "not reproduced"
    assert dying_relu.born_claim(2, 9, found_nets(500, 0)).verdict == "not reproduced"


def drawn_shares(width: int, hidden: int, count: int) -> tuple[float, float]:
    """Shares of random nets that answer 0 to 1, and to both 1 and -1, by numpy."""
    random = np.random.default_rng(width)
    a_NxGxH = np.broadcast_to(np.array([[1.0], [-1.0]]), (count, 2, 1))
    for _ in range(hidden):
        a_NxGxH = np.maximum(a_NxGxH @ random.normal(size=(count, a_NxGxH.shape[2], width)), 0)
    dead_NxG = np.all(a_NxGxH == 0, axis=2)
    return float(dead_NxG[:, 0].mean()), float(dead_NxG.all(axis=1).mean())


@pytest.mark.parametrize(("width", "hidden"), [(1, 2), (2, 2), (2, 9), (3, 9), (5, 4)])
def test_chance_to_be_born_dead(width, hidden):
    """Drawn nets are dead at an input as often as the closed form says, and constant within the bounds."""
    count = 20_000
    one, both = drawn_shares(width, hidden, count)
    four_deviations = 2 / count**0.5
    low, high = nets.born_dead.constant_bounds(width, hidden)
    assert abs(one - nets.born_dead.dead_at_an_input(width, hidden)) < four_deviations
    assert low - four_deviations < both < high + four_deviations


def test_chances_by_hand():
    """A layer never silences both signs; a unit a layer passes one sign or none; two units over two layers."""
    assert nets.born_dead.constant_bounds(5, 1) == pytest.approx((0.0, 0.0), abs=1e-15)
    assert nets.born_dead.constant_bounds(1, 3) == pytest.approx((0.75, 0.75))
    # Two units fire for the same sign (chance 1/2) and are silenced with chance 1/4, or one each and 1/16.
    assert nets.born_dead.constant_bounds(2, 2) == pytest.approx((5 / 32, 5 / 32))
    assert nets.born_dead.dead_at_an_input(2, 2) == pytest.approx(7 / 16)
    low, high = nets.born_dead.constant_bounds(2, 9)
    assert low < high
    for function in (nets.born_dead.constant_bounds, nets.born_dead.dead_at_an_input):
        with pytest.raises(ValueError, match="width=0, hidden=2"):
            function(0, 2)


def test_dead_nets_stay_dead_and_others_learn():
    """Trained all the same, a net that is born constant stays so; most of the others come nearer to |x|."""
    size = dying_relu.QUICK._replace(hidden=2, steps=200)
    x_GxD = jnp.linspace(-1.0, 1.0, 21)[:, None]
    params_L, before_LxG = narrow_nets.draw_nets(jax.random.split(jax.random.key(0), 60), 2, 2, x_GxD)
    after_LxG = narrow_nets.train_nets(
        params_L, jax.random.split(jax.random.key(1), 60), x_GxD, width=2, hidden=2, batch=size.batch, steps=size.steps
    )
    born_L = np.all(before_LxG == 0.0, axis=1)
    assert 5 < born_L.sum() < 55
    assert np.all(np.ptp(after_LxG[born_L], axis=1) == 0.0)
    target_1xG = abs(x_GxD.T)
    error_before_L, error_after_L = (np.mean((y - target_1xG) ** 2, axis=1) for y in (before_LxG, after_LxG))
    assert np.mean(error_after_L[~born_L] < error_before_L[~born_L]) > 0.9
    assert np.median(np.ptp(after_LxG[~born_L], axis=1)) > 0.3
