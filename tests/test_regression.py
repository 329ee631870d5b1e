"""Regressions: float targets from the file to the last figure, against what is known in closed form."""

import json
import re

import jax
import numpy as np
import pytest
from commands import in_this_process

import input_pipeline
import train
from configs import shallow
from experiments import sweep
from input_pipeline import Dataset
from training import metrics
from training.config import ConfigError
from training.fitting import check_fits, with_targets

# absl's flags for config files still load modules so.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module")
FIELDS = {"inputs": 10, "classes": 1, "hidden": (), "output": "identity", "probes": (), "validation": "42"}


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory):
    """scikit-learn's diabetes with standardised features, as a CSV file in which the targets are whole numbers; the
    features with a column of ones, and the targets."""
    bundled = input_pipeline.load("sklearn:diabetes", validation="1")
    x_NxD = (bundled.images - bundled.images.mean(axis=0)) / bundled.images.std(axis=0)
    path = tmp_path_factory.mktemp("diabetes") / "diabetes.csv"
    np.savetxt(path, np.hstack([bundled.labels, x_NxD]), fmt="%.9g", delimiter=",")
    return path, np.hstack([x_NxD, np.ones((len(x_NxD), 1))]).astype(np.float64), bundled.labels.astype(np.float64)


def test_linear_net_reaches_least_squares(diabetes):
    """Without hidden layers, by full-batch steps: the cost, the weights and the bias of the closed form."""
    path, x_NxD, targets_Nx1 = diabetes
    config = train.as_config(
        {**FIELDS, "dataset": f"csv:{path}", "learning_rate": 0.1, "momentum": 0.9, "batch_size": 400}
    )
    dataset = train.load_dataset(config, "")
    assert len(dataset.images) == 400 and len(dataset.validation_images) == 42
    solution_Dx1, _, _, _ = np.linalg.lstsq(x_NxD[:400], targets_Nx1[:400], rcond=None)
    errors = {
        part: x_NxD[of] @ solution_Dx1 - targets_Nx1[of] for part, of in (("", slice(400)), ("val", slice(400, None)))
    }
    functions, numbers, key = train.make_train(config), train.hyperparameters(config), jax.random.key(0)
    state = functions.init(numbers, key)
    data = jax.device_put((dataset.images, dataset.labels))

    def one_epoch(state, number):
        return functions.epoch(state, numbers, data, jax.random.fold_in(key, number))[0], None

    state, _ = jax.jit(lambda state: jax.lax.scan(one_epoch, state, np.arange(2_000)))(state)
    loss = float(functions.evaluate(state, *data)["loss"])
    assert loss == pytest.approx(np.mean(errors[""] ** 2), rel=1e-4)
    validation = functions.evaluate(state, dataset.validation_images, dataset.validation_labels)
    assert float(validation["loss"]) == pytest.approx(np.mean(errors["val"] ** 2), rel=0.02)
    assert float(state.params["output"]["bias"][0]) == pytest.approx(solution_Dx1[-1, 0], rel=1e-3)


def test_step_on_two_targets():
    """The loss and the step are those of the mean over both outputs of (y - a)^2; the accuracy is no number."""
    config = train.as_config({**FIELDS, "inputs": 3, "classes": 2, "learning_rate": 0.5})
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    state = functions.init(numbers, jax.random.key(1))
    random = np.random.default_rng(0)
    x_BxD, y_BxC = random.normal(size=(5, 3)).astype(np.float32), random.normal(size=(5, 2)).astype(np.float32)
    weights_B = np.array([1, 1, 1, 1, 0], np.float32)
    w_DxC = np.float64(state.params["output"]["kernel"])
    after, measured = functions.step(state, numbers, (x_BxD, y_BxC, weights_B))
    error_BxC = (np.float64(x_BxD) @ w_DxC - y_BxC)[:4]
    assert float(measured["loss"]) == pytest.approx(np.mean(error_BxC**2), rel=1e-5)
    gradient_DxC = 2 * np.float64(x_BxD)[:4].T @ error_BxC / error_BxC.size
    np.testing.assert_allclose(after.params["output"]["kernel"], w_DxC - 0.5 * gradient_DxC, rtol=1e-4, atol=1e-6)
    assert np.isnan(measured["accuracy"]) and float(measured["examples"]) == 4


def test_guess_of_the_mean():
    """Its cost is the variance of the targets, the mean over both of them."""
    targets_NxC = np.float32([[1, 10], [3, 10], [5, 13]])
    cost = train.nets.costs.get("quadratic", "identity")
    assert metrics.mean_guess_cost(cost, targets_NxC) == pytest.approx(np.var(targets_NxC, axis=0).mean(), rel=1e-6)


def regression(targets=1, inputs=10):
    """A regression of a few examples."""
    x_NxD, y_NxC = np.ones((200, inputs), np.float32), np.ones((200, targets), np.float32)
    return Dataset(x_NxD, y_NxC, x_NxD[:5], y_NxC[:5])


