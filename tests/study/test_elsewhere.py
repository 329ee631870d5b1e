"""Studies on other data sets: configs made to fit, claims that are made there, and their columns."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from experiments import reproduce
from experiments.batches import batch_size
from experiments.reporting import reproduction
from experiments.saturation import nielsen_init
from experiments.study import command, elsewhere, records, study
from experiments.study.claims import Fresh, exact_claim, mean_claim
from experiments.study.elsewhere import Elsewhere, claims_there
from readers.dataset import DataError
from training.config import Config, ConfigError
from training.files import RunError

STUB = '''"""Does a stub end well?"""
from experiments.study.elsewhere import Elsewhere
from experiments.study.study import Study
from training.config import ConfigError

def on(size, dataset):
    if "iris" in dataset:
        raise ConfigError(f"--dataset={dataset} has no pictures; accepted: pictures")
    return size

STUDY = Study(question="Does a stub end well?", run=print, sizes={"quick": 1}, elsewhere=Elsewhere(on))

if __name__ == "__main__":
    import json, sys
    from pathlib import Path
    folder = Path(sys.argv[1].removeprefix("--workdir="))
    (folder / "results.json").write_text((folder.parent.parent / "claims.json").read_text())
    print(*sys.argv[2:])
'''
CLAIM = exact_claim("pair", "how much", "direction", "a book", 1.0, (0.5, 2.5))
OTHER = exact_claim("pair", "how much", "direction", "a book", 3.0, (0.5, 2.5), exploratory="the pair")
FRESH = Fresh(seeds_from=1_000, measured=2.0, low=1.0, high=3.0, count=5, verdict="undecided")
OTHER = dataclasses.replace(OTHER, fresh=FRESH)


def test_config_is_made_to_fit():
    """Of scikit-learn's digits, without a test set: inputs, classes and examples held out."""
    config = elsewhere.fitted(Config(train_examples=50_000, batch_size=4_096), "sklearn:digits")
    assert (config.inputs, config.classes, config.validation, config.train_examples) == (64, 10, "299", 0)
    assert config.batch_size == 1_797 - 299 and config.dataset == "sklearn:digits"
    images = elsewhere.dataset_of(config).images
    assert images.shape == (1_498, 64) and images.max() == 1.0 and len(np.unique(images)) == 17
    kept = elsewhere.fitted(Config(train_examples=100, validation="50"), "synthetic")
    assert (kept.validation, kept.train_examples, kept.batch_size) == ("50", 100, 128)
    assert elsewhere.fitted(Config(validation="2000"), "synthetic").validation == "85"
    # 15 epochs of 40 steps each; of 1,498 digits in batches of 10 an epoch has 150.
    assert elsewhere.epochs_for(Config(train_examples=5_000, epochs=15), config.replace(batch_size=10)) == 4
    with pytest.raises(ConfigError, match="is a regression; accepted"):
        elsewhere.load("sklearn:diabetes")
    with pytest.raises(DataError, match="did you mean 'digits'"):
        elsewhere.load("sklearn:digist")


def test_claims_that_are_made_there():
    """A printed number is none of another set; a band there is judged anew; what no pattern names is left out."""
    seeds_S = [0.01, 0.02, 0.03]
    claims = [
        mean_claim("gain/first", "gain", "number", "a book", seeds_S, (0.06, None), published=0.07),
        mean_claim("gain/last", "gain", "number", "a book", seeds_S, (0.06, None), published=0.07),
        exact_claim("law", "law", "oracle", "a proof", 1.0, (0.0, 2.0)),
    ]
    assert claims[0].verdict == "not reproduced"
    gain, law = claims_there(Elsewhere(print, {"gain/first": (-1.0, None), "l*": None}), claims)
    assert (gain.kind, gain.published, gain.band, gain.verdict) == ("direction", (), (-1.0, None), "reproduced")
    assert law == claims[2]
    (gain,) = claims_there(Elsewhere(print, {"gain/first": (0.0, None)}), claims)
    assert gain.verdict == "undecided" and gain.needed == 5  # The half width of three seeds, .0248, is to be .02.


def test_names_of_data_sets():
    """In tables by their last part; from the root on for other processes."""
    assert [elsewhere.title_of(name) for name in ("idx:/usr/fashion/", "sklearn:digits", "npz:a/k.npz", "")] == [
        "fashion",
        "digits",
        "k",
        "MNIST",
    ]
    assert elsewhere.absolute("idx:/a/b") == "idx:/a/b" and elsewhere.absolute("sklearn:digits") == "sklearn:digits"
    assert elsewhere.absolute("npz:a.npz").endswith("/a.npz") and elsewhere.absolute("npz:a.npz")[:5] == "npz:/"
    assert elsewhere.absolute("mine.py:make").endswith("/mine.py:make") and elsewhere.absolute("mine.py:make")[0] == "/"


