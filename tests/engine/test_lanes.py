"""A lane is the same run alone, whatever runs beside it; seeds are paired; diverged lanes stand still."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import input_pipeline
import train
from configs import deep, shallow
from experiments.engine import executors, lanes, plan, recent_programs, space
from training import compiling
from training.config import as_config, optional_of
from training.descent import recorded_rate
from training.records import METRICS

SYNTHETIC = input_pipeline.synthetic()
# Inputs that training does without, and validation does not.
SYNTHETIC.images[:, ::5] = 0
FOUR = {"learning_rate": [0.1, 0.5], "seed": [0, 1]}
EXAMPLES = lambda trial: len(SYNTHETIC.images)  # noqa: E731


@pytest.fixture(autouse=True)
def compiled_fast(monkeypatch):
    """What is compiled for lanes is compiled as everything else in the tests."""
    monkeypatch.setattr(lanes, "ONE_CORE", {})


def small(**fields):
    """A small net on the synthetic data set, for five epochs, without probes."""
    config = shallow.get_config()
    config.update(dataset="synthetic", hidden=(8,), epochs=5, batch_size=100, learning_rate=0.5, probes=())
    config.update(fields)
    return config


def rows_of(trials):
    """The rows of all trials, trained as lanes: {(trial, epoch): row}."""
    table = executors.train_all(trials, SYNTHETIC)
    return {(row["trial"], row["epoch"]): row for row in table.to_pylist()}


def functions_of(trial, made={}):  # noqa: B006
    """What trains a trial by itself, traced once for all of its structure, whose numbers are arguments."""
    key = lanes.structure(trial), optional_of([trial])
    if key not in made:
        made[key] = train.make_train(trial)
    return made[key]


def alone(trial):
    """METRICS of each epoch of the trial trained by itself."""
    trial = as_config(trial)
    functions, numbers = functions_of(trial), train.hyperparameters(trial)
    init_key, shuffle_key = train.run_keys(trial.seed)
    state, rows = functions.init(numbers, init_key), []
    for number in range(1, trial.epochs + 1):
        state, metrics = functions.epoch(state, numbers, SYNTHETIC, jax.random.fold_in(shuffle_key, number))
        found = functions.evaluate(state, SYNTHETIC.validation_images, SYNTHETIC.validation_labels)
        rows.append({**metrics, **{f"val_{name}": value for name, value in found.items()}})
    return rows


def assert_same(trials):
    """Every lane's metrics are those of its run alone."""
    found = rows_of(trials)
    for name, trial in trials.items():
        for number, expected in enumerate(alone(trial), start=1):
            for metric in METRICS:
                assert found[name, number][metric] == pytest.approx(float(expected[metric]), abs=1e-4), (trial, metric)


@pytest.mark.parametrize(("activation", "cost"), [("sigmoid", "quadratic"), ("relu", "cross_entropy")])
@pytest.mark.usefixtures("shared_programs")
def test_a_lane_is_the_run_alone(activation, cost):
    """Two seeds in rows of two learning rates, five epochs; `experiments.benchmark --sweep` tries every pair. At
    larger rates training on so few images is chaotic, and makes .3 of a rounding error within five epochs."""
    base = small(activation=activation, cost=cost)
    assert_same(space.make_trials(base, None, {"learning_rate": [0.01, 0.03], "seed": [3, 4]}))


def test_a_lane_of_the_deep_net_is_the_run_alone():
    """With batch normalization and dropout, whose noise belongs to the lane's seed. By plain descent, since Adam makes
    whole steps of the rounding errors of gradients that are zero, as those of what is normalized away."""
    base = deep.get_config()
    base.update(dataset="synthetic", hidden=(8, 8), epochs=2, batch_size=100, dropout=0.2, probes=())
    base.optimizer = "sgd"
    assert_same(space.make_trials(base, None, {"learning_rate": [1e-3, 1e-2], "seed": [0]}))


def test_lanes_with_and_without_momentum_share_a_program():
    """Momentum 0 beside .9 is plain descent; l2 and init_scale are lanes too."""
    trials = space.make_trials(small(epochs=2), None, {"momentum": [0.0, 0.9], "l2": [0.0, 0.01]})
    machines = plan.this_machine()
    assert plan.compilations(plan.make_packs(trials, machines, EXAMPLES), trials) == 1
    assert_same(trials)


