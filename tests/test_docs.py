"""The documents say what the committed numbers say, and what they show works."""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from pdoc.__main__ import cli

import input_pipeline
import nets
import train
from configs import shallow
from experiments.benchmarks import tables
from experiments.reporting import reproduction
from experiments.study import claims, records, study
from experiments.study.records import Record
from training.run_directory import RunDirectory

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *DOCS.glob("*.md")]}
RESULTS = DOCS / "results.json"


# ---------------------------------------------------------------------------------------------------------------------
# Numbers.


def test_results_are_those_of_their_json():
    """results.md, the README's table and every number between marks are what the command would write."""
    assert RESULTS.exists() == (DOCS / "results.md").exists()
    if RESULTS.exists():
        found, others = (list(read(RESULTS).values()) for read in (records.read, records.read_elsewhere))
        assert (DOCS / "results.md").read_text(encoding="utf-8") == reproduction.document(found, others)
        assert reproduction.with_table(README, found) == README
        for path, text in PAGES.items():
            assert reproduction.with_claims(text, found) == text, path.name


def test_what_is_shown_was_claimed():
    """Every number of the README's table and of the texts is one that a study claims; studies by their names."""
    marks = [mark for text in PAGES.values() for mark in reproduction.MARKED.finditer(text)]
    named = {(mark["study"], mark["key"]) for mark in marks} | set(reproduction.IN_README)
    named |= {(mark["study"], mark["other"]) for mark in marks if re.search("[a-z]", mark["other"] or "")}
    assert len(reproduction.IN_README) <= 10 and len(named) > 30
    assert {name for name, _ in named} <= set(study.find_studies())
    if RESULTS.exists():
        found = records.read(RESULTS)
        run = {pair for pair in named if pair[0] in found}
        assert not run - {(name, claim.key) for name in found for claim in found[name].claims}


def test_speed_is_that_of_its_json():
    """speed.md is what the command would write."""
    path = DOCS / "speed.json"
    assert path.exists() == (DOCS / "speed.md").exists()
    if path.exists():
        assert (DOCS / "speed.md").read_text(encoding="utf-8") == tables.document(json.loads(path.read_bytes()))


def record(name: str, *found: claims.Claim) -> Record:
    """A study that was run."""
    return Record(
        study=name,
        question="Is it so?",
        command=f"python -m experiments.lecture.{name}",
        budget="quick",
        date="2026-01-02",
        git_revision=None,
        seconds=1.0,
        cores=2,
        versions={"jaxlib": "0.10.1"},
        failed=None,
        claims=found,
    )


def test_it_is_said_where_most_lines_are_of_one_study():
    """Of a kind's exploratory lines, where there are many, and others beside."""
    line = claims.exact_claim("k", "n", "oracle", "s", 0.5, (0.9, 1.0), published=0.95, exploratory="looked")
    many, few = record("many_minima", *[line] * 12), record("neurons", *[line] * 4)
    words = "oracle: 12 of the 16 exploratory lines are of `many_minima`"
    assert reproduction.counts_of([many, few]).endswith(f"; {words}")
    assert words not in reproduction.readme_table([many]) and words in reproduction.readme_table([many, few])
    assert reproduction.of_one_study([few, record("forward", line)]) == []


def test_table_of_the_readme():
    """Hits and misses as they are, each with its kind, only those that were run, between the marks; everything else is
    left alone."""
    hit = claims.mean_claim("end/val_accuracy", "the end", "number", "s (P)", [0.86, 0.861, 0.862], (0.85, 0.875))
    miss = claims.exact_claim("intermediate", "no", "oracle", "s", 0.5, (0.9, 1.0), published=0.95)
    found = [record("shallow_net", hit), record("lecture_nets", miss)]
    text = reproduction.with_table(f"a\n{reproduction.BEGIN}\nold\n{reproduction.END}\nb\n", found)
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        "| `shallow_net` | the end | published number (P) |  | 0.861 (0.8585 to 0.8635), 3 seeds | yes |",
        "| `lecture_nets` | no | oracle | 0.95 | 0.5, exact | **no** |",
    ]
    assert text.startswith(f"a\n{reproduction.BEGIN}\n| study |") and text.endswith(f"{reproduction.END}\nb\n")
    assert (
        "\n| published number (1 P, 0 S, 0 R) | 1 of 1 | 0 | 0 |  |  |  |  |"
        "\n| oracle | 0 of 1 (0 of 1 exact) | 1 | 0 |  |  |  |  |\n" in text
    )
    assert "All claims of the 2 studies that were run, 2026-01-02; 0 verdicts where the band holds" in text
    with pytest.raises(records.RunError, match="lacks the marks"):
        reproduction.with_table("a", found)


