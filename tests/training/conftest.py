"""Small runs that the tests of a run's folder share."""

import gc
import shutil

import pytest
from small_run import make_config

import train
from training.run_directory import RunDirectory


@pytest.fixture
def no_figures(monkeypatch):
    """Runs end without their figures, which take longer than all the rest."""
    monkeypatch.setattr(RunDirectory, "draw_figures", lambda *arguments: None)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run that has ended, with its figures; not to be changed."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
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
                train.train_and_evaluate(make_config(variant), folders[variant])
        return folders[variant]

    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run that the test may spoil; without figures, so that it has something left to do."""
    yield shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("figures"))
    gc.collect()  # What Orbax leaves behind is complained of here rather than in a later test.