def test_probes_of_a_lane_are_those_of_the_run_alone():
    """In the epochs that are probed, the last one among them."""
    base = small(epochs=3, probes=("saturation", "speed"), probe_every=2, probe_examples=50, learning_rate=0.1)
    base.schedule = "cosine"
    trials = space.make_trials(base, None, {})
    found = rows_of(trials)
    for name, trial in trials.items():
        config = trial
        functions, numbers = train.make_train(config), train.hyperparameters(config, len(SYNTHETIC.images))
        init_key, shuffle_key = train.run_keys(0)
        state, before = functions.init(numbers, init_key), None
        for number in (1, 2):
            before = state.params
            state, _ = functions.epoch(state, numbers, SYNTHETIC, jax.random.fold_in(shuffle_key, number))
        measured, _ = train.make_probe(config)(state, numbers, before, SYNTHETIC, train.probe_key(0))
        assert found[name, 1]["speed/output"] is None and found[name, 3]["speed/output"] is not None
        for metric, value in measured.items():
            assert found[name, 2][metric] == pytest.approx(float(value), rel=1e-3, abs=1e-5), metric


@pytest.mark.usefixtures("shared_programs")
def test_diverged_lanes_end_and_harm_no_other():
    """A rate of 1e30 ends its trials at the epoch at which a run alone does; the other lanes go on as without it."""
    base = small(activation="relu", epochs=4)
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1e30], "seed": [0, 1]})
    found = rows_of(trials)
    for name, trial in trials.items():
        epochs = [number for trial_name, number in found if trial_name == name]
        expected = [bool(np.isfinite(row["loss"]) and np.isfinite(row["val_loss"])) for row in alone(trial)]
        if trial.learning_rate == 1e30:
            end = expected.index(False) + 1
            assert epochs == list(range(1, end + 1))
            assert found[name, end]["diverged"] and found[name, end]["val_loss"] is None
        else:
            assert epochs == [1, 2, 3, 4]
            assert not any(found[name, number]["diverged"] for number in epochs)
            assert found[name, 4]["val_loss"] == pytest.approx(float(alone(trial)[-1]["val_loss"]), abs=1e-5)


@pytest.mark.usefixtures("shared_programs")
def test_diverged_lanes_are_not_watched():
    """Their state stands still, and would be taken for one that goes on."""
    base, seen = small(activation="relu", epochs=4), []
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 1e30], "seed": [0, 1]})
    executors.train_states(trials, SYNTHETIC, watch=lambda name, epoch, _: seen.append((name, epoch)))
    rows = rows_of(trials)
    assert seen == [pair for epoch in range(1, 5) for pair in rows if pair[1] == epoch and not rows[pair]["diverged"]]
    assert {name for name, epoch in seen if epoch == 4} == {n for n, trial in trials.items() if trial.learning_rate < 1}


@pytest.mark.usefixtures("shared_programs")
def test_a_pack_without_a_lane_alive_stops():
    """Of a million epochs, those are run in which a lane is alive; the progress still reaches the end."""
    rates = {"learning_rate": [1e30, 2e30], "seed": [0, 1]}
    trials = space.make_trials(small(activation="relu", epochs=10**6), None, rates)
    (pack,), advanced = plan.make_packs(trials, plan.this_machine(), EXAMPLES), []
    table = executors.Runner().run(pack, trials, SYNTHETIC, advanced.append)
    assert table["diverged"].to_pylist()[-1] and len(table) < 20
    assert "rate" not in table.column_names  # Which is the same at every step.
    assert sum(advanced) == 4 * 10**6


def test_one_program_serves_all_packs_of_a_structure(monkeypatch):
    """Two activations, packs of other seeds, rates and epochs: the epoch is compiled twice."""
    compiled, names = compiling.compiled, []

    def counting(function, *arguments, **options):
        names.append(function.__name__)
        return compiled(function, *arguments, **options)

    monkeypatch.setattr(compiling, "compiled", counting)
    monkeypatch.setattr(recent_programs, "recent", {})
    axes = {"epochs": [1, 2], "activation": ["sigmoid", "relu"], "learning_rate": [0.1, 0.2], "seed": [0, 1, 2, 3]}
    trials = space.make_trials(small(), None, axes)
    packs = plan.make_packs(trials, plan.this_machine(), EXAMPLES, 4)
    runner = executors.Runner()
    for pack in packs:
        runner.run(pack, trials, SYNTHETIC, lambda _: None)
    assert len(packs) == 8
    assert names.count("epoch_of_lanes") == plan.compilations(packs, trials) == 2


