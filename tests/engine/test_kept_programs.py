"""Compiled programs as files: what a later process reads gives the bits of what was compiled, or is compiled again."""

import hashlib

import jax
import numpy as np
import pytest

import input_pipeline
from experiments.engine import executors, kept_programs, lanes, plan, space
from nets import activations
from training import compiling
from training.batches import make_data
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
    executors.recent_programs.clear()
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
    """A torn file, an empty one, one of something else under a digest that is right, and a flipped byte."""
    config = SMALL.replace(probes=(), validation="test")
    first = swept(config)
    (file,) = folder.glob("whole-*")
    whole = file.read_bytes()
    other = hashlib.sha256(b"x").digest() + b"x"
    for content in (whole[: len(whole) // 2], b"", other, whole[:500] + bytes([whole[500] ^ 1]) + whole[501:]):
        write_atomically(file, content)
        assert kept_programs.read(file, jax.devices()) is None
    del compiled[:]
    assert same(first, swept(config)) and len(compiled) == 3
    assert file.read_bytes() != content and kept_programs.read(file, jax.devices())


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


def trained(config, **axes):
    """The rows of `train_all`."""
    trials = space.make_trials(config, None, AXES | axes)
    return executors.train_all(trials, input_pipeline.synthetic()).replace_schema_metadata(None)


@pytest.fixture
def recent(monkeypatch):
    """The programs of this process: none of earlier tests; what a test adds is gone after it."""
    monkeypatch.setattr(executors, "recent_programs", {})
    return executors.recent_programs


def test_a_later_call_has_the_programs_of_an_earlier_one(recent, compiled):
    """The bits of what is compiled anew; rates, seeds and lengths are arguments."""
    config = SMALL.replace(probes=())
    others = {"learning_rate": [0.3, 3.0], "seed": [7, 9], "epochs": [3]}
    first, other = trained(config), trained(config, **others)
    assert trained(config).equals(first) and len(compiled) == 3 and len(recent) == 1
    recent.clear()
    assert trained(config, **others).equals(other) and len(compiled) == 6
    assert trained(config).equals(first) and len(compiled) == 6


def test_what_makes_other_programs_here():
    """Other fields, lanes, data, settings of JAX and of XLA, functions in the tables; nothing of a model of one's own
    is taken from an earlier call."""
    data = make_data(SMALL, input_pipeline.synthetic())
    fewer = data._replace(validation=jax.tree.map(lambda leaf: leaf[:100], data.validation))

    def key(trial=SMALL, shape=(2, 2), optional=(), data=data):
        return kept_programs.key_here(trial, lanes.made_of(trial, lanes.Shape(*shape), optional, data))

    here = key()
    assert here and here == key(SMALL.replace(epochs=9, learning_rate=3.0, seed=3))
    found = {here, key(SMALL.replace(hidden=(9,))), key(shape=(2, 3)), key(optional=("warmup",)), key(data=fewer)}
    with jax.enable_x64(True):
        found.add(key())
    with jax.default_prng_impl("rbg"):
        found.add(key())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
        found.add(key())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(activations.ACTIVATIONS, "tanh", activations.ACTIVATIONS["tanh"]._replace(function=jax.numpy.sin))
        found.add(key())
    assert len(found) == 9 and key() == here
    assert key(SMALL.replace(activation=f"{__file__}:trained")) is None


def test_a_few_programs_are_kept(recent, monkeypatch):
    """Those that were used last; of a model of one's own none, whose file may change."""
    monkeypatch.setattr(lanes, "compile_programs", lambda *given: given)
    data = make_data(SMALL, input_pipeline.synthetic())
    made = lambda trial: executors.programs_for(trial, lanes.Shape(2, 2), (), data)  # noqa: E731
    widths = [SMALL.replace(hidden=(width,)) for width in range(1, executors.MOST_RECENT + 2)]
    first = made(widths[0])
    for trial in widths[1:-1]:
        made(trial)
    assert made(widths[0]) is first and len(recent) == executors.MOST_RECENT
    made(widths[-1])
    assert {trial.hidden for trial, *_ in recent.values()} == {trial.hidden for trial in widths} - {(2,)}
    mine = SMALL.replace(activation=f"{__file__}:trained")
    assert made(mine) is not made(mine) and len(recent) == executors.MOST_RECENT
