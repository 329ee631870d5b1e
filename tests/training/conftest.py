"""Small runs that the tests of a run's folder share."""

import gc
import os
import shutil

import jax
import pytest
from small_run import make_config

import train
from experiments.engine import lanes
from training import run_directory
from training.config import FIELDS, as_config, optional_of
from training.run_directory import RunDirectory

compile_programs, initial_state, compile_one, compiled = train.compile_programs, train.initial_state, train.compiled, {}


def structure(config, *left_out):
    """What the programs of the config's run depend on, but for the shapes of its data."""
    compiled_in = [(n, value) for n, value in lanes.structure(config) if not FIELDS[n].spec.not_compiled]
    settings = jax.config.jax_enable_x64, jax.config.jax_default_prng_impl, os.environ.get("XLA_FLAGS")
    return *((n, value) for n, value in compiled_in if n not in left_out), optional_of([config]), settings


def compile_once(config, data, pool):
    """The programs of a run, traced when they are first asked for: they take the numbers of a config as arguments."""
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(data))
    key = structure(config), jax.tree.structure(data), shapes
    if key not in compiled:
        compiled[key] = compile_programs(config, data, pool)
    return compiled[key]


def draw_once(config, initial=None):
    """`train.initial_state`, whose program is likewise traced when it is first asked for."""
    config = as_config(config)
    key = "draw", structure(config, "probes", "batch_size", "cost")

    def once(*arguments, **options):
        if key not in compiled:
            compiled[key] = compile_one(*arguments, **options)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "compiled", once)
        return initial_state(config, initial)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder for files that stay as they are, so that tests share the programs of the networks in them."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture
def programs_once(monkeypatch):
    """Runs that are trained again and again share their programs, of which tracing them takes longer than running."""
    monkeypatch.setattr(train, "compile_programs", compile_once)
    monkeypatch.setattr(train, "initial_state", draw_once)


@pytest.fixture
def no_figures(monkeypatch):
    """Runs end without their figures, which take longer than all the rest."""
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *arguments: None)


@pytest.fixture
def empty_figures(monkeypatch):
    """Runs make their figures, and write empty files in place of the pictures, which take longer than all the rest."""
    monkeypatch.setattr(run_directory, "save_figure", lambda figure, path: path.write_bytes(b""))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run that has ended, with its figures; not to be changed."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "compile_programs", compile_once)
        patch.setattr(train, "initial_state", draw_once)
        train.train_and_evaluate(make_config(), workdir)
    return workdir


@pytest.fixture(scope="session")
def unbroken(finished, tmp_path_factory):
    """The folder of the unbroken run of a variant; not to be changed."""
    folders = {"momentum": finished}

    def folder(variant):
        if variant not in folders:
            folders[variant] = tmp_path_factory.mktemp(variant)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(RunDirectory, "draw_figures", lambda *arguments: None)
                patch.setattr(train, "compile_programs", compile_once)
                patch.setattr(train, "initial_state", draw_once)
                train.train_and_evaluate(make_config(variant), folders[variant])
        return folders[variant]

    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run that the test may spoil; without figures, so that it has something left to do."""
    yield shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("figures"))
    gc.collect()  # What Orbax leaves behind is complained of here rather than in a later test.
