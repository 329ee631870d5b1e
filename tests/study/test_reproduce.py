"""Studies as processes of their own, on one scoreboard: what is printed, written and answered."""

import json
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import refused, run_here

from experiments import reproduce
from experiments.reporting import reproduction
from experiments.study import records
from experiments.study.claims import exact_claim
from training.command_line import CONFIGS
from training.files import RunError, lock

ROOT = CONFIGS.parent
STUDY = '''"""Does <{name}> end well?"""
import os, signal, sys, time
from pathlib import Path

if __name__ == "__main__":  # Before what takes a process seconds to import.
    workdir = Path(sys.argv[1].removeprefix("--workdir="))
    {body}
    sys.exit()

from experiments.study.study import Study

def run(size, workdir):
    raise NotImplementedError

STUDY = Study(question="Does <{name}> end well?", run=run, sizes={sizes})
'''
CLAIM = exact_claim(
    "pair", "a < b & |c|", "number", "x > y", 3.0, (0.5, 2.5), published=[1.0, 2.0], note="It is <much> larger."
)
BODIES = {
    "missed": f"print(*sys.argv[2:]); (workdir / 'results.json').write_text({json.dumps([CLAIM.to_dict()])!r})",
    "drawn": (
        f"(workdir / 'results.json').write_text({json.dumps([CLAIM.to_dict()])!r}); "
        f"(workdir / 'figure.png').write_bytes(Path({str(ROOT / 'docs' / 'gallery' / 'neurons.png')!r}).read_bytes())"
    ),
    "failing": "print('begun', flush=True); sys.exit('no <luck>')",
    "silent": "print('nothing done')",
    # As Ctrl-C in a terminal would, but for the parent alone.
    "interrupting": (
        "(workdir / 'pid').write_text(str(os.getpid())); os.kill(os.getppid(), signal.SIGINT); time.sleep(9)"
    ),
}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Small studies by name, which both this process and the studies' processes find, beside a real one."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    for name, body in BODIES.items():
        sizes = {"tiny": 0, "quick": 1, "full": 2} if name == "missed" else {"tiny": 0, "quick": 1}
        (folder / f"stub_{name}.py").write_text(STUDY.format(name=name, sizes=sizes, body=body))
        monkeypatch.delitem(sys.modules, f"stub_{name}", raising=False)
    return {"neurons": "experiments.lecture.neurons"} | {name: f"stub_{name}" for name in BODIES}


def run(
    studies: dict[str, str], given: list[str], workdir: Path, budget: str = "quick", confirm: bool | None = None
) -> int:
    """The command's exit status."""
    with pytest.raises(SystemExit) as caught:
        reproduce.reproduce(studies, given, budget, workdir, confirm)
    return caught.value.code  # pyright: ignore


