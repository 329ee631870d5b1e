"""The command `python -m experiments.sweep` in the process of the tests."""

import os

import jax
import pytest
from commands import in_this_process

from experiments import sweep
from experiments.engine import executors, lanes, plan
from experiments.reporting import page

compile_programs, compiled = lanes.compile_programs, {}
step_seconds, timed = plan.step_seconds, {}


def compile_once(trial, shape, optional, data):
    """The programs, compiled when they are first asked for."""
    leaves, tree = jax.tree.flatten(data)
    # What is compiled by itself for lanes is not what is compiled for one core.
    options = tuple(lanes.ONE_CORE)
    settings = jax.config.jax_enable_x64, jax.config.jax_default_prng_impl, os.environ.get("XLA_FLAGS")
    of_data = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    key = lanes.structure(trial), shape, optional, tree, of_data, options, settings
    if key not in compiled:
        compiled[key] = compile_programs(trial, shape, optional, data)
    return compiled[key]


def time_once(trial, width, *arguments):
    """The seconds of a step, measured when they are first asked for."""
    key = lanes.structure(trial), width, arguments
    if key not in timed:
        timed[key] = step_seconds(trial, width, *arguments)
    return timed[key]


@pytest.fixture
def shared_programs(monkeypatch):
    """What has been compiled for another test is not compiled again."""
    monkeypatch.setattr(lanes, "compile_programs", compile_once)


@pytest.fixture
def call(monkeypatch, shared_programs, tmp_path):
    """Runs the command in this process, in an empty folder, with flags of its own, without drawing the report, and
    with what has been compiled for another test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "step_seconds", time_once)
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