@pytest.mark.parametrize(
    ("fields", "targets", "said"),
    [
        (
            {"inputs": 784, "classes": 10, "output": "softmax"},
            1,
            "--config.inputs=10 --config.classes=1 --config.output=identity",
        ),
        ({"classes": 2, "output": "softmax"}, 2, "2 float targets an example.* accepted: --config.output=identity$"),
        ({"classes": 2, "output": "sigmoid", "cost": "cross_entropy"}, 1, "=identity --config.cost=quadratic$"),
        ({"inputs": 9}, 1, "config.inputs=9, but examples of mnist have 10 inputs; accepted: --config.inputs=10"),
        ({"classes": 3}, 2, "config.classes=3 does not fit; accepted: --config.classes=2$"),
    ],
)
def test_outputs_must_be_the_targets(fields, targets, said):
    """One line with all flags that mend it."""
    with pytest.raises(ConfigError, match=said):
        check_fits(train.as_config({**FIELDS, **fields}), regression(targets))


def test_one_output_is_no_choice():
    """Of classes there are two or more: of the config, and of a data set with an output per class."""
    with pytest.raises(
        ConfigError, match=r"=1 with config.output=softmax is no choice.*accepted: 2 or more, or --config"
    ):
        train.as_config({"classes": 1})
    classes = regression()._replace(labels=np.zeros(200, np.int32), validation_labels=np.zeros(5, np.int32))
    assert with_targets(train.as_config(FIELDS), classes).labels.tolist() == [[0.0]] * 200
    with pytest.raises(ConfigError, match=r"config\.classes=1, but mnist has classes; accepted: 2 or more"):
        check_fits(train.as_config(FIELDS), classes)
    with pytest.raises(ConfigError, match=r"config\.dropout=0\.5 drops hidden outputs"):
        train.as_config({"hidden": (), "dropout": 0.5})


def test_run_of_a_regression(call, diabetes, tmp_path, monkeypatch, capsys):
    """No line has an accuracy, rows keep the field with null, and predictions are drawn in place of classes."""
    arguments = [f"--config={shallow.__file__}", f"--config.dataset=csv:{diabetes[0]}", "--config.validation=42"]
    arguments += ["--config.inputs=10", "--config.classes=1", "--config.output=identity", "--config.epochs=2"]
    for hidden in ("(5,)", "()"):
        workdir = tmp_path / hidden
        call(*arguments, f"--config.hidden={hidden}", f"--workdir={workdir}")
        said = capsys.readouterr().out
        assert "accuracy" not in said and "nan" not in said.lower() and "Best val_loss" in said
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        assert len(rows) == 2 and all(row["accuracy"] is None and row["val_accuracy"] is None for row in rows)
        figures = {path.name for path in (workdir / "figures").iterdir()}
        assert "predictions.png" in figures and "confusion_matrix.png" not in figures
        assert ("saturation.png" in figures) == (hidden != "()")
        # Pictures of the second net are like those of the first.
        monkeypatch.setattr(train.run_directory, "save_figure", lambda figure, path: path.write_bytes(b""))
        call(*arguments, f"--config.hidden={hidden}", f"--workdir={workdir}")
        assert "holds this run, finished after 2 epochs" in capsys.readouterr().out
        call("--evaluate_only", f"--workdir={workdir}")
        said = capsys.readouterr().out
        pattern = r"val_loss: ([\d.]+)  \(the mean of the training targets as a guess: ([\d.]+)\)"
        loss, guess = map(float, re.findall(pattern, said)[0])
        assert loss == pytest.approx(rows[-1]["val_loss"], rel=1e-5)
        assert guess == pytest.approx(np.var(diabetes[2][:400]), rel=1e-5)


def test_sweep_of_a_regression(diabetes, tmp_path, capsys, monkeypatch):
    """Trials are ranked by their cost, the lowest first, on the screen and on the page."""
    monkeypatch.chdir(tmp_path)
    arguments = [f"--config={shallow.__file__}", f"--config.dataset=csv:{diabetes[0]}", "--config.validation=42"]
    arguments += ["--config.inputs=10", "--config.classes=1", "--config.output=identity", "--config.epochs=2"]
    arguments += ["--config.hidden=()", "--config.probes=()", "--axis=learning_rate=0.1,0.001", "--axis=l2=0.0,0.1"]
    with in_this_process(sweep, monkeypatch) as run:
        run(*arguments, "--workdir=swept")
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Best final val_loss"))
    losses = [float(line.split()[0]) for line in lines[start + 1 : start + 5]]
    assert losses == sorted(losses) and "learning_rate=0.1" in lines[start + 1]
    page = (tmp_path / "swept" / "report.html").read_text()
    data = json.loads(re.findall(r'<script id="data"[^>]*>(.*?)</script>', page, re.S)[0])
    assert data["score"] == "val_loss" and not [name for name in data["metrics"] if "accuracy" in name]
    assert data["finals"]["val_loss"]["n"] == [1] * 4