class Page(HTMLParser):
    """The elements of a page that must be balanced, what they refer to, and the text that is read."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.addresses, self.ids, self.texts = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open += [tag] if tag not in ("meta", "link", "img") else []
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()]


def test_scoreboard_of_studies_that_end_well_and_badly(stubs, tmp_path, capsys):
    """A failed study is shown and fails the command, but stops no other; an old results.json is not taken for new."""
    workdir = tmp_path / "work"
    (workdir / "silent").mkdir(parents=True)
    (workdir / "silent" / "results.json").write_text(json.dumps([CLAIM.to_dict()]))
    assert run(stubs, ["silent", "failing", "missed", "neurons"], workdir, "full") == 1

    content = json.loads((workdir / "reproduction.json").read_text())
    found = {record["study"]: record for record in content["studies"]}
    assert list(found) == ["neurons", "missed", "failing", "silent"]
    assert (
        content["headline"][0]
        == "published number (12 P, 0 S, 0 R): 12 of 13 reproduced (12 of 13 exact), 1 not reproduced, 0 undecided"
    )
    assert found["neurons"]["claims"] == json.loads((workdir / "neurons" / "results.json").read_text())
    assert found["neurons"]["command"] == "python -m experiments.lecture.neurons"
    assert found["neurons"]["budget"] == "quick" and found["missed"]["budget"] == "full"
    assert found["neurons"]["seconds"] > 0.1
    assert (workdir / "missed" / "log.txt").read_text() == "--budget=full\n"
    assert found["failing"]["failed"] == "exit status 1: no <luck>"
    assert found["silent"]["failed"] == "it wrote no results.json: nothing done"

    out = capsys.readouterr().out
    cells = ["missed", "a < b & \\|c\\|", "published number", "1.0000 and 2.0000", "3.0000", "", "exact"]
    assert f"| {' | '.join([*cells, '0.5000 to 2.5000', '**no**'])} |" in out
    assert "missed, a < b & |c|: It is <much> larger." in out
    assert "| failing | **failed**, exit status 1: no <luck> |" in out
    assert "4 of 6 studies run; failed: failing, silent;" in out
    counts = "0 verdicts where the band holds the rival, 0 verdicts by point where a sample has an interval"
    assert counts in out.splitlines()
    # A note of its own, and what its source does not say.
    assert "Below the standard, missed pair: its source does not end with its standing, (P), (S) or (R)." in out

    page = Page((workdir / "reproduction.html").read_text())
    assert not page.open and not {"script", "iframe", "object"} & set(page.tags)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} == set(page.ids) == set(found)
    assert page.tags.count("img") == 1 and any(a.startswith("data:image/png;base64,iVBOR") for a in page.addresses)
    assert "url(" not in "".join(page.texts) and "@import" not in "".join(page.texts)
    claims = found["neurons"]["claims"] + found["missed"]["claims"]
    assert {claim["name"] for claim in claims} | {"a < b & |c|: It is <much> larger."} <= set(page.texts)
    assert page.texts.count("reproduced") == 12 and page.texts.count("not reproduced") == 1
    assert page.texts.count("failed") == 4 and "exit status 1: no <luck>" in page.texts
    assert content["headline"][0] in page.texts and counts in page.texts


def test_fresh_seeds_are_asked_of_what_has_them(stubs, tmp_path):
    """By one command for all studies, at any size; a study without seeds is run as ever."""
    body = BODIES["missed"]
    sizes = "dict.fromkeys(('tiny', 'quick', 'full'), types.SimpleNamespace(seeds_from=0))"
    text = "import types\n" + STUDY.format(name="seeded", sizes=sizes, body=body)
    (tmp_path / "stubs" / "stub_seeded.py").write_text(text)
    studies = {name: stubs[name] for name in ("missed",)} | {"seeded": "stub_seeded"}
    given = {}
    for budget, confirm in (("quick", True), ("quick", None), ("full", None), ("full", False)):
        workdir = tmp_path / f"{budget}{confirm}"
        assert run(studies, [], workdir, budget, confirm) == 0
        logs = [(workdir / name / "log.txt").read_text().split() for name in studies]
        assert "--confirm" not in logs[0] and "--noconfirm" not in logs[0]
        given[budget, confirm] = logs[1]
    assert given["quick", True] == ["--confirm"] and given["quick", None] == []
    assert given["full", None] == ["--budget=full"] and given["full", False] == ["--budget=full", "--noconfirm"]


def test_seconds_are_those_of_killed_processes_as_well(stubs, tmp_path):
    """As the study says that has gone on from what they kept; what an earlier study said is nothing to the next."""
    says, seconds = "(workdir / 'seconds_before.json').write_text('1000.0'); ", []
    for body in (says + BODIES["missed"], BODIES["missed"]):
        text = STUDY.format(name="missed", sizes={"tiny": 0, "quick": 1}, body=body)
        (tmp_path / "stubs" / "stub_missed.py").write_text(text)
        assert run(stubs, ["missed"], tmp_path / "work") == 0
        (record,) = json.loads((tmp_path / "work" / "reproduction.json").read_text())["studies"]
        seconds.append(record["seconds"])
    assert 1_000 < seconds[0] < 1_100 and seconds[1] < 100


def test_study_run_again_takes_its_own_place(stubs, tmp_path, capsys):
    """What is not asked for is kept, and what is not reproduced, or failed before, is no failure of the command."""
    assert run(stubs, ["failing"], tmp_path / "work") == 1
    assert run(stubs, ["missed"], tmp_path / "work") == 0
    capsys.readouterr()
    folder = tmp_path / "stubs"
    (folder / "stub_failing.py").write_text((folder / "stub_missed.py").read_text())
    assert run(stubs, ["failing"], tmp_path / "work") == 0
    content = json.loads((tmp_path / "work" / "reproduction.json").read_text())
    assert [record["study"] for record in content["studies"]] == ["missed", "failing"]
    assert all(record["failed"] is None for record in content["studies"])
    assert capsys.readouterr().out.count("**no**") == 2


def test_documents_are_written_from_what_was_run(stubs, tmp_path):
    """docs/results.json takes over the studies that ended well; results.md is what it says, again and again."""
    docs, readme = tmp_path / "docs", tmp_path / "README.md"
    docs.mkdir()
    (docs / "words.md").write_text("It is <!-- missed pair -->old<!-- / -->, <!-- missed k -->old\nold<!-- / -->.")
    readme.write_text(f"Before.\n{reproduction.BEGIN}\nold\n{reproduction.END}\nAfter.\n")
    run(stubs, ["failing", "drawn", "missed"], tmp_path / "work")
    shown = reproduce.write_documents(stubs, tmp_path / "work", docs)
    assert [record.study for record in shown] == ["missed", "drawn"]
    assert (docs / "gallery" / "drawn.png").stat().st_size > 10_000
    text = (docs / "results.md").read_text()
    assert text == reproduction.document(list(records.read(docs / "results.json").values()))
    assert "## missed\n" in text and "a < b & \\|c\\|" in text and "gallery/drawn.png" in text
    assert readme.read_text().startswith(f"Before.\n{reproduction.BEGIN}\n| study |")
    assert readme.read_text().endswith(f"\n{reproduction.END}\nAfter.\n") and "\nold\n" not in readme.read_text()
    words = "It is <!-- missed pair -->3<!-- / -->, <!-- missed k -->(not measured at this size)<!-- / -->."
    assert (docs / "words.md").read_text() == words
    # A folder in which nothing was run changes nothing, nor does a smaller size.
    with pytest.raises(RunError, match="no study that ended well"):
        reproduce.write_documents(stubs, tmp_path / "elsewhere", docs)
    run(stubs, ["missed"], tmp_path / "smaller", "tiny")
    reproduce.write_documents(stubs, tmp_path / "smaller", docs)
    assert (docs / "results.md").read_text() == text


def test_interrupted_command_kills_its_study(stubs, tmp_path):
    """One line and status 130; the study's process is gone, and what had finished before is kept."""
    script = (
        "import sys, pathlib; from experiments import reproduce\n"
        "studies = {'missed': 'stub_missed', 'interrupting': 'stub_interrupting'}\n"
        "reproduce.reproduce(studies, [], 'quick', pathlib.Path(sys.argv[1]))"
    )
    # However this test was started, Ctrl-C is not ignored there.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", listening + script, str(tmp_path / "work")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 130 and not ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("interrupted; ") and "missed: 0 of 1" in ended.stdout
    assert not Path("/proc", (tmp_path / "work" / "interrupting" / "pid").read_text()).exists()
    content = json.loads((tmp_path / "work" / "reproduction.json").read_text())
    assert [record["study"] for record in content["studies"]] == ["missed"]


