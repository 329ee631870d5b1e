"""The batch size study: rates chosen without luck, gaps judged by their intervals, packs kept and measured."""

import json
import math

import numpy as np
import pytest

from experiments.batches import batch_size
from experiments.batches.batch_size import STUDY
from experiments.engine import results, space
from experiments.engine.sweeping import run_here
from experiments.study import command
from experiments.study.claims import Claim, above
from experiments.study.measured_ends import METRICS
from training.config import ConfigError


def tuned(accuracy_S, inside=True):
    """A setting with those accuracies."""
    return batch_size.Tuned({"test_accuracy": np.array(accuracy_S)}, 1.0, inside)


def test_rates_are_quarter_decades():
    """1, 1.8, 3.2, 5.6, 10, and below."""
    rates = [batch_size.rate(index) for index in (-10, -4, -2, -1, 0, 1, 2, 3, 4, 6)]
    assert rates == [0.003162, 0.1, 0.3162, 0.5623, 1.0, 1.778, 3.162, 5.623, 10.0, 31.62]


def test_first_grid_grows_with_the_batch_up_to_its_most():
    """Ten examples have ten times the rate of one, which are four quarter decades."""
    size = STUDY.sizes["quick"]
    assert size.nets["shallow"][1:] == (0, 6)
    grids = [batch_size.first_grid(batch_size.Setting("shallow", "equal epochs", b), size) for b in (1, 10, 60_000)]
    assert grids == [[-2, 0, 2], [2, 4, 6], [4, 6, 8]]


def test_every_setting_makes_the_steps_of_its_budget():
    """As many as there are examples, or 512, at every size of the study."""
    for name in ("quick", "full"):
        size = STUDY.sizes[name]
        for budget, batches in (("equal epochs", size.epochs_sizes), ("equal steps", size.steps_sizes)):
            for batch in batches:
                config = batch_size.config_of(batch_size.Setting("shallow", budget, batch), size)
                examples = config.train_examples or 50_000
                steps = config.epochs * (examples / batch)
                assert steps == (5 * 50_000 / batch if budget == "equal epochs" else 512)


def test_only_the_sizes_that_are_compared_are_refined(monkeypatch, tmp_path):
    """Where the budget asks for it, the quarter decade above the best half decade is found, but not for other sizes;
    what is measured is of the fresh seeds, at the rate that the others chose."""
    best = {("equal epochs", 8): 2.6, ("equal epochs", 128): 4.6}

    def run_here(base, trials, workdir, execute, next_trials):
        rows, table = {}, None
        while trials := next_trials(table):
            rows |= {name: row(name, trial) for name, trial in trials.items()}
            table = results.pack_table({n: t for n, (t, _) in rows.items()}, [found for _, found in rows.values()])
        return table

    def row(name, trial):
        place = 4 * math.log10(trial.learning_rate) - best["equal epochs", trial.batch_size]
        accuracy = 0.9 - 0.01 * abs(place)
        ended = {"trial": name, "epoch": trial.epochs, "diverged": False, "val_accuracy": accuracy}
        return trial, ended | {metric: trial.seed / 10 for metric in METRICS}

    monkeypatch.setattr(batch_size, "run_here", run_here)
    settings = [batch_size.Setting("shallow", budget, size) for budget, size in best]
    for name, expected in (("quick", [2, 4]), ("full", [2, 5])):
        size = STUDY.sizes[name]
        found = batch_size.tune(settings, size, tmp_path).values()
        assert [of_setting.rate for of_setting in found] == [batch_size.rate(index) for index in expected]
        assert all(of_setting.inside for of_setting in found)
        seeds = [(3 + i) / 10 for i in range(size.seeds)]
        assert all(of_setting.metrics["test_accuracy"].tolist() == seeds for of_setting in found)


def test_a_gap_is_judged_by_its_whole_interval_of_paired_seeds():
    """Seeds that differ by more than the gap do not hide it; a mean inside the band whose interval is not is undecided;
    a rate at its grid's edge is noted."""
    better, other = tuned([0.95, 0.85, 0.75]), tuned([0.94, 0.839, 0.741])

    def claim_of(other, least):
        return batch_size.gap_claim("key", "gap", "source", better, other, least, "no gap")

    claim = claim_of(other, 0.0)
    assert claim.verdict == "reproduced" and claim.measured == pytest.approx(1.0) and claim.band == (above(0.0), 100.0)
    # Student's t of 2 degrees of freedom is 4.303, and the gaps 1, 1.1 and .9 have a standard deviation of .1.
    within = 4.303 * 0.1 / 3**0.5
    assert (claim.low, claim.high) == pytest.approx((1 - within, 1 + within), rel=1e-3)
    assert claim.note == "at rates 1 and 1" and claim.exploratory
    assert [claim_of(other, least).verdict for least in (0.9, 1.3)] == ["undecided", "not reproduced"]
    assert "edge" in claim_of(tuned([0.94, 0.839, 0.741], inside=False), 0.0).note
    # A seed that breaks down counts, one that diverges does not, and both are said.
    claim = claim_of(tuned([0.94, 0.1, np.nan]), 0.0)
    assert claim.count == 2 and claim.measured == pytest.approx(38)
    assert "; 1 of 6 nets end at 20% or less; 1 of 6 nets diverge" in claim.note


