"""Which trials a sweep has, and how they are cut into packs."""

import itertools

import numpy as np
import pytest

from configs import shallow
from experiments.engine import lanes, plan, space
from training.config import ConfigError, as_config

EXAMPLES = lambda trial: 512 if trial.dataset == "synthetic" else 60_000  # noqa: E731
ONE, TWO, GPU = (plan.Machines(1, 1, "cpu", 8e9), plan.Machines(2, 2, "cpu", 8e9), plan.Machines(4, 4, "gpu", 80e9))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"activation": ["sigmoid", "tahn"]}, ("config.activation='tahn'", "did you mean 'tanh'?")),
        ({"learning_rate": [0.1, -1.0]}, ("config.learning_rate=-1.0", "a finite number above 0")),
        ({"cost": ["cross_entropy"], "output": ["identity"]}, ("cross_entropy", "identity")),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.0, 0.9]}, ("config.momentum=0.9 is for sgd",)),
    ],
)
def test_trials_that_no_config_accepts_are_refused(axes, words):
    """Also where only the combination of two axes is impossible."""
    with pytest.raises(ConfigError) as caught:
        space.make_trials(shallow.get_config(), None, axes)
    assert all(word in str(caught.value) for word in words), caught.value


def test_axes_multiply_and_replace():
    """A config's own sweep is multiplied by axes, and its fields are replaced by theirs; nothing is run twice."""

    def sweep(add):
        for rate, seed in itertools.product((0.1, 1), (0, 1)):
            add(learning_rate=rate, seed=seed, hidden=[16])

    base = shallow.get_config()
    trials = space.make_trials(base, sweep, {"activation": ["relu", "tanh"], "seed": [5, 6, 7]})
    assert len(trials) == 2 * 2 * 3
    assert {trial.seed for trial in trials.values()} == {5, 6, 7}
    assert {trial.hidden for trial in trials.values()} == {(16,)}
    assert {type(trial.learning_rate) for trial in trials.values()} == {float}
    assert space.swept(trials) == ["activation", "learning_rate", "seed"]
    assert (
        space.make_trials(base, None, {"learning_rate": [0.5, 0.50]}).keys()
        == space.make_trials(base, None, {"learning_rate": [0.5]}).keys()
    )


def test_numbers_of_numpy_are_numbers():
    """np.arange and np.logspace are how people write a sweep; other types are refused by the field's name."""

    def sweep(add):
        for size, rate in itertools.product(np.arange(8, 10), np.logspace(-1, 0, 2)):
            add(batch_size=size, learning_rate=rate, hidden=(np.int64(16),))

    trials = space.make_trials(shallow.get_config(), sweep, {})
    assert [(t.batch_size, t.learning_rate) for t in trials.values()] == [(8, 0.1), (8, 1.0), (9, 0.1), (9, 1.0)]
    assert type(next(iter(trials.values())).batch_size) is int
    with pytest.raises(ConfigError, match=r"config.batch_size=8.0 is no int"):
        space.make_trials(shallow.get_config(), lambda add: add(batch_size=np.float64(8)), {})


def test_sweeps_that_add_nothing_or_unknown_fields_are_refused():
    """Near matches are named."""
    with pytest.raises(ConfigError, match="adds no trial"):
        space.make_trials(shallow.get_config(), lambda add: None, {})
    with pytest.raises(ConfigError, match=r"sets 'learnig_rate'.*did you mean 'learning_rate'"):
        space.make_trials(shallow.get_config(), lambda add: add(learnig_rate=1.0), {})