def test_wrong_commands_end_in_one_line(stubs, tmp_path, capsys):
    """A near match for an unknown study, before anything is made; a folder that is in use, or damaged."""
    assert run(stubs, ["neurons", "mised"], tmp_path / "work") == 2
    error = capsys.readouterr().err
    assert "did you mean 'missed'?" in error and error.count("\n") == 1
    assert not (tmp_path / "work").exists()
    (tmp_path / "work").mkdir()
    with lock(tmp_path / "work"):
        assert run(stubs, ["missed"], tmp_path / "work") == 2
    assert "in use" in capsys.readouterr().err
    (tmp_path / "work" / "reproduction.json").write_text('{"studies": [{"study": "missed"}]}')
    assert run(stubs, ["missed"], tmp_path / "work") == 2
    error = capsys.readouterr().err
    assert "damaged" in error and error.count("\n") == 1


def test_documents_take_no_studies(monkeypatch, capsys, tmp_path):
    """What --docs would ignore is refused."""
    monkeypatch.chdir(tmp_path)
    run_command = partial(run_here, "experiments.reproduce", monkeypatch, "--docs")
    for flag in ("--studies=neurons", "--budget=full"):
        assert "--workdir alone" in refused(run_command, capsys, flag, "--workdir=work")


def test_command_line(monkeypatch, capsys, tmp_path):
    """As a command, where an unknown study ends with status 2."""
    monkeypatch.chdir(tmp_path)
    run_command = partial(run_here, "experiments.reproduce", monkeypatch)
    assert "'neurons'" in refused(run_command, capsys, "--studies=neuron", "--workdir=work")