@pytest.mark.parametrize(
    ("values", "words"), [([146.0, 149.0, 152.0], "149 (142 to 156)"), ([0.1, 0.1, 0.1], "0.1"), ([0.5], "0.5")]
)
def test_numbers_within_a_text(values, words):
    """Three digits with the interval; a point as it is."""
    claim = claims.mean_claim("k/1", "x", "ours", "s", values, (0, 1))
    if len(values) == 1:
        claim = claims.exact_claim("k/1", "x", "ours", "s", values[0], (0, 1))
    text = reproduction.with_claims("a <!-- name k/1 -->\nold<!-- / --> b", [record("name", claim)])
    assert text == f"a <!-- name k/1 -->{words}<!-- / --> b"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("0", "differs from"),
        ("1.05", "cannot be told from"),
        ("near", "cannot be told from"),
        ("far", "differs from"),
        ("none", "(not measured at this size)"),
    ],
)
def test_words_between_two_numbers_within_a_text(other, words):
    """Two are told apart only where their intervals do not overlap; a number that is given is a point."""
    values = {"k/1": [1.0, 1.1, 1.2], "near": [1.1, 1.2, 1.3], "far": [2.0, 2.1, 2.2]}
    found = [claims.mean_claim(key, "x", "ours", "s", of, (0, 1)) for key, of in values.items()]
    mark = f"<!-- name k/1 ? {other} -->"
    text = reproduction.with_claims(f"a {mark}old<!-- / --> b", [record("name", *found)])
    assert text == f"a {mark}{words}<!-- / --> b"


def test_verdicts_within_a_text():
    """Of the first seeds and of fresh ones; where none were run it is said."""
    line = claims.mean_claim("k/1", "x", "ours", "s", [0.4, 0.5, 0.6], (0, 1), exploratory="y")
    for other, words in (([1.0, 1.1, 1.2], "undecided"), ([2.0, 2.1, 2.2], "not reproduced")):
        again = claims.mean_claim("k/1", "x", "ours", "s", other, (0, 1))
        found = [record("name", *claims.with_fresh([line], [again], 1_000))]
        text = reproduction.with_claims(
            "<!-- name k/1 ! first -->a<!-- / --> <!-- name k/1 ! fresh -->b<!-- / -->", found
        )
        first, fresh = "<!-- name k/1 ! first -->reproduced<!-- / -->", f"<!-- name k/1 ! fresh -->{words}<!-- / -->"
        assert text == f"{first} {fresh}"
    text = reproduction.with_claims("<!-- name k/1 ! fresh -->b<!-- / -->", [record("name", line)])
    assert text == "<!-- name k/1 ! fresh -->(not measured at this size)<!-- / -->"


def test_what_a_record_was_made_of_is_said():
    """Its commit, where there is one; changes that were not committed, and only where there were some."""
    made = record("name")
    for revision, said in ((None, False), ("abc", False), ("abc-dirty", True)):
        text = reproduction.document([dataclasses.replace(made, git_revision=revision)])
        assert ("with changes that were not committed" in text) == said
        assert (", commit abc" in text) == bool(revision) and "abc-dirty" not in text


