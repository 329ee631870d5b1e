"""Programs of this process that serve again give the bits of what is compiled anew, or are compiled anew."""

import jax
import pytest

import input_pipeline
from experiments.engine import executors, lanes, recent_programs, space
from nets import activations, mlp
from training import compiling
from training.batches import make_data
from training.config import Config

SMALL = Config(dataset="synthetic", hidden=(8,), epochs=2, validation="50")
AXES = {"learning_rate": [0.1, 1.0], "seed": [0, 1]}


@pytest.fixture
def compiled(monkeypatch):
    """The names of the functions that are compiled, as they are."""
    names, compiled = [], compiling.compiled

    def counting(function, *arguments, **options):
        names.append(function.__name__)
        return compiled(function, *arguments, **options)

    monkeypatch.setattr(compiling, "compiled", counting)
    return names


def trained(config, **axes):
    """The rows of `train_all`."""
    trials = space.make_trials(config, None, AXES | axes)
    return executors.train_all(trials, input_pipeline.synthetic()).replace_schema_metadata(None)


@pytest.fixture
def recent(monkeypatch):
    """The programs of this process: none of earlier tests; what a test adds is gone after it."""
    monkeypatch.setattr(recent_programs, "recent", {})
    return recent_programs.recent


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
        return recent_programs.key_of(trial, lanes.Shape(*shape), optional, data)

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
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mlp.KERNEL_INITS, SMALL.kernel_init, mlp.KERNEL_INITS["he_normal"])
        found.add(key())
    assert len(found) == 10 and key() == here
    assert key(SMALL.replace(activation=f"{__file__}:trained")) is None


def test_a_few_programs_are_kept(recent, monkeypatch):
    """Those that were used last; of a model of one's own none, whose file may change."""
    monkeypatch.setattr(lanes, "compile_programs", lambda *given: given)
    data = make_data(SMALL, input_pipeline.synthetic())
    made = lambda trial: recent_programs.programs_for(trial, lanes.Shape(2, 2), (), data)  # noqa: E731
    widths = [SMALL.replace(hidden=(width,)) for width in range(1, recent_programs.MOST_RECENT + 2)]
    first = made(widths[0])
    for trial in widths[1:-1]:
        made(trial)
    assert made(widths[0]) is first and len(recent) == recent_programs.MOST_RECENT
    made(widths[-1])
    assert {trial.hidden for (trial, *_), _ in recent.values()} == {trial.hidden for trial in widths} - {(2,)}
    mine = SMALL.replace(activation=f"{__file__}:trained")
    assert made(mine) is not made(mine) and len(recent) == recent_programs.MOST_RECENT
