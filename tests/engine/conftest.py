"""The command `python -m experiments.sweep` in the process of the tests."""

import pytest
from commands import in_this_process

from experiments import sweep
from experiments.engine import executors, lanes
from experiments.reporting import page

compile_programs, compiled = lanes.compile_programs, {}


def compile_once(trial, shape, optional, data):
    """The programs, compiled when they are first asked for."""
    key = lanes.structure(trial), shape, optional, data.live_K is None
    if key not in compiled:
        compiled[key] = compile_programs(trial, shape, optional, data)
    return compiled[key]


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder, with flags of its own, without drawing the report, and
    with what has been compiled for another test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lanes, "compile_programs", compile_once)
    monkeypatch.setattr(lanes, "use_all_cores", lambda: None)
    monkeypatch.setattr(page, "write", lambda *_: [])
    with in_this_process(sweep, monkeypatch) as run:
        yield run


@pytest.fixture
def count_packs(monkeypatch):
    """How many trials each pack that is run has, in order."""
    ran, run = [], executors.Runner.run

    def counting(self, pack, *arguments, **options):
        ran.append(len(pack.trials))
        return run(self, pack, *arguments, **options)

    monkeypatch.setattr(executors.Runner, "run", counting)
    return ran