def test_speed_is_taken_over(tmp_path):
    """What was measured takes its place beside what was there; a folder without measurements, or a damaged one, is
    refused before anything is written."""
    docs, line = tmp_path / "docs", tables.line("epoch / bound", [1.4, 1.5, 1.7], 1.6)
    docs.mkdir()
    with pytest.raises(records.RunError, match="holds no measurements"):
        tables.write_documents(tmp_path, docs)
    tables.write_part("epoch", tables.measured_here("c", {"seconds": {"plateau": [1.0]}, "figures": [line]}), tmp_path)
    assert tables.write_documents(tmp_path, docs) == ["epoch"]
    tables.path_of("epoch", tmp_path).unlink()
    faults = tables.measured_here("f", {"counts": {"run": {"right": 3, "wrong": 0}}, "bad": ["so"]})
    tables.write_part("faults", faults, tmp_path)
    assert tables.write_documents(tmp_path, docs) == ["faults"]
    text = (docs / "speed.md").read_text()
    assert "| epoch / bound | 1.500 | 1.400 | 1.700 | 3 | <= 1.6 | yes |" in text
    assert "| run | 3 | 0 |" in text and "- so" in text
    assert text == tables.document(json.loads((docs / "speed.json").read_bytes()))
    tables.path_of("sweep", tmp_path).write_text('{"command": 1}')
    with pytest.raises(records.RunError, match="damaged"):
        tables.write_documents(tmp_path, docs)
    assert (docs / "speed.md").read_text() == text


# ---------------------------------------------------------------------------------------------------------------------
# Commands, links and examples.


def test_readme_has_the_two_commands():
    """Word for word what the checks call, on lines of their own, and the files that they name."""
    run, test = "pip install -r requirements.txt", "pip install -r requirements-dev.txt && pytest"
    first = f"python3 -m venv .venv && . .venv/bin/activate && {run} && python train.py --config=configs/shallow.py"
    lines = README.splitlines()
    assert first in lines and test in lines
    checks = (ROOT / ".ci" / "run").read_text().replace(" -q ", " ")
    assert test in checks and "python train.py --config=configs/shallow.py" in checks


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_names_of_files(path):
    """Every link within the repository and every file, folder and module that is named is there."""
    text = re.sub(r"^```python\n.*?^```", "", PAGES[path], flags=re.M | re.S)
    made = {"docs/results.md", "docs/speed.md", "results.md", "speed.md"}  # Written by commands.
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not link.startswith("http") and link not in made:
            assert (path.parent / link).exists(), link
    for module in set(re.findall(r"python -m (experiments\.[\w.]+)", text)):
        if "NAME" not in module and module != "experiments.saturation.born_zero":
            assert importlib.util.find_spec(module), module
    for file in set(re.findall(r"(?<![\w./])((?:configs|nets|training|experiments|tests)/[\w/]+\.py)", text)):
        given = CONTRIBUTED.get(path.name, set())
        assert file in given or (ROOT / file).exists(), file


def test_every_page_is_linked():
    """From the README on, link by link."""
    reached, left = set[Path](), [ROOT / "README.md"]
    while left:
        path = left.pop()
        reached.add(path)
        links = (path.parent / link for link in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", PAGES[path]))
        left += [page for page in links if page in PAGES and page not in reached]
    assert set(PAGES) == reached
    assert "](docs/saturation_and_escape.md)" in README and "](docs/escape_and_batch_size.md)" in README


# Files that the steps of a page make.
CONTRIBUTED = {"CONTRIBUTING.md": set(re.findall(r"new file\s`([^`]+)`", (ROOT / "CONTRIBUTING.md").read_text()))}


def python_blocks(name: str) -> list[str]:
    """The code that a page shows."""
    return re.findall(r"^```python\n(.*?)^```", PAGES[ROOT / name], re.M | re.S)


def test_example_of_the_readme_runs(capsys):
    """A model that has never heard of `nets`, as it stands; numpy finds the same share."""
    random = np.random.default_rng(0)
    shapes = {"first": (5, 4), "second": (4, 10)}
    params = {
        name: {"w": random.normal(size=shape).astype(np.float32), "bias": np.zeros(shape[1], np.float32)}
        for name, shape in shapes.items()
    }
    x_NxD, labels_N = random.normal(size=(30, 5)).astype(np.float32), random.integers(0, 10, 30)
    (block,) = python_blocks("README.md")
    with jax.numpy_rank_promotion("allow"):
        exec(block, {"params": params, "x_NxD": x_NxD, "labels_N": labels_N})
    *table, measured = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["first", "tanh"], ["second", "none"]]
    a_NxH = np.tanh(x_NxD @ params["first"]["w"])
    measured = eval(measured, {"Array": lambda value, **_: value, "float32": None})
    assert measured["saturation/first"] == pytest.approx(np.mean(abs(a_NxH) > 0.9), rel=1e-6)
    assert measured["curvature/top_eigenvalue"] > 0 and measured["noise/covariance_trace"] > 0


