"""Networks of one's own: whatever wrote them, they are trained and measured as Plateau's own is."""

import json
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import own_models
import pytest
from own_models import KINDS, own, own_config
from small_run import last_state

import input_pipeline
import train
from experiments.engine import executors, lanes, results, space
from training import models, run_directory
from training.config import ConfigError, as_config, hyperparameters
from training.files import RunError


def trained(config, epochs=2):
    """State and metrics after some epochs on the synthetic data."""
    functions, numbers, data = train.make_train(config), hyperparameters(config), input_pipeline.load("synthetic")
    state, metrics = functions.init(numbers, jax.random.key(3)), {}
    for number in range(epochs):
        state, metrics = functions.epoch(state, numbers, data, jax.random.key(number))
    return state, metrics


HIDDEN = {
    "linen": {"hidden_0"},
    "made": {"hidden_0"},
    "normalized": {"Dense_0"},
    "masked": {"Dense_0"},
    "nnx": {"hidden/0"},
    "pair": {"0"},
    "object": {"0"},
    "haiku": {"mlp/~/linear_0"},
    "equinox": {"layers/0"},
    "convolutions": {"Conv_0", "Conv_1"},
}
# Linen's is that of the next test.
WHOLE_RUNS = ["nnx", "pair", "convolutions"]


@pytest.mark.parametrize("kind", WHOLE_RUNS)
def test_a_run_is_trained_and_measured(files, tmp_path, no_figures, programs_once, kind):
    """Its cost goes down, its checkpoint is read again, and its layers are found by the names of its parameters."""
    rows = train.train_and_evaluate(own(files, kind), tmp_path / "run")
    assert rows[-1]["loss"] < rows[0]["loss"] < 2.7
    measured = {name.removeprefix("slope_mass/") for name in rows[-1] if name.startswith("slope_mass/")}
    assert measured == HIDDEN[kind]
    assert train.train_and_evaluate(own(files, kind), tmp_path / "run")[-1]["loss"] == rows[-1]["loss"]
    train.evaluate_only(run_directory.read_config(tmp_path / "run"), tmp_path / "run")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in WHOLE_RUNS])
def test_every_other_kind_takes_steps_and_has_layers(files, kind):
    """A run knows nothing of what wrote its network: steps bring the cost of their batch down, and the layers are those
    whose activations are in the network, by the names of its parameters."""
    pytest.importorskip(kind) if kind in ("haiku", "equinox") else None
    config = as_config(own(files, kind))
    functions, numbers, data = train.make_train(config), hyperparameters(config), input_pipeline.load("synthetic")
    images, labels, start = data.images[:100], data.labels[:100], functions.init(numbers, jax.random.key(3))
    state = start
    for _ in range(100):
        state, _ = functions.step(state, numbers, (images, labels, np.ones(100, np.float32)))
    before, after = (float(functions.evaluate(of, images, labels)["loss"]) for of in (start, state))
    assert after < 0.9 * before < 3
    assert {layer.name for layer in models.layers_of(config) if layer.activation} == HIDDEN[kind]


def test_the_own_network_written_again_is_the_same_run(tmp_path, no_figures):
    """Draw, batches, steps and measures are those of `mlp`, to rounding: the inputs that are always zero take part."""
    changes = {"activation": "tanh", "momentum": 0.5, "l2": 1e-3, "init_scale": 1.5, "optimizer": "sgd"}
    config = own(tmp_path, "linen", **changes)
    theirs = train.train_and_evaluate(config, tmp_path / "theirs")
    config.update({"model": "mlp", "hidden": (8,)})
    ours = train.train_and_evaluate(config, tmp_path / "ours")
    for their, our in zip(theirs, ours, strict=True):
        assert their.keys() == our.keys()
        for name in their.keys() - {"seconds"}:
            np.testing.assert_allclose(their[name], our[name], rtol=2e-4, atol=1e-6, err_msg=name)


def test_a_function_and_a_class_are_given_what_they_are_called(tmp_path):
    """`hidden` reaches the function, `activation` the class, and a made module takes nothing."""
    size = models.size_of(as_config(own_config(tmp_path, own_models.LINEN, "give", hidden=(5,))))
    assert size.parameters == 784 * 5 + 5 + 5 * 10 + 10
    assert size.products == pytest.approx(784 * 5 + 5 * 10, rel=0.01)
    layers = models.layers_of(as_config(own_config(tmp_path, own_models.LINEN, "Net", activation="softsign")))
    assert [layer.activation for layer in layers] == ["softsign", None]


