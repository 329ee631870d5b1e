"""The command advise: a net of one's own, in words and as JSON; and the one line where something is wrong."""

import json

import jax
import numpy as np
import pytest
from commands import SHALLOW, SYNTHETIC, in_this_process, refused

import input_pipeline
import nets
import train
from experiments import advise
from experiments.advising import measuring
from training.config import Config

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # Of ml_collections.
OWN = """
import jax, jax.numpy as jnp

def small():
    def init(key, x):
        return {"first": {"w": jax.random.normal(key, (784, 3)) / 28}, "second": {"w": jnp.ones((3, 10))}}

    def apply(params, x):
        return jnp.tanh(x @ params["first"]["w"]) @ params["second"]["w"]

    return init, apply
"""


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder, with flags of its own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with in_this_process(advise, monkeypatch) as run:
        yield run


def test_advice_on_a_net_of_ones_own(call, capsys, tmp_path):
    """It is measured as it is at the start; every part is there, in words and in the file."""
    (tmp_path / "own.py").write_text(OWN)
    own = f"--config.model={tmp_path / 'own.py'}:small"
    call(SHALLOW, SYNTHETIC, own, "--config.probe_examples=20", "--epochs=0", f"--workdir={tmp_path / 'work'}")
    text = capsys.readouterr().out
    for title in ("measured", "rate", "batch", "scale", "layers"):
        assert f"\n{title} " in f"\n{text}"
    found = json.loads((tmp_path / "work" / "advice.json").read_text())
    assert found["parameters"] == 784 * 3 + 30 and found["probe_sets"] == measuring.SETS and found["checks"] == []
    rate, eigenvalue = found["stable_rate"]["advised"], found["stable_rate"]["top_eigenvalue_by_point"][0]
    assert rate["low"] < rate["value"] < rate["high"]
    assert rate["value"] == pytest.approx(2 / eigenvalue["value"], rel=0.05)
    largest = found["largest_rate"]
    assert len(largest["by_set"]) == measuring.SETS and set(largest) == {"advised", "by_set", "steps", "doubts"}
    assert largest["advised"]["low"] > 0 and "60 steps of descent come back from a rate of" in " ".join(text.split())
    assert set(found["layers"]) == {"first"} and 0 < found["layers"]["first"]["slope_mass"]["value"] <= 1
    assert str(tmp_path) not in json.dumps(found["layers"])


def test_advice_on_a_regression(call, capsys, tmp_path):
    """Of two targets an example; with all checks."""
    random = np.random.default_rng(0)
    x_NxD = random.normal(size=(200, 3))
    targets_NxC = x_NxD @ random.normal(size=(3, 2)) + random.normal(size=(200, 2))
    np.savez(tmp_path / "plane.npz", x_train=np.float32(x_NxD), y_train=np.float32(targets_NxC))
    of = {"dataset": f"npz:{tmp_path / 'plane.npz'}", "inputs": 3, "classes": 2, "output": "identity"}
    of |= {"validation": 20, "batch_size": 8, "hidden": "(4,)"}
    call(
        SHALLOW, *(f"--config.{name}={value}" for name, value in of.items()), "--check", f"--out={tmp_path / 'a.json'}"
    )
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["probe_sets"], found["probe_examples"]) == (measuring.SETS, 18)
    assert found["useful_batch"]["steps"] == 32 and found["useful_batch"]["advised"]["value"] > 0
    assert [check["part"] for check in found["checks"]] == ["rate", "batch", "scale"]
    parts = measuring.Parts(np.zeros((5, 6, 3)), np.arange(60.0).reshape(5, 6, 2), (np.zeros(0), np.zeros(0)))
    np.testing.assert_array_equal(parts.without(1)[1][6:8], parts.labels_KxP[2, :2])


def test_eigenvalue_is_that_of_each_probe_set():
    """What the probe gives on the second set is what `nets.curvature` gives on it."""
    config = Config(dataset="synthetic", hidden=(3,), probe_examples=20)
    parts = measuring.cut(config, train.load_dataset(config, ""))
    state = train.initial_state(config)
    found = measuring.make_measure(config, ("curvature",), parts)(state, 1)
    net, cost = nets.MLP(hidden=(3,)), nets.costs.get("quadratic", "softmax")

    def costs(params, batch):
        return cost.per_example(net.apply({"params": params}, batch[0])[0], jax.nn.one_hot(batch[1], 10))

    images, labels = parts.probe_set(1)
    top = nets.curvature.top_eigenvalues(
        costs, state.params, (np.float32(images) / 255, labels), jax.random.key(3), k=1
    )
    assert found["curvature/top_eigenvalue"] == pytest.approx(float(top.values_K[0]), rel=1e-3)


def test_wrong_commands_end_in_one_line(call, capsys):
    """Nothing is made, and what is accepted is said."""
    assert "config.epochs=200" in refused(call, capsys, SHALLOW, SYNTHETIC, "--epochs=201")
    assert "one of them" in refused(call, capsys, SHALLOW, SYNTHETIC, "--workdir=a", "--out=b")
    assert "too few to measure on" in refused(
        call, capsys, SHALLOW, SYNTHETIC, "--config.train_examples=19", "--config.batch_size=9"
    )
    assert "did you mean 'mnist'?" in refused(call, capsys, SHALLOW, "--config.dataset=mnits")
    assert "is missing" in refused(call, capsys, "--check")


def test_too_few_examples():
    """Two for each set are the least."""
    config = Config(dataset="synthetic", train_examples=20, batch_size=9)
    assert measuring.cut(config, train.load_dataset(config, "")).labels_KxP.shape == (measuring.SETS, 2)
    assert input_pipeline.load("synthetic").images.shape[0] == 512