def of_settings(gap):
    """Quick's settings of both nets, of which batches above 128 are that many points behind at equal epochs."""
    size = STUDY.sizes["quick"]
    seeds_S = 0.9 + np.array([0.0, 0.001, 0.002])
    metrics = {name: seeds_S for name in METRICS}
    settings = {
        batch_size.Setting(net, budget, batch): batch_size.Tuned(
            metrics | {"test_accuracy": seeds_S - (gap / 100 if batch > 128 and budget == "equal epochs" else 0)},
            1.0,
            True,
        )
        for net in size.nets
        for budget, batches in (("equal epochs", size.epochs_sizes), ("equal steps", size.steps_sizes))
        for batch in batches
    }
    return size, settings


def test_claims_of_a_net():
    """Large batches that are a point behind for want of steps, at any rate: only that retuning helps is not so."""
    size, settings = of_settings(1.0)
    kept = settings[batch_size.Setting("shallow", "equal epochs", 8_192)]
    claims = batch_size.claims_of_net("shallow", settings, kept, size)
    keys = ["shallow/epochs/large", "shallow/epochs/small", "shallow/epochs/retuned", "shallow/steps/all"]
    assert [claim.key for claim in claims] == keys
    assert [claim.measured for claim in claims] == pytest.approx([1, 0, 0, 0])
    # Retuned to the same rate nothing can be gained, which is no yes.
    assert claims[2].verdict == "not reproduced" and "the rate that is best is the same" in claims[2].note
    worse = batch_size.Tuned(kept.metrics | {"test_accuracy": np.array([0.87, 0.88, 0.88])}, 2.0, True)
    assert "the same" not in batch_size.claims_of_net("shallow", settings, worse, size)[2].note
    assert batch_size.claims_of_net("shallow", settings, worse, size)[2].verdict == "reproduced"
    size, settings = of_settings(-1.0)
    claims = batch_size.claims_of_net("shallow", settings, worse, size)
    assert claims[0].verdict == "not reproduced" and claims[0].measured == pytest.approx(-1)


def test_study_end_to_end(tmp_path):
    """Four claims, two of them ours, and all exploratory; with both budgets and sizes the same there is no gap."""
    command.run(STUDY, "tiny", tmp_path)
    claims = [Claim.from_dict(line) for line in json.loads((tmp_path / "results.json").read_text())]
    assert len({claim.key for claim in claims}) == len(claims) == 4
    assert [claim.kind for claim in claims[:4]] == ["direction", "ours", "ours", "direction"]
    assert all(claim.exploratory for claim in claims)
    assert [claim.measured for claim in claims] == [0] * 4
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_trials_that_have_finished_are_not_run_again(synthetic_config, tmp_path):
    """Stopped in the second pack, the same call runs that one alone; fewer trials are read without running any."""
    synthetic_config.update(probes=(), epochs=1)
    trials = space.make_trials(synthetic_config, None, {"batch_size": [16, 32], "seed": [0, 1]})
    ran = []

    def execute(packs, trials, datasets, advance, most=9):
        for pack in packs[:most]:
            ran.append(trials[pack.trials[0]].batch_size)
            rows = [
                {
                    "trial": name,
                    "epoch": 1,
                    "diverged": False,
                    "val_accuracy": trials[name].seed / 4,
                    "end/cost": 7.0,
                }
                for name in pack.trials
            ]
            yield pack, results.pack_table({name: trials[name] for name in pack.trials}, rows)
        if most < len(packs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_here(synthetic_config, trials, tmp_path, lambda *given: execute(*given, most=1))
    table = run_here(synthetic_config, trials, tmp_path, execute)
    assert ran == [16, 32]
    assert table["end/cost"].to_pylist() == [7.0] * 4 and sorted(table["trial"].to_pylist()) == sorted(trials)
    few = {name: trial for name, trial in trials.items() if trial.seed}
    again = run_here(synthetic_config, few, tmp_path, execute)
    assert again["val_accuracy"].to_pylist() == [0.25, 0.25] and ran == [16, 32]


def test_batches_are_capped_at_what_a_small_data_set_has():
    """Of scikit-learn's 1,797 digits without a test set a third is held out; the largest batch is all that is left, and
    batches of 128 make about as many steps as on MNIST, and exactly as many as equal steps ask for."""
    size = batch_size.on_dataset(STUDY.sizes["quick"], "sklearn:digits")
    assert {net.config.validation for net in size.nets.values()} == {"598"} and size.large == 1_199
    assert size.epochs_sizes == (32, 128, 1_199) and size.steps_sizes == (8, 128, 1_024)
    config = batch_size.config_of(batch_size.Setting("shallow", batch_size.STEPS, 128), size)
    assert config.train_examples == 1_024 and config.epochs * 1_024 / 128 == size.steps
    assert size.epochs * 1_199 == pytest.approx(5 * 50_000, rel=0.01)
    with pytest.raises(ConfigError, match="leaves 100 examples to train on; accepted: more than 128"):
        batch_size.on_dataset(STUDY.sizes["quick"], "sklearn:iris")


def test_a_large_data_set_changes_no_size():
    """MNIST itself is as large as its batches ask for."""
    assert batch_size.on_dataset(STUDY.sizes["quick"], "mnist") == STUDY.sizes["quick"]


def test_fresh_seeds_share_none_with_the_first():
    """From seed 1,000 on, both those that choose a rate and those that are measured."""
    size = STUDY.sizes["quick"]
    again = size._replace(seeds_from=1_000)
    assert batch_size.choosing_seeds(again) == range(1_000, 1_003) and batch_size.fresh_seeds(again) == range(
        1_003, 1_007
    )
    tuned = batch_size.tuning_of([batch_size.Setting("shallow", batch_size.EPOCHS, 128)], again)
    assert {trial.seed for trial in tuned.next_trials(None).values()} == {1_000, 1_001, 1_002}