def batch_norm_by_hand(config, epochs):
    """The loop that Flax's guide shows, over the same batches, the last one as short as it is."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.relu(nn.Dense(8)(x)))
            return nn.Dense(10)(x)

    data, net, batch_size = input_pipeline.load("synthetic"), Net(), config.batch_size
    images, labels = jnp.asarray(data.images, jnp.float32) / 255, jnp.asarray(data.labels)
    key, _ = jax.random.split(jax.random.key(3))
    variables = jax.jit(lambda key: net.init(key, images[:1], train=False))(key)

    @jax.jit
    def step(params, statistics, rows):
        def cost(params):
            logits, mutated = net.apply(
                {"params": params, "batch_stats": statistics}, images[rows], train=True, mutable=["batch_stats"]
            )
            costs = optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows])
            return costs.mean(), mutated["batch_stats"]

        gradient, after = jax.grad(cost, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - config.learning_rate * g, params, gradient), after

    params, statistics = variables["params"], variables["batch_stats"]
    for number in range(epochs):
        order = np.asarray(jax.jit(train.permutation, static_argnums=1)(jax.random.key(number), len(images)))
        for start in range(0, len(order), batch_size):
            params, statistics = step(params, statistics, order[start : start + batch_size])
    return params, statistics


def test_a_short_last_batch_is_normalized_by_its_own_examples(tmp_path):
    """Padding takes no part in the statistics of a model that is not told of it; one that takes a mask is told."""
    text = own_models.NORMALIZED.replace("x = nn.Dropout(0.3, deterministic=not train)(x)", "")
    config = as_config(own_config(tmp_path, text, "Net"))
    assert len(input_pipeline.load("synthetic").images) % config.batch_size
    state, _ = trained(config)
    params, statistics = batch_norm_by_hand(config, 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), state.params, params)
    found = state.batch_stats
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), found, statistics)
    masked, _ = trained(as_config(own_config(tmp_path, text, "Masked")))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), masked.params, params)


def test_nnx_with_statistics_is_linen_with_statistics(tmp_path):
    """From the same weights, without dropout, both frameworks' nets go the same way."""
    linen = own_models.NORMALIZED.replace("x = nn.Dropout(0.3, deterministic=not train)(x)", "")
    nnx_text = own_models.NNX.replace("self.dropout(self.norm(x))", "self.norm(x)")
    theirs = as_config(own_config(tmp_path, nnx_text, "Net", activation="relu"))
    numbers, data = hyperparameters(theirs), input_pipeline.load("synthetic")
    functions = train.make_train(theirs)
    start = functions.init(numbers, jax.random.key(3))
    state, _ = functions.epoch(start, numbers, data, jax.random.key(0))
    (tmp_path / "linen").mkdir()
    ours = as_config(own_config(tmp_path / "linen", linen, "Net"))
    functions = train.make_train(ours)
    same = functions.init(numbers, jax.random.key(3))
    params = {
        "Dense_0": start.params["hidden"]["0"],
        "BatchNorm_0": start.params["norm"],
        "Dense_1": start.params["output"],
    }
    same, _ = functions.epoch(same._replace(params=params), numbers, data, jax.random.key(0))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)  # noqa: E731
    jax.tree.map(close, state.params["hidden"]["0"], same.params["Dense_0"])
    jax.tree.map(close, state.params["output"], same.params["Dense_1"])
    close(state.batch_stats["norm"]["mean"], same.batch_stats["BatchNorm_0"]["mean"])


@pytest.mark.parametrize("kind", ["normalized", "nnx", "object"])
def test_dropout_drops_in_training_alone(files, kind):
    """Two steps from one state drop differently; evaluating twice gives the same numbers."""
    model = models.make_model(as_config(own(files, kind)))
    params, statistics = jax.jit(model.init)(jax.random.key(0))
    images, weights = input_pipeline.load("synthetic").images[:50], np.ones(50, np.float32)
    step, evaluate = jax.jit(model.apply_in_training), jax.jit(model.apply)
    first, second = (step(params, statistics, images, weights, jax.random.key(i))[0] for i in (1, 2))
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(*(evaluate(params, statistics, images) for _ in range(2)))


