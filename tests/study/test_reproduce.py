"""Studies as processes of their own, on one scoreboard: what is printed, written and answered."""

import importlib
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments import reproduce
from experiments.lecture import neurons
from training.command_line import CONFIGS
from training.files import lock

ROOT = CONFIGS.parent
STUDY = '''"""Does <{name}> end well?

The rest.
"""
import os, signal, sys, time
from pathlib import Path

def study({arguments}):
    raise NotImplementedError

if __name__ == "__main__":
    workdir = Path(sys.argv[1].removeprefix("--workdir="))
    {body}
'''
CLAIM = (
    '{"name": "a < b & |c|", "published": [1.0, 2.0], "source": "x > y", "measured": 3.0, "band": [0.5, Infinity], '
    '"reproduced": false, "seeds": [2.5, 3.5], "note": "It is <much> larger."}'
)
BODIES = {
    "missed": f"print(*sys.argv[2:]); (workdir / 'results.json').write_text('''[{CLAIM}]''')",
    "failing": "print('begun', flush=True); sys.exit('no <luck>')",
    "silent": "print('nothing done')",
    # As Ctrl-C in a terminal would, but for the parent alone.
    "interrupting": (
        "(workdir / 'pid').write_text(str(os.getpid())); os.kill(os.getppid(), signal.SIGINT); time.sleep(9)"
    ),
}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """The folder of small studies, which both this process and the studies' processes find."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    found = {"neurons": neurons}
    for name, body in BODIES.items():
        arguments = "budget" if name == "missed" else ""
        (folder / f"stub_{name}.py").write_text(STUDY.format(name=name, arguments=arguments, body=body))
        monkeypatch.delitem(sys.modules, f"stub_{name}", raising=False)
        found[name] = importlib.import_module(f"stub_{name}")
    monkeypatch.setattr(reproduce, "STUDIES", found)
    return folder


def run(given: list[str], workdir: Path, budget: str = "quick") -> int:
    """The command's exit status."""
    with pytest.raises(SystemExit) as caught:
        reproduce.reproduce(given, budget, workdir)
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


def test_every_study_of_the_folder_is_listed():
    """A study that the scoreboard forgets would be reproduced by nobody."""
    modules = {path.stem for path in (ROOT / "experiments").glob("*.py") if "\n    studies.main(" in path.read_text()}
    assert len(modules) >= 8
    assert set(reproduce.STUDIES) == modules, "list the study in reproduce.STUDIES, where it would be taught"


def test_scoreboard_of_studies_that_end_well_and_badly(stubs, tmp_path, capsys):
    """A failed study is shown and fails the command, but stops no other; an old results.json is not taken for new."""
    workdir = tmp_path / "work"
    (workdir / "silent").mkdir(parents=True)
    (workdir / "silent" / "results.json").write_text(f"[{CLAIM}]")
    assert run(["silent", "failing", "missed", "neurons"], workdir, "full") == 1

    content = json.loads((workdir / "reproduction.json").read_text())
    records = {record["study"]: record for record in content["studies"]}
    assert list(records) == ["neurons", "missed", "failing", "silent"]
    assert (content["reproduced"], content["figures"]) == (12, 13)
    assert content["failed"] == ["failing", "silent"] and content["not_run"] == ["interrupting"]
    assert records["neurons"]["claims"] == json.loads((workdir / "neurons" / "results.json").read_text())
    assert (
        records["neurons"]["command"] == "python -m experiments.lecture.neurons"
        and records["neurons"]["budget"] is None
    )
    assert records["neurons"]["seconds"] > 0.1
    assert records["missed"]["budget"] == "full"
    assert (workdir / "missed" / "log.txt").read_text() == "--budget=full\n"
    assert records["failing"]["failed"] == "exit status 1: no <luck>"
    assert records["silent"]["failed"] == "it wrote no results.json: nothing done"

    out = capsys.readouterr().out
    assert (
        "| missed | a < b & \\|c\\| | 1.0000 and 2.0000 | 3.0000 | 2 | 2.5000 to 3.5000 | 0.5000 to inf | **no** |"
        in out
    )
    assert "missed, a < b & |c|: It is <much> larger." in out
    assert "| failing | **failed**, exit status 1: no <luck> |" in out
    assert "12 of 13 reproduced; 4 of 5 studies run; failed: failing, silent;" in out

    page = Page((workdir / "reproduction.html").read_text())
    assert not page.open and not {"script", "iframe", "object"} & set(page.tags)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} == set(page.ids) == set(records)
    assert page.tags.count("img") == 1 and any(a.startswith("data:image/png;base64,iVBOR") for a in page.addresses)
    assert "url(" not in "".join(page.texts) and "@import" not in "".join(page.texts)
    claims = records["neurons"]["claims"] + records["missed"]["claims"]
    assert {claim["name"] for claim in claims} | {"a < b & |c|: It is <much> larger."} <= set(page.texts)
    assert page.texts.count("reproduced") == 12 and page.texts.count("not reproduced") == 1
    assert page.texts.count("failed") == 4 and "exit status 1: no <luck>" in page.texts
    assert page.texts.count("12 of 13 published figures reproduced") == 2  # title and headline


