"""The standard of the scoreboard: what a claim lacks is said, and no claim of any study lacks anything."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from experiments.study import command, needed, records, standard
from experiments.study.claims import (
    Claim,
    against,
    draw_claim,
    exact_claim,
    interval_claim,
    judged,
    mean_claim,
    share_claim,
)
from experiments.study.standard import faults
from experiments.study.study import Study
from training import figures

RESULTS = Path(__file__).parents[2] / "docs" / "results.json"
VALUES = np.array([1.0, 1.1, 1.2])


def sound(**words) -> Claim:
    """A claim without a fault but for what the words change."""
    fields = {"kind": "direction", "source": "Somebody 1990 (P)", "rival": "no effect: 0", "rival_at": 0.0} | words
    kind, source = fields.pop("kind"), fields.pop("source")
    return mean_claim("k", "n", kind, source, VALUES, fields.pop("band", (0.5, 1.5)), **fields)


def test_a_sound_claim_has_no_fault():
    """With its standing, its rival outside its band, and an interval; a theorem's number is a point without a rival."""
    assert not faults(sound())
    assert not faults(sound(kind="number", published=[1.0]))
    assert not faults(exact_claim("k", "n", "oracle", "s", 1.0, (1.0, 1.0), count=100, sample="sets"))
    # A rival that was to be measured beside it, and was of nothing, lies nowhere.
    assert not faults(against(sound(rival="", rival_at=()), "the median of the others", np.nan))


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (sound(kind="number"), "none is given"),
        (sound(source="Somebody 1990"), "standing"),
        (sound(source="Somebody (P) 1990"), "standing"),
        (sound(rival="", rival_at=()), "no rival"),
        (sound(rival_at=()), "in words alone"),
        (sound(kind="oracle", rival_at=()), "in words alone"),
        (sound(kind="oracle", band=(None, None), rival="", rival_at=()), "no end"),
        (share_claim("k", "n", "ours", "s", [True, True], (1.0, 1.0), rival="0", rival_at=0.0), "a point, in which"),
        (exact_claim("k", "n", "oracle", "s", 1.0, (0.0, 2.0), count=8, sample="seeds"), "judged by a point"),
        (exact_claim("k", "n", "oracle", "s", 1.0, (0, 2), count=8, sample="walkers at each of 2 rates"), "by a point"),
    ],
)
def test_what_a_claim_lacks_is_said(claim, words):
    """Each fault by itself."""
    (found,) = faults(claim)
    assert words in found


def test_a_band_that_holds_its_rival_cannot_be_claimed():
    """Not even at its end; of a draw, whose range is only known afterwards, nothing is decided."""
    with pytest.raises(ValueError, match=r"holds its rival, 0\.5, so that it cannot fail"):
        sound(rival_at=0.5)
    values = np.arange(101.0)
    assert draw_claim("k", "n", "s", 50.0, values, rival="x", rival_at=99.0).verdict == "reproduced"
    assert draw_claim("k", "n", "s", 50.0, values, rival="x", rival_at=60.0).verdict == "undecided"


def test_seeds_that_would_decide_a_mean():
    """As many as a t-test with 80 % power needs: of values at .5 standard deviations from the end, 34."""
    values = np.array([-1.0, 1.0] * 8) / np.std([-1, 1] * 8, ddof=1)
    claim = mean_claim("k", "n", "ours", "s", values, (-0.5, None), rival="-.6", rival_at=-0.6)
    assert claim.verdict == "undecided" and claim.needed == needed.seeds_to_tell(0.5) == 34
    assert mean_claim("k", "n", "ours", "s", values, (0.0, None), rival="-1").needed is None  # It lies on the end.
    assert mean_claim("k", "n", "ours", "s", values, (-5.0, None), rival="-6").needed is None  # It is decided.
    # An end that nothing can lie beyond is none: of accuracies near 1 only the other end has to be told from.
    shares = np.array([0.99, 1.0] * 3)
    claim = mean_claim("k", "n", "ours", "s", shares, (0.98, 1.0), bounds=(0.0, 1.0), rival=".5")
    assert claim.verdict == "reproduced"
    ratio = mean_claim("k", "n", "ours", "s", np.exp(values), (np.exp(-0.5), None), log=True, rival=".1")
    assert ratio.needed == 34


def test_trials_that_would_decide_a_share():
    """All of them succeed: .025^(1/n) passes .95 at 72; with that many the verdict is reproduced, with one less not."""
    claim = share_claim("k", "n", "ours", "s", [True] * 20, (0.95, 1.0), rival=".5", rival_at=0.5)
    assert claim.needed == 72
    for count, verdict in ((72, "reproduced"), (71, "undecided")):
        assert share_claim("k", "n", "ours", "s", [True] * count, (0.95, 1.0), rival=".5").verdict == verdict
    assert needed.of_share(0.95, (0.95, 1.0)) is None  # On the end, no number of trials decides.


def test_estimates_that_would_decide():
    """An interval that has to be half as wide takes four times the sample; one without an end says nothing."""
    claim = interval_claim("k", "n", "oracle", "s", 1.0, (0.5, 1.5), (0.75, 3.0), count=10)
    assert claim.needed == 40
    assert interval_claim("k", "n", "oracle", "s", 1.0, (0.7, np.inf), (0.9, 1.5), count=10).needed is None
    assert needed.distance(1.0, (None, None)) == np.inf


def test_seeds_that_would_decide_a_draw():
    """Just outside of the range: with as many seeds as it says, half of the time, the range is known that well."""
    values = np.random.default_rng(0).normal(size=20)
    published = values.mean() + 2.05 * values.std(ddof=1)
    claim = draw_claim("k", "n", "s", float(published), values)
    count = claim.needed or 0
    assert claim.verdict == "undecided" and 100 < count < 10_000
    ranges = np.percentile(np.random.default_rng(1).normal(size=(200, count)), 97.5, axis=1)
    assert np.mean(ranges < 2.05) > 0.9