# ---------------------------------------------------------------------------------------------------------------------
# Resuming, identity.


def test_a_run_is_resumed_to_the_same_bits(files, tmp_path, no_figures, programs_once):
    """From a checkpoint in the middle, of a net with statistics and dropout."""
    config = own(files, "nnx", epochs=4)
    whole = train.train_and_evaluate(config, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    for name in ("checkpoints/4", "metrics.jsonl", "metrics.jsonl.sha256"):
        path = tmp_path / "half" / name
        if path.is_dir():
            shutil.rmtree(path)
            continue
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    resumed = train.train_and_evaluate(config, tmp_path / "half")
    assert [{**row, "seconds": 0} for row in resumed] == [{**row, "seconds": 0} for row in whole]


def test_the_text_of_the_file_is_part_of_the_run(tmp_path, no_figures, capsys):
    """A changed file is another run; a file that has moved is the same one; one that has gone is not missed."""
    config = own(tmp_path, "linen", epochs=1, probes=())
    train.train_and_evaluate(config, tmp_path / "run")
    file = tmp_path / "linen" / "mine.py"
    text = file.read_text()
    file.write_text(text.replace("units: int = 8", "units: int = 9"))
    with pytest.raises(RunError, match=r"made with another config \(code 'sha256:\w+' there, 'sha256:\w+' here\)"):
        train.train_and_evaluate(config, tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(text)
    config.model = f"{tmp_path / 'elsewhere' / 'mine.py'}:Net"
    assert len(train.train_and_evaluate(config, tmp_path / "run")) == 1
    file.unlink()
    capsys.readouterr()
    train.evaluate_only(run_directory.read_config(tmp_path / "run"), tmp_path / "run")
    assert "val_accuracy" in capsys.readouterr().out
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert list(json.loads(recorded["code"]).values()) == [text]


def test_a_run_is_evaluated_from_any_folder(tmp_path, no_figures, monkeypatch, capsys):
    """The file is looked for nowhere: its text is in the run, by the name that it had."""
    config = own(tmp_path, "linen", epochs=1, probes=())
    train.train_and_evaluate(config, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "linen")
    (tmp_path / "linen" / "mine.py").write_text("changed = 1")
    recorded = run_directory.read_config(tmp_path / "run")
    assert recorded.name() == recorded.replace(model="mine.py:Net").name()
    capsys.readouterr()
    train.evaluate_only(recorded, tmp_path / "run")
    assert "val_accuracy" in capsys.readouterr().out


def test_files_of_one_name_are_refused(tmp_path):
    """Which of them is which would not be told."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "act.py").write_text("import jax.numpy as jnp\nf = jnp.tanh")
    names = ",".join(f"{tmp_path / folder / 'act.py'}:f" for folder in "ab")
    with pytest.raises(ConfigError, match=r"two files are called act\.py"):
        as_config({"hidden": (8, 8), "activation": names})


def test_reading_a_folder_runs_nothing(tmp_path, no_figures):
    """What is only looked at may come from anybody."""
    config = own(tmp_path, "linen", epochs=1, probes=())
    train.train_and_evaluate(config, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    recorded = run_directory.read_recorded(path)
    flag = tmp_path / "ran"
    file = next(iter(json.loads(recorded["config"]["code"])))
    recorded["config"]["code"] = json.dumps({file: f"open({str(flag)!r}, 'w')"})
    run_directory.write_recorded(path, recorded)
    assert run_directory.read_config(tmp_path / "run").model.endswith("mine.py:Net")
    assert not flag.exists()


# ---------------------------------------------------------------------------------------------------------------------
# Sweeps.


def test_lanes_are_runs_alone(files, tmp_path, no_figures, programs_once):
    """With convolutions, statistics and dropout; two rates, two seeds, two epochs: every number within 1e-4 of the same
    run alone."""
    base = as_config(own(files, "convolutions", epochs=2))
    trials = {f"{rate}-{seed}": base.replace(learning_rate=rate, seed=seed) for rate in (0.02, 0.05) for seed in (0, 1)}
    table = executors.train_all(trials, train.load_dataset(base, input_pipeline.DEFAULT_DATA_DIR)).to_pylist()
    assert len(table) == 8
    for name, trial in trials.items():
        alone = train.train_and_evaluate(trial, tmp_path / name)
        rows = [row for row in table if row["trial"] == name]
        for row, of_run in zip(rows, alone, strict=True):
            for measure in of_run.keys() - {"seconds"}:
                np.testing.assert_allclose(row[measure], of_run[measure], rtol=1e-4, atol=1e-5, err_msg=measure)


def test_columns_hold_digests_of_the_text(files):
    """Names of trials follow from their columns, and texts stand in no row."""
    config = as_config(own(files, "linen"))
    rows = [{"trial": config.name(), "epoch": 1, "diverged": False, **dict.fromkeys(results.METRICS, 0.5)}]
    table = results.pack_table({config.name(): config}, rows)
    assert table["code"].to_pylist()[0].startswith("sha256:")
    assert results.configs_of(table)[config.name()].name() == config.name()
    assert "code" not in space.swept({"a": config, "b": as_config(own(files, "made"))})


def test_lanes_of_a_row_are_taken_one_after_the_other(files):
    """Those of a model of one's own on a CPU, with the numbers of all; those of Plateau's own network side by side."""

    def traced(config):
        over = lanes.over_lanes(config, lambda a, b: a * b, 1)
        np.testing.assert_array_equal(over(jnp.arange(3.0), 2.0), [0.0, 2.0, 4.0])
        return str(jax.make_jaxpr(over)(jnp.arange(3.0), 2.0))

    assert "scan" not in traced(as_config({}))
    assert ("scan" in traced(as_config(own(files, "linen")))) == (jax.default_backend() == "cpu")


@pytest.mark.filterwarnings("ignore:Using 'Module.sow")
def test_stacked_layers_with_keys_and_what_is_sown(tmp_path):
    """Dropout in layers that NNX scans through has a key each; what a module writes down is left out."""
    text = """
from flax import nnx


class Net(nnx.Module):
    def __init__(self, inputs, classes, *, rngs):
        self.first, self.last = nnx.Linear(inputs, 8, rngs=rngs), nnx.Linear(8, classes, rngs=rngs)

        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def block(rngs):
            return nnx.Sequential(nnx.Linear(8, 8, rngs=rngs), nnx.tanh, nnx.Dropout(0.2, rngs=rngs))

        self.blocks = block(rngs)

    def __call__(self, x):
        x = self.first(x)
        x = nnx.scan(lambda x, block: block(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(x, self.blocks)
        self.sow(nnx.Intermediate, "hidden", x)
        return self.last(x)
"""
    config = as_config(own_config(tmp_path, text, "Net"))
    (_, first), (state, last) = trained(config, epochs=1), trained(config, epochs=2)
    assert last["loss"] < first["loss"]
    probe, data = train.make_probe(config), input_pipeline.load("synthetic")
    measured, _ = jax.eval_shape(probe, state, hyperparameters(config), state.params, data, jax.random.key(0))
    assert {f"slope_mass/blocks/layers/0[{i}]" for i in range(3)} <= measured.keys()


def test_streams_of_other_names_and_half_precision(tmp_path, no_figures, programs_once):
    """A Linen module draws from a stream of its own; weights in bfloat16 stay so, and are read back from files."""
    text = """
import jax, jax.numpy as jnp
from flax import linen as nn


class Net(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x, train):
        if train:
            x = x + 0.1 * jax.random.normal(self.make_rng("noise"), x.shape)
        return nn.Dense(self.classes, param_dtype=jnp.bfloat16)(x)
"""
    config = own_config(tmp_path, text, "Net", init_scale=2.0, epochs=1)
    train.train_and_evaluate(config, tmp_path / "run")
    state, _ = last_state(tmp_path / "run", config)
    assert state.params["Dense_0"]["kernel"].dtype == jnp.bfloat16
    rows = train.train_and_evaluate(config, tmp_path / "again", init_from=tmp_path / "run")
    assert np.isfinite(rows[-1]["loss"])