def test_study_on_another_data_set(tmp_path):
    """The net has the inputs of scikit-learn's digits; one claim of two is made, and one that MNIST does not have."""
    command.run(nielsen_init.STUDY, "tiny", tmp_path, dataset="sklearn:digits")
    claim, saturated = json.loads((tmp_path / "results.json").read_text())
    assert (claim["key"], claim["kind"], claim["count"]) == ("gain/first_epoch", "direction", 2)
    assert 0 < claim["band"][0] < 1e-300 and claim["band"][1] is None
    assert "published" not in claim["note"] and claim["published"] == []
    assert saturated["key"] == "saturated/first_epoch"


def test_every_study_that_takes_a_data_set_does():
    """Each size of each study is made on digits."""
    takes = {name: study.load(module) for name, module in study.find_studies().items()}
    takes = {name: loaded for name, loaded in takes.items() if loaded.elsewhere}
    assert {"quadratic_or_cross_entropy", "nielsen_init", "learning_speed", "edge_of_stability"} <= set(takes)
    assert {"batch_size", "steps_to_target"} <= set(takes)
    for loaded in takes.values():
        for size in loaded.sizes.values():
            assert "sklearn:digits" in repr(loaded.elsewhere.on(size, "sklearn:digits"))
    assert (
        batch_size.on_dataset(batch_size.TINY._replace(epochs_sizes=(128,)), "mnist").nets["shallow"].config.inputs
        == 784
    )


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """A study that takes other data sets and answers what claims.json has, beside one that takes none."""
    (tmp_path / "stub_taking.py").write_text(STUB)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "stub_taking", raising=False)
    return {"neurons": "experiments.lecture.neurons", "taking": "stub_taking"}


def ended(studies, given, workdir, dataset=""):
    """The exit status of the command."""
    with pytest.raises(SystemExit) as caught:
        reproduce.reproduce(studies, given, "quick", workdir, dataset=dataset)
    return caught.value.code


def test_columns_of_other_data_sets(stubs, tmp_path, capsys):
    """Kept apart in results.json, beside each other in results.md, where a claim that holds on one set only says so."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "README.md").write_text(f"{reproduction.BEGIN}\n{reproduction.END}\n")
    for dataset, claim in (("", CLAIM), ("sklearn:digits", OTHER)):
        (tmp_path / "claims.json").write_text(json.dumps([claim.to_dict()]))
        folder = tmp_path / f"work{len(dataset)}"
        assert ended(stubs, ["taking"] if not dataset else [], folder, dataset) == 0
        reproduce.write_documents(stubs, folder, docs)
    assert "Left out on digits: neurons (takes no other data set)." in capsys.readouterr().out
    assert (tmp_path / "work14" / "taking" / "log.txt").read_text() == "--dataset=sklearn:digits\n"
    content = json.loads((docs / "results.json").read_text())
    assert content["headline"] == [
        "published direction: 1 of 1 reproduced (1 of 1 exact), 0 not reproduced, 0 undecided"
    ]
    assert [record["study"] for record in content["studies"]] == ["taking"] and "dataset" not in content["studies"][0]
    assert [record["dataset"] for record in content["elsewhere"]] == ["sklearn:digits"]
    text = (docs / "results.md").read_text()
    assert "| on other data sets | MNIST | digits | band | reproduced on, fresh seeds too where run |" in text
    assert "| how much | 1, reproduced | 3, not reproduced; fresh undecided | 0.5000 to 2.5000 | MNIST only |" in text
    assert "digits, published direction, exploratory: 0 of 1 reproduced (0 of 1 exact), 1 not" in text
    both = records.read(docs / "results.json"), records.read_elsewhere(docs / "results.json")
    assert text == reproduction.document(*(list(found.values()) for found in both))
    assert [reproduction.holds_on_all_seeds(claim) for claim in (CLAIM, OTHER)] == [True, False]
    for verdict, holds in (("reproduced", True), ("undecided", False)):
        fresh = dataclasses.replace(OTHER.fresh, verdict=verdict)
        assert reproduction.holds_on_all_seeds(dataclasses.replace(CLAIM, fresh=fresh)) == holds
    assert reproduction.where_it_holds(["a", "b"], ["a", "b"]) == "all 2"
    assert reproduction.where_it_holds(["a"], ["a"]) == "a, tried there alone"
    assert reproduction.where_it_holds([], ["a"]) == "none"


def test_wrong_data_sets_end_in_one_line(stubs, tmp_path, capsys):
    """A set that is not there, one that a study does not take, and a folder of another set."""
    for given, dataset, said in (
        ([], "sklearn:digist", "did you mean 'digits'"),
        (["neurons"], "sklearn:digits", "neurons takes no other data set"),
        ([], "sklearn:iris", "--dataset=sklearn:iris"),
    ):
        assert ended(stubs, given, tmp_path / "work", dataset) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (tmp_path / "work").exists()
    (tmp_path / "claims.json").write_text(json.dumps([CLAIM.to_dict()]))
    assert ended(stubs, ["taking"], tmp_path / "work") == 0
    with pytest.raises(RunError, match="holds what was run on MNIST"):
        reproduce.run(stubs, ["taking"], "quick", tmp_path / "work", dataset="sklearn:digits")