def test_study_run_again_takes_its_own_place(stubs, tmp_path, capsys):
    """What is not asked for is kept, and what is not reproduced, or failed before, is no failure of the command."""
    assert run(["failing"], tmp_path / "work") == 1
    assert run(["missed"], tmp_path / "work") == 0
    capsys.readouterr()
    (stubs / "stub_failing.py").write_text((stubs / "stub_missed.py").read_text())
    assert run(["failing"], tmp_path / "work") == 0
    content = json.loads((tmp_path / "work" / "reproduction.json").read_text())
    assert [record["study"] for record in content["studies"]] == ["missed", "failing"]
    assert content["failed"] == [] and content["figures"] == 2
    assert capsys.readouterr().out.count("**no**") == 2


def test_interrupted_command_kills_its_study(stubs, tmp_path):
    """One line and status 130; the study's process is gone, and what had finished before is kept."""
    script = (
        "import sys, pathlib, stub_missed, stub_interrupting; from experiments import reproduce\n"
        "reproduce.STUDIES = {'missed': stub_missed, 'interrupting': stub_interrupting}\n"
        "reproduce.reproduce([], 'quick', pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "work")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 130 and not ended.stderr
    assert ended.stdout.splitlines()[-1].startswith("interrupted; ") and "missed: 0 of 1" in ended.stdout
    assert not Path("/proc", (tmp_path / "work" / "interrupting" / "pid").read_text()).exists()
    content = json.loads((tmp_path / "work" / "reproduction.json").read_text())
    assert [record["study"] for record in content["studies"]] == ["missed"]


def test_wrong_commands_end_in_one_line(stubs, tmp_path, capsys):
    """A near match for an unknown study, before anything is made; a folder that is in use, or damaged."""
    assert run(["neurons", "mised"], tmp_path / "work") == 2
    error = capsys.readouterr().err
    assert "did you mean 'missed'?" in error and error.count("\n") == 1
    assert not (tmp_path / "work").exists()
    (tmp_path / "work").mkdir()
    with lock(tmp_path / "work"):
        assert run(["missed"], tmp_path / "work") == 2
    assert "in use" in capsys.readouterr().err
    (tmp_path / "work" / "reproduction.json").write_text('{"studies": [{"study": "missed"}]}')
    assert run(["missed"], tmp_path / "work") == 2
    error = capsys.readouterr().err
    assert "damaged" in error and error.count("\n") == 1


def test_command_line(tmp_path):
    """As a command, where an unknown study ends with status 2."""
    command = [sys.executable, "-m", "experiments.reproduce", "--studies=neuron", f"--workdir={tmp_path / 'work'}"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "'neurons'" in refused.stderr
    assert not (tmp_path / "work").exists()
