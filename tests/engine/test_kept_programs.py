"""Compiled programs as files: what a later process reads gives the bits of what was compiled, or is compiled again."""

import jax
import numpy as np
import pytest

import input_pipeline
from experiments.engine import executors, kept_programs, lanes, plan, space
from nets import activations
from training import compiling
from training.config import Config, as_config
from training.files import write_atomically

SMALL = Config(dataset="synthetic", hidden=(8,), epochs=2, validation="50")
AXES = {"learning_rate": [0.1, 1.0], "seed": [0, 1]}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where programs are kept, as by a command."""
    before = getattr(jax.config, compiling.FOLDER)
    jax.config.update(compiling.FOLDER, None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiling.keep_programs()
    yield compiling.own_folder()
    jax.config.update(compiling.FOLDER, before)


@pytest.fixture
def compiled(monkeypatch):
    """The names of the functions that are compiled, as they are."""
    names, compiled = [], compiling.compiled

    def counting(function, *arguments, **options):
        names.append(function.__name__)
        return compiled(function, *arguments, **options)

    monkeypatch.setattr(compiling, "compiled", counting)
    return names


def swept(config=SMALL):
    """The rows of a sweep by a runner of its own, as a later process would have it."""
    trials = space.make_trials(config, None, AXES)
    dataset = input_pipeline.split(input_pipeline.load("synthetic"), 0, config.validation)
    packs = plan.make_packs(trials, plan.this_machine(), lambda _: len(dataset.images))
    assert len(packs) == 1
    table, states = executors.run_begun(
        executors.Runner(), packs[0], trials, dataset, lambda _: None, None, is_kept=True
    )
    return table.replace_schema_metadata(None), states


def same(left, right):
    """Whether rows and states are the same to the bit."""
    (table, states), (other, others) = left, right
    leaves = [jax.tree.leaves(of) for of in (states, others)]
    return table.equals(other) and all(map(np.array_equal, *leaves)) and len(leaves[0]) == len(leaves[1]) > 0


def test_a_later_process_reads_what_one_has_compiled(folder, compiled):
    """The same bits as without any of it, and nothing is traced; what was compiled by JAX's cache is no matter."""
    assert folder.is_dir() and not [*folder.glob("whole-*")]
    first = swept()
    assert sorted(compiled) == sorted(f"{name}_of_lanes" for name in ("init", "epoch", "evaluate", "probe", "test"))
    (file,) = folder.glob("whole-*")
    before, stamp = len(compiled), file.stat().st_mtime_ns
    later = swept()
    assert len(compiled) == before and file.stat().st_mtime_ns == stamp
    jax.config.update(compiling.FOLDER, str(folder.parent))  # JAX's own setting: nothing of this is used.
    assert compiling.own_folder() is None
    without = swept()
    assert len(compiled) == 2 * before
    assert same(first, later) and same(first, without)


def test_a_damaged_file_is_compiled_again(folder, compiled):
    """A flipped byte, a torn file, and one of something else under a digest that is right."""
    first = swept()
    (file,) = folder.glob("whole-*")
    whole = file.read_bytes()
    for content in (whole[:500] + bytes([whole[500] ^ 1]) + whole[501:], whole[: len(whole) // 2], b"", b"x" * 99):
        del compiled[:]
        write_atomically(file, content)
        assert kept_programs.read(file, jax.devices()) is None
        assert same(first, swept()) and len(compiled) == 5 and file.read_bytes() != content
    assert kept_programs.read(file, jax.devices())


def test_other_programs_have_other_files(folder, monkeypatch):
    """Of other fields, shapes, settings, variables and texts of code; of what only says how long it trains the same."""
    trial = as_config(SMALL)
    of = lambda trial, shape=(2, 2): kept_programs.path_of(trial, (lanes.compiled_in(trial), shape))  # noqa: E731
    there = of(trial)
    assert there and there.parent == folder and there == of(trial.replace(epochs=9, patience=2, seed=3))
    others = [of(trial.replace(cost="cross_entropy")), of(trial.replace(hidden=(9,))), of(trial, (2, 3))]
    with monkeypatch.context() as context:
        context.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
        others.append(of(trial))
    before = getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009
    jax.config.update("jax_default_matmul_precision", "highest")
    others.append(of(trial))
    jax.config.update("jax_default_matmul_precision", before)
    monkeypatch.setattr(kept_programs, "code_digest", lambda _: "another text")
    others.append(of(trial))
    assert len({there, *others}) == 1 + len(others)


def test_what_a_key_does_not_cover_is_not_kept(folder, monkeypatch, tmp_path):
    """A file of one's own; a function that somebody has put into a table; where JAX is told to keep nothing."""
    assert kept_programs.path_of(SMALL, ())
    (tmp_path / "mine.py").write_text("import jax\n\ndef mine(z):\n    return jax.numpy.tanh(z)\n")
    assert kept_programs.path_of(SMALL.replace(activation=f"{tmp_path / 'mine.py'}:mine"), ()) is None
    with monkeypatch.context() as context:
        mine = activations.ACTIVATIONS["tanh"]._replace(function=lambda z: z)
        context.setitem(activations.ACTIVATIONS, "mine", mine)
        assert kept_programs.path_of(SMALL, ()) is None
    monkeypatch.setattr(kept_programs, "ENABLED", "jax_enable_x64")
    assert kept_programs.path_of(SMALL, ()) is None