def test_results_hold_to_the_standard():
    """0 lines of docs/results.json whose band holds their rival, 0 verdicts by a point where a sample has an interval;
    and nothing else amiss with those that were written since claims say where their rivals lie."""
    raw = {record["study"]: record["claims"] for record in json.loads(RESULTS.read_bytes())["studies"]}
    for name, record in records.read(RESULTS).items():
        for claim, fields in zip(record.claims, raw[name], strict=True):
            if "rival_at" in fields:
                assert not faults(claim), (name, claim.key)
            assert not (claim.is_reproduced and claim.holds_rival), (name, claim.key)
            if claim.rule == "the interval in the band" and not claim.holds_rival:
                assert claim.verdict == judged(claim.low, claim.high, claim.band), (name, claim.key)


def test_how_often_the_standard_is_not_kept_is_counted():
    """Of what is sound no line and no verdict; a rival that lies in the band, or stands in words alone, is said."""
    by_point = exact_claim("k", "n", "oracle", "s", 1.0, (0.0, 2.0), count=8, sample="seeds")
    assert standard.counts_in_words([sound()]) == (
        "0 verdicts where the band holds the rival, 0 verdicts by point where a sample has an interval"
    )
    beside = against(sound(), "another: 1.4", 1.4)
    hit = dataclasses.replace(beside, verdict="reproduced")
    miss = against(sound(band=(1.36, 1.5)), "another: 1.4", 1.4)
    assert miss.verdict == "not reproduced" and not standard.cannot_fail(miss)
    words = standard.counts_in_words([by_point, beside, hit, miss, sound(rival_at=())])
    assert words == (
        "1 verdict where the band holds the rival, 1 verdict by point where a sample has an interval; "
        "1 undecided, as the band or the range holds the rival; "
        "1 with an interval whose rival stands in words alone, unchecked"
    )


def test_published_numbers_beside_their_intervals_are_counted():
    """In the band, so that they are reproduced, and yet the interval leaves the printed number out."""
    number = dataclasses.replace(sound(), kind="number", source="s (P)", verdict="reproduced", low=1.0, high=1.2)
    inside, outside = (dataclasses.replace(number, published=(at,)) for at in (1.1, 1.3))
    words = "of 2 published numbers reproduced by an interval in a band, 1 lie outside that interval themselves"
    assert standard.counts_in_words([inside, outside]).endswith(f"; {words}")
    assert words not in standard.counts_in_words([inside, dataclasses.replace(outside, kind="oracle")])


def test_standings_are_explained():
    """P, S and R, at the end of a source."""
    assert [standard.standing(source) for source in ("A (P)", "B, chapter 3 (S)", "C (R)", "D")] == ["P", "S", "R", ""]
    assert set(standard.STANDINGS) == {"P", "S", "R"}


class Draws(NamedTuple):
    """A study's size, and from which seed on it draws."""

    draws: int
    seeds_from: int = 0


def drawn(size: Draws, workdir: Path) -> tuple[Any, list[Claim]]:
    """The first seeds are near 1, the fresh ones near 3; the folder is there."""
    assert workdir.is_dir()
    values = (1.0 if size.seeds_from < 1_000 else 3.0) + np.array([-0.01, 0.01] * size.draws)
    lines = [
        mean_claim(key, key, "ours", "s", values, (0.5, 1.5), rival="0", rival_at=0.0, exploratory=looked)
        for key, looked in (("looked", "the band"), ("plain", ""))
    ]
    return figures.new_figure(2, 2, 1)[0], lines


def computed(size: Draws, _: Path) -> tuple[Any, list[Claim]]:
    """A number that is computed without chance, on a grid that was chosen after looking."""
    line = exact_claim(
        "k", "k", "ours", "s", 1.0, (0.5, 1.5), count=size.draws, sample="points", exploratory="the grid"
    )
    return figures.new_figure(2, 2, 1)[0], [line]


def test_command_confirms_what_is_exploratory(tmp_path, capsys):
    """On seeds from 1,000 on, with nothing else changed, where it is asked for; by default at the full size."""
    study = Study("?", drawn, {"tiny": Draws(2), "full": Draws(3)})

    def confirmations(size: str, confirm: bool | None) -> list[str | None]:
        command.run(study, size, tmp_path, confirm)
        content = json.loads((tmp_path / "results.json").read_text())
        return [Claim.from_dict(fields).confirmation for fields in content]

    assert confirmations("tiny", None) == confirmations("full", False) == [None, None]
    assert not (tmp_path / "fresh.png").exists()
    assert confirmations("tiny", True) == confirmations("full", None) == ["contradicted", None]
    assert (tmp_path / "fresh.png").exists() and "fresh **no**" in capsys.readouterr().out
    command.run(study._replace(fresh_seeds=2_000), "tiny", tmp_path, True)
    assert json.loads((tmp_path / "results.json").read_text())[0]["fresh"]["seeds_from"] == 2_000
    assert "fresh seeds, from 2,000 on" in capsys.readouterr().out
    of_no_seed = study._replace(run=computed)
    command.run(of_no_seed, "tiny", tmp_path, True)
    assert "Nothing was run again: no line is exploratory and hangs on seeds." in capsys.readouterr().out
    unseeded = Study("?", lambda _, folder: drawn(Draws(2), folder), {"tiny": None})
    with pytest.raises(SystemExit):
        command.run(unseeded, "tiny", tmp_path, True)
    assert "--confirm: this study draws no seeds" in capsys.readouterr().err
