"""Schedules: rates against Optax's own, what `step`, `epoch` and probes descend with, what a run says, refusals."""

import importlib
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_run import ROOT, make_config

import input_pipeline
import train
from experiments.engine.axes import parse_axis, parse_value, product
from experiments.engine.space import trials_at
from training import run_directory, schedules, screen
from training.batches import batches, permutation
from training.config import Config, ConfigError, as_config

EXAMPLES, BATCH, EPOCHS, PEAK = 330, 32, 10, 0.7
STEPS = -(-EXAMPLES // BATCH)
TOTAL = EPOCHS * STEPS


def scheduled(**fields):
    """A run of ten epochs of eleven steps."""
    return as_config({"learning_rate": PEAK, "epochs": EPOCHS, "batch_size": BATCH} | fields)


def rates_of(config, steps=TOTAL + 5):
    """The rate of every step, and of some after the end."""
    numbers = train.hyperparameters(config, EXAMPLES)
    return jax.jit(jax.vmap(lambda done: schedules.rate_at(config.schedule, numbers, done)))(np.arange(steps))


def of_optax(schedule, steps=TOTAL + 5):
    """Likewise of a schedule of Optax."""
    return np.asarray(jax.jit(jax.vmap(schedule))(np.arange(steps)))


def after_warmup(schedule, warmup):
    """A linear rise to the peak, then the schedule, whose steps count from there."""
    return optax.join_schedules([optax.linear_schedule(0.0, PEAK, warmup), schedule], [warmup]) if warmup else schedule


# 1.7 epochs are 18.7 steps, which are taken as 19.
@pytest.mark.parametrize(("warmup", "rise"), [(0.0, 0), (1.7, 19), (3.0, 33)])
def test_rates_are_those_of_optax(warmup, rise):
    """At each step and after the last one, to 1e-6 of the peak."""
    drops = {25 - rise: 0.3, 50 - rise: 0.3, 75 - rise: 0.3, 100 - rise: 0.3}
    thirds = {37 - rise: 0.1, 74 - rise: 0.1}
    expected = {
        ("constant",): optax.constant_schedule(PEAK),
        ("linear",): optax.linear_schedule(PEAK, 0.0, TOTAL - rise),
        ("linear", 0.2): optax.linear_schedule(PEAK, 0.2 * PEAK, TOTAL - rise),
        ("cosine",): optax.cosine_decay_schedule(PEAK, TOTAL - rise),
        ("cosine", 0.2): optax.cosine_decay_schedule(PEAK, TOTAL - rise, alpha=0.2),
    }
    for (name, *end), schedule in expected.items():
        config = scheduled(schedule=name, warmup=warmup, **({"end_share": end[0]} if end else {}))
        rates = of_optax(after_warmup(schedule, rise))
        np.testing.assert_allclose(rates_of(config) if config.is_scheduled else PEAK, rates, atol=1e-6 * PEAK)
    if rise < 25:  # 25 / 11 epochs are 25 steps; the default is a third of 110 steps.
        step = scheduled(schedule="step", warmup=warmup, decay_factor=0.3, decay_every=25 / 11)
        rates = of_optax(after_warmup(optax.piecewise_constant_schedule(PEAK, drops), rise), TOTAL)
        np.testing.assert_allclose(rates_of(step, TOTAL), rates, atol=1e-6 * PEAK)
        rates = of_optax(after_warmup(optax.piecewise_constant_schedule(PEAK, thirds), rise), TOTAL)
        np.testing.assert_allclose(rates_of(scheduled(schedule="step", warmup=warmup), TOTAL), rates, atol=1e-6 * PEAK)


def test_warmup_and_cosine_as_one_schedule_of_optax():
    """What Optax calls warmup_cosine_decay_schedule, whose decay_steps include the warm-up."""
    config = scheduled(schedule="cosine", warmup=2.0, end_share=0.1)
    theirs = optax.warmup_cosine_decay_schedule(0.0, PEAK, 2 * STEPS, TOTAL, 0.1 * PEAK)
    np.testing.assert_allclose(rates_of(config), of_optax(theirs), atol=1e-6 * PEAK)


def test_step_drops_within_a_warmup_too():
    """Drops are counted from the start of the run: at step 11 of a rise of 33 steps, by half."""
    rates = np.asarray(rates_of(scheduled(schedule="step", warmup=3.0, decay_factor=0.5, decay_every=1.0)))
    np.testing.assert_allclose(rates[[10, 11, 22, 33]], PEAK * np.array([10 / 33, 11 / 66, 22 / 132, 1 / 8]), rtol=1e-5)


def test_drops_that_are_shorter_than_a_step():
    """They are one step long, and not a third of the run."""
    rates = np.asarray(rates_of(scheduled(schedule="step", decay_factor=0.5, decay_every=1e-3), 4))
    np.testing.assert_allclose(rates, PEAK * np.array([1, 0.5, 0.25, 0.125]), rtol=1e-6)


def small(**fields):
    """One layer on the synthetic data, of 512 examples in batches of 100: six steps, the last one padded."""
    return as_config(
        make_config(**{"hidden": (), "momentum": 0.0, "l2": 0.0, "epochs": 3, "probes": ("speed",)} | fields)
    )


def change_of(before, after):
    """How far the output kernel has gone."""
    return np.asarray(after.params["output"]["kernel"] - before.params["output"]["kernel"])


def test_step_and_epoch_and_probe_take_the_rate_of_their_step():
    """One step is that of the constant rate there; an epoch is its steps, though its last batch is padded, and counts
    its steps itself; a probe's step has the rate of the last one, which at the end of the run is not 0."""
    data = input_pipeline.load("synthetic")
    count = len(data.images)
    config, plain = small(schedule="cosine", warmup=0.5), small()
    functions, numbers = train.make_train(config), train.hyperparameters(config, count)
    constant, steps = train.make_train(plain), -(-count // 100)
    assert steps * 100 > count and float(numbers.steps_per_epoch) == steps and float(numbers.epochs) == 3
    state = start = functions.init(numbers, jax.random.key(0))
    batch = data.images[:100], data.labels[:100], jnp.ones(100)
    expected = of_optax(optax.warmup_cosine_decay_schedule(0.0, 1.0, round(steps / 2), 3 * steps), 3 * steps)

    def at_rate(rate):
        return train.hyperparameters(plain)._replace(learning_rate=jnp.float32(rate))

    for done in (0, 1, steps, 3 * steps - 1):
        there = start._replace(step=jnp.int32(done))
        after = functions.step(there, numbers, batch)[0]
        there_at_rate = constant.step(there, at_rate(expected[done]), batch)[0]
        np.testing.assert_allclose(change_of(there, after), change_of(there, there_at_rate), rtol=1e-4, atol=1e-8)
    order, weights = batches(permutation(jax.random.key(1), count), 100)
    for order_B, weights_B in zip(order, weights, strict=True):
        state, _ = functions.step(state, numbers, (data.images[order_B], data.labels[order_B], weights_B))
    # Its length is counted where it can be, and need not be given.
    counted, _ = functions.epoch(start, numbers._replace(steps_per_epoch=None), data, jax.random.key(1))
    assert int(counted.step) == int(state.step) == steps
    np.testing.assert_allclose(change_of(start, counted), change_of(start, state), rtol=1e-4, atol=1e-6)
    state = counted._replace(step=jnp.int32(3 * steps))
    ends, key = [], jax.random.key(2)
    for probed, rates in ((config, numbers), (plain, at_rate(expected[-1]))):
        measured, _ = train.make_probe(probed)(state, rates, state.params, data, key)
        ends.append(float(measured["update_ratio/output"]))
    assert ends[0] == pytest.approx(ends[1], rel=1e-3) and ends[0] > 0


def test_numbers_without_the_length_of_the_run():
    """They are refused in one line; where the config says how many examples there are, it is known."""
    config = scheduled(schedule="linear")
    with pytest.raises(ValueError, match=r"accepted: those of train\.hyperparameters\(config, examples\)") as caught:
        schedules.rate_at("linear", train.hyperparameters(config), jnp.int32(0))
    assert "\n" not in str(caught.value)
    assert float(train.hyperparameters(config.replace(train_examples=100)).steps_per_epoch) == 4
    assert train.hyperparameters(scheduled(), EXAMPLES).steps_per_epoch is None


def test_a_scheduled_run_says_its_rate(tmp_path, no_figures, capsys):
    """Below the table of layers how it goes, in each line and row that of the epoch's last step; others say nothing."""
    config = small(schedule="linear", warmup=1.0, end_share=0.5, epochs=2, probes=())
    rows = train.train_and_evaluate(config, tmp_path / "run")
    said = capsys.readouterr().out
    assert "Learning rate: from 0 to 1 in 1 epochs; then linear to 0.5 of it after epoch 2" in said
    steps = -(-len(input_pipeline.load("synthetic").images) // 100)
    rates = [(steps - 1) / steps, 1 - 0.5 * (steps - 1) / steps]
    assert [row["learning_rate"] for row in rows] == pytest.approx(rates, rel=1e-5)
    assert f"rate: {rates[1]:.3g}" in said
    recorded = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert recorded == rows
    run_directory.check(tmp_path / "run", config, goes_on=True)
    stretched = "2 epochs, over which its schedule=linear is stretched, 3 here; accepted with --continue: as many"
    with pytest.raises(run_directory.RunError, match=stretched):
        run_directory.check(tmp_path / "run", config.replace(epochs=3), goes_on=True)
    assert "Learning rate" not in screen.summary(small(), *train.state_shapes(small())[1:3])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schedule": "constant", "warmup": 2.0}, "from 0 to 0.01 in 2 epochs; then the same at every step"),
        ({"schedule": "cosine"}, "0.01; cosine to 0 of it after epoch 200"),
        ({"schedule": "step"}, "0.01; times 0.1 after each third of the run"),
        ({"schedule": "step", "decay_every": 2.5, "decay_factor": 0.5}, "0.01; times 0.5 every 2.5 epochs"),
    ],
)
def test_words_of_schedules(fields, said):
    """Each in its own."""
    assert screen.rate_line(as_config(fields)) == f"Learning rate: {said}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schedule": "cosin"}, r"config.schedule='cosin' is not accepted \(did you mean 'cosine'\?\)"),
        ({"end_share": 0.1}, "config.end_share=0.1 is for linear, cosine; accepted with constant: 0.0"),
        ({"schedule": "step", "end_share": 0.1}, "=0.1 is for linear, cosine; accepted with step: 0.0"),
        ({"schedule": "linear", "decay_factor": 0.5}, "=0.5 is for step; accepted with linear: 0.1"),
        ({"decay_every": 5.0}, "config.decay_every=5.0 is for step; accepted with constant: 0.0"),
        ({"warmup": 200.5}, "config.warmup=200.5 is longer than the run of config.epochs=200; accepted: at most that"),
        ({"warmup": -1.0}, "config.warmup=-1.0 is not accepted; accepted: a number from 0"),
        ({"schedule": "step", "decay_every": 200.0}, "decay_every=200 is never reached in config.epochs=200; accepted"),
        ({"schedule": "step", "decay_factor": 0.0}, r"accepted: a number in \(0, 1\]"),
        ({"schedule": "linear", "end_share": 1.5}, r"accepted: a number in \[0, 1\]"),
    ],
)
def test_refusals_of_schedules(fields, said):
    """One line that says what is accepted."""
    with pytest.raises(ConfigError, match=said) as caught:
        as_config(fields)
    assert "\n" not in str(caught.value)