def test_scheduled_lanes_are_their_runs_alone_and_compile_once(monkeypatch):
    """Eight peaks, four warm-ups, one of them none, and two lengths: one program of the epoch. Each epoch has the rate
    of its last step."""
    compiled, names = compiling.compiled, []

    def counting(function, *arguments, **options):
        names.append(function.__name__)
        return compiled(function, *arguments, **options)

    monkeypatch.setattr(compiling, "compiled", counting)
    monkeypatch.setattr(recent_programs, "recent", {})
    peaks = {"learning_rate": [0.1 * i for i in range(1, 9)], "warmup": [0.0, 0.25, 1.0, 1.7]}
    trials = space.make_trials(small(schedule="cosine", batch_size=60), None, peaks | {"epochs": [2, 5]})
    packs = plan.make_packs(trials, plan.this_machine(), EXAMPLES)
    assert plan.compilations(packs, trials) == 1 and packs[0].optional == ("warmup",)
    found = rows_of(trials)
    assert names.count("epoch_of_lanes") == 1
    for fields in ({"warmup": 1.7, "epochs": 5}, {"warmup": 0.0, "epochs": 2}):
        trial = small(schedule="cosine", batch_size=60, learning_rate=0.8, **fields)
        name = as_config(trial).name()
        for number, expected in enumerate(alone(trial), start=1):
            for metric in METRICS:
                assert found[name, number][metric] == pytest.approx(float(expected[metric]), abs=1e-4), (fields, metric)
            numbers, done = train.hyperparameters(trial, EXAMPLES(trial)), number * -(-EXAMPLES(trial) // 60)
            rate = recorded_rate(as_config(trial), numbers, jnp.int32(done))["learning_rate"]
            assert found[name, number]["rate"] == pytest.approx(rate, rel=1e-6) and rate < 0.8


def test_lanes_of_adamw_are_their_runs_alone():
    """Of which one decays, and all keep the inputs that are always zero for its sake."""
    base = small(optimizer="adamw", learning_rate=0.01, schedule="step", epochs=3)
    trials = space.make_trials(base, None, {"weight_decay": [0.0, 2.0], "beta2": [0.999, 0.9]})
    assert_same(dict(list(trials.items())[::3]))


@pytest.mark.usefixtures("shared_programs")
def test_the_same_seed_means_the_same_start_and_the_same_batches():
    """Across learning rates: one initial draw, and the first epoch's loss equal where the rate is next to nothing."""
    trials = space.make_trials(small(epochs=1), None, {"learning_rate": [1e-30, 2e-30], "seed": [0, 1]})
    losses = {}
    for (name, _), row in rows_of(trials).items():
        losses.setdefault(trials[name].seed, []).append(row["val_loss"])
    assert losses[0][0] == losses[0][1] and losses[1][0] == losses[1][1]
    assert losses[0][0] != losses[1][0]


def test_rows_are_spread_evenly_over_the_devices():
    """Three rows on two devices of two rows each: two on the first, one on the second, the rest is padding."""
    rows = [[{"seed": i}, {"seed": i}] for i in range(3)]
    trials, slots, alive_WxR = lanes.padded(rows, lanes.Shape(4, 3), devices=2)
    assert slots == [0, 2, 1]
    assert alive_WxR.tolist() == [[True, True, False]] * 3 + [[False] * 3]
    assert [trials[slot][0]["seed"] for slot in slots] == [0, 1, 2]
    assert all(len(row) == 3 for row in trials)


@pytest.mark.usefixtures("shared_programs")
def test_states_of_lanes_go_on():
    """The last state is that of the run alone; trials that start from given states go on, each from its own."""
    config = small(epochs=2)
    trials = space.make_trials(config, None, FOUR)
    seen = {}
    watch = lambda name, epoch, state: seen.update({(name, epoch): state})  # noqa: E731
    _, states = executors.train_states(trials, SYNTHETIC, watch=watch)
    assert sorted(seen) == sorted((name, epoch) for name in trials for epoch in (1, 2))
    jax.tree.map(np.testing.assert_array_equal, {name: seen[name, 2] for name in trials}, states)
    name, trial = list(trials.items())[3]
    functions, numbers = functions_of(trial), train.hyperparameters(trial)
    init_key, shuffle_key = train.run_keys(trial.seed)
    state = functions.init(numbers, init_key)
    for number in (1, 2):
        state, _ = functions.epoch(state, numbers, SYNTHETIC, jax.random.fold_in(shuffle_key, number))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), states[name], state)
    _, again = executors.train_states(trials, SYNTHETIC, starts=states)
    for number in (1, 2):
        state, _ = functions.epoch(state, numbers, SYNTHETIC, jax.random.fold_in(shuffle_key, number))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), again[name], state)


@pytest.mark.usefixtures("shared_programs")
def test_states_are_copied_at_looks_alone(monkeypatch):
    """Of a trial that is looked at once the state is copied once, and that of all at the end, whether or not anybody
    watches."""
    trials, copies, seen = space.make_trials(small(epochs=4), None, FOUR), [], []
    copy = lanes.Epoch.states_by_name
    monkeypatch.setattr(lanes.Epoch, "states_by_name", lambda epoch, names: copies.append(names) or copy(epoch, names))
    first, *_ = trials
    looks = lambda name, epoch: name == first and epoch == 2  # noqa: E731
    watch = lambda name, epoch, state: seen.append((name, epoch))  # noqa: E731
    _, watched = executors.train_states(trials, SYNTHETIC, watch=watch, looks=looks)
    assert seen == [(first, 2)] and len(copies) == 2
    _, states = executors.train_states(trials, SYNTHETIC)
    assert len(copies) == 3
    jax.tree.map(np.testing.assert_array_equal, watched, states)