def test_examples_of_the_instruments_run(capsys, monkeypatch):
    """A model that is watched, now and then in a loop; the escape from one's own cost, which is that of the docstring;
    four learning rates at once."""
    watching, escape, lanes = python_blocks("docs/instruments.md")
    with jax.numpy_rank_promotion("allow"):
        exec(watching, {})
    table, last = capsys.readouterr().out.split("\n0.")
    assert table.count("gelu_tanh") == 2 and len(last.split("[")[1].strip("]\n ").split()) == 5
    shown = [line.split("  #")[0].strip() for line in escape.splitlines() if line.strip() and "import" not in line]
    told = [line.split("  #")[0].strip() for line in (nets.escape.__doc__ or "").splitlines()]
    assert [line for line in told if line in shown] == shown
    monkeypatch.setattr(input_pipeline, "load", lambda _: input_pipeline.synthetic())
    exec(lanes, {})
    printed = capsys.readouterr().out
    assert len(printed.strip("[]\n ").split()) == 4


def test_weights_are_read_by_numpy(tmp_path, monkeypatch, capsys):
    """At most ten lines give the last val_accuracy of a run, of all 10,000 images of the test set."""
    (block,) = python_blocks("docs/weights.md")
    assert len(block.strip().splitlines()) <= 10 and "import numpy as np\n" in block and block.count("import") == 1
    config = shallow.get_config()
    config.update(train_examples=2_000, hidden=(16,), epochs=2, batch_size=100, learning_rate=1.0, probes=())
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *_: None)
    rows = train.train_and_evaluate(config, tmp_path / "run")
    capsys.readouterr()
    monkeypatch.chdir(ROOT)
    found: dict[str, float] = {}
    exec(block.replace("runs/mine", str(tmp_path / "run")), found)
    assert capsys.readouterr().out == f"val_accuracy {rows[-1]['val_accuracy']:.4f} after epoch 2\n"
    # The run's is a float32.
    assert found["val_accuracy"] == round(rows[-1]["val_accuracy"], 4) > 0.2


def test_models_of_ones_own_run(tmp_path, monkeypatch, capsys):
    """The files of the page, with the flags that it gives: a net in plain JAX, an activation, a cost."""
    net, parts = python_blocks("docs/models.md")
    (tmp_path / "mine.py").write_text(net + parts)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *_: None)
    config = shallow.get_config()
    config.update(model="mine.py:net", dataset="synthetic", hidden=(64, 32), epochs=2, learning_rate=0.5)
    config.update(activation="mine.py:bent", cost="mine.py:absolute", batch_size=64)
    jax.config.update("jax_numpy_rank_promotion", "allow")  # Of all threads.
    try:
        rows = train.train_and_evaluate(config, tmp_path / "run")
    finally:
        jax.config.update("jax_numpy_rank_promotion", "raise")
    assert "saturation/0" in rows[-1] and rows[-1]["loss"] < rows[0]["loss"]
    assert "0 (mine.py:bent@" in capsys.readouterr().out


def test_reference_builds_without_warnings(tmp_path, capsys):
    """Of `nets` and `train`, by the command that the pages give; a warning is an error here."""
    words = ["nets", "train", "-o"]
    assert all(
        f"python -m pdoc {' '.join(words)} docs/api" in PAGES[ROOT / name] for name in ("README.md", "CONTRIBUTING.md")
    )
    cli([*words, str(tmp_path)])
    assert not capsys.readouterr().err.strip()
    page = (tmp_path / "nets" / "saturation.html").read_text()
    assert "saturated_fraction" in page and (tmp_path / "train.html").stat().st_size > 10_000