def test_commands_of_the_page_are_accepted():
    """Each flag that docs/optimizers.md shows, with those beside it."""
    page = (ROOT / "docs" / "optimizers.md").read_text()
    commands = re.findall(r"^python .*", page, re.M)
    assert len(commands) == 4
    for command in commands:
        config = importlib.import_module(
            "configs." + re.findall(r"--config=configs/(\w+)\.py", command)[0]
        ).get_config()
        config.update({name: parse_value(name, word) for name, word in re.findall(r"--config\.(\w+)=(\S+)", command)})
        parts = [parse_axis(text).points for text in re.findall(r"--axis (\S+)", command)]
        assert len(trials_at(config, product(*parts))) == (9 if parts else 1)


def test_what_came_later_changes_no_name():
    """A config that says the defaults is the one that does not; another value is another run."""
    defaults = {"schedule": "constant", "warmup": 0.0, "nesterov": False, "beta1": 0.9, "weight_decay": 0.004}
    assert as_config(defaults).name() == Config().name() and not defaults.keys() & Config().identity().keys()
    assert as_config({"schedule": "linear"}).name() != Config().name()
    assert as_config({"warmup": 1.0}).identity()["warmup"] == 1.0


def test_whether_a_longer_run_begins_otherwise():
    """The rates of linear and cosine, and of step by default, depend on the number of epochs."""
    step = {"schedule": "step"}
    stretched = [{"schedule": "linear"}, {"schedule": "cosine"}, step]
    assert all(as_config(fields).is_stretched for fields in stretched)
    assert not any(as_config(fields).is_stretched for fields in ({"warmup": 1.0}, step | {"decay_every": 2.0}))