@pytest.mark.parametrize("machines", [ONE, TWO, GPU])
@pytest.mark.parametrize("most", [None, 1, 5, 64])
@pytest.mark.parametrize("axes", [{}, {"seed": 3}, {"learning_rate": 13}, {"learning_rate": 5, "seed": 7, "hidden": 2}])
def test_packs_hold_every_trial_once(axes, most, machines):
    """Rows have one seed, packs one structure, and both fit their shape."""
    values = {
        "seed": list(range(axes.get("seed", 1))),
        "learning_rate": [0.1 + i for i in range(axes.get("learning_rate", 1))],
        "hidden": [(8,), (16,)][: axes.get("hidden", 1)],
    }
    trials = space.make_trials(shallow.get_config(), None, values)
    packs = plan.make_packs(trials, machines, EXAMPLES, most)
    assert sorted(itertools.chain(*(pack.trials for pack in packs))) == sorted(trials)
    for pack in packs:
        assert len({lanes.structure(trials[name]) for name in pack.trials}) == 1
        assert 0 < len(pack.rows) <= pack.shape.rows
        for row in pack.rows:
            assert 0 < len(row) <= pack.shape.lanes
            assert len({trials[name].seed for name in row}) == 1
        assert most is None or len(pack.trials) <= pack.shape.rows * pack.shape.lanes <= most
    assert plan.compilations(packs, trials) == len(values["hidden"])


def test_packs_fill_the_devices():
    """Two cores: one seed's rates are shared out between them; 12 rates are rows of 6, not of 8 and 4; MNIST has a row
    a core, a tiny data set many."""

    def shapes(**axes):
        base = shallow.get_config()
        base.dataset = axes.pop("dataset", "mnist")
        packs = plan.make_packs(space.make_trials(base, None, axes), TWO, EXAMPLES)
        return [(pack.shape, len(pack.rows)) for pack in packs]

    rates = [0.1 * i for i in range(1, 13)]
    assert shapes(learning_rate=rates[:4]) == [((2, 2), 2)]
    assert shapes(learning_rate=rates, seed=[0]) == [((2, 6), 2)]
    assert shapes(learning_rate=rates[:4], seed=[0, 1, 2, 3]) == [((2, 4), 2)] * 2
    ((shape, rows),) = shapes(dataset="synthetic", seed=list(range(100)))
    assert shape.lanes == 1 and rows == 100 == shape.rows


def test_memory_bounds_the_lanes():
    """A net too large for eight lanes a row gets fewer, and at least one; so does a data set of many examples."""
    base = shallow.get_config()
    base.hidden = (4096, 4096)
    trials = space.make_trials(base, None, {"learning_rate": [0.1 + i for i in range(8)]})
    need = plan.lane_bytes(next(iter(trials.values())), 60_000)
    for memory, most in ((3 * need / plan.MEMORY_SHARE, 3), (need, 1)):
        packs = plan.make_packs(trials, plan.Machines(1, 1, "cpu", memory), EXAMPLES)
        assert max(pack.shape.lanes for pack in packs) <= most
    assert plan.lane_bytes(next(iter(trials.values())), 10**7) > 4 * 3 * 10**8


def test_the_name_of_a_pack_is_that_of_its_trials():
    """The same plan twice has the same names; other trials have others."""
    trials = space.make_trials(shallow.get_config(), None, {"seed": list(range(6))})
    again = space.make_trials(shallow.get_config(), None, {"seed": list(range(6))})
    names = [pack.name for pack in plan.make_packs(trials, TWO, EXAMPLES)]
    assert names == [pack.name for pack in plan.make_packs(again, TWO, EXAMPLES)]
    assert len(set(names)) == len(names) == 3


def test_a_step_is_timed():
    """The estimate of a plan rests on a step measured here; twice the epochs take longer."""
    base = shallow.get_config()
    base.hidden, base.dataset = (8,), "synthetic"
    estimates = []
    for epochs in (100, 2_000):
        base.epochs = epochs
        trials = space.make_trials(base, None, {})
        estimates.append(plan.estimated_seconds(plan.make_packs(trials, TWO, EXAMPLES), trials, TWO, EXAMPLES))
    assert plan.COMPILATION_SECONDS < estimates[0] < estimates[1]


@pytest.mark.parametrize(
    ("fields", "width"),
    [({}, 8), ({"hidden": (512,)}, 1), ({"hidden": (128,)}, 4), ({"batch_size": 1}, 1), ({"hidden": (2048,)}, 1)],
)
def test_a_row_is_as_wide_as_a_core_s_cache(fields, width):
    """Lanes whose weights push each other out, or whose batches have one example, run faster one by one."""
    trial = as_config({"hidden": (64,), **fields})
    assert plan.widest_row(trial, "cpu") == width and plan.widest_row(trial, "gpu") > 8
