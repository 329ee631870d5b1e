"""How fast is an epoch of the shallow net, against its own arithmetic and against what people would use instead?

Part of `experiments.benchmark`. Times are medians over rounds in which every opponent runs one epoch to warm up and
then three that count, whose mean is taken; a ratio is the median of the rounds' own ratios, so that a machine whose
speed drifts does not decide. The bound is numpy's float32 time for the two large matrix products of each of the 469
steps, [128,784]x[784,64] and [784,128]x[128,64]. Keras (on the backend that KERAS_BACKEND names) and PyTorch are
measured where they are installed, scikit-learn with requirements-dev.txt.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import input_pipeline
import nets
import train
from configs import shallow
from experiments.benchmarks import commands
from experiments.benchmarks.tables import Line, line
from training import models, run_directory
from training.batches import make_data, on_data, scale
from training.compiling import FAST_TO_RUN, LARGE_PRODUCTS, compiled
from training.config import as_config
from training.records import event_of, histogram
from training.screen import as_number

BATCH, RATE = 128, 0.01
# An opponent's BLAS threads spin for a while after their last product and would take a core from whoever is next.
PAUSE_SECONDS = 0.5
EPOCHS_A_ROUND = 3
STEPS = 469  # of an epoch of 60,000 images in batches of 128


def matrix_product_bound() -> Callable[[], None]:
    """The products of an epoch's steps, in numpy float32."""
    random = np.random.default_rng(0)
    x_BxD, w_DxH = random.random((BATCH, 784), np.float32), random.random((784, 64), np.float32)
    delta_BxH, z_BxH, dw_DxH = (
        random.random((BATCH, 64), np.float32),
        np.empty((BATCH, 64), np.float32),
        np.empty_like(w_DxH),
    )

    def epoch() -> None:
        for _ in range(STEPS):
            np.matmul(x_BxD, w_DxH, out=z_BxH)
            np.matmul(x_BxD.T, delta_BxH, out=dw_DxH)

    return epoch


def plateau(mnist: input_pipeline.Dataset, batch_size: int) -> Callable[[], None]:
    """An epoch as `train.py` runs it, without the validation."""
    config = shallow.get_config()
    config.batch_size = batch_size
    functions, numbers = train.make_train(config), train.hyperparameters(config)
    data, key = jax.device_put(make_data(config, mnist)), jax.random.key(1)
    state = functions.init(numbers, jax.random.key(0))
    run = compiled(on_data(functions.epoch), state, numbers, data, key, cpu_options=FAST_TO_RUN, donate=(0,))

    def epoch() -> None:
        nonlocal state
        state, _ = run(state, numbers, data, key)
        jax.block_until_ready(state)

    return epoch


def probes_of_an_epoch(mnist: input_pipeline.Dataset) -> Callable[[], None]:
    """What the default probes add to an epoch: a copy of the parameters, the measures, histograms and their event."""
    config = shallow.get_config()
    functions, numbers, key = train.make_train(config), train.hyperparameters(config), train.probe_key(0)
    data, state = jax.device_put(mnist), functions.init(numbers, jax.random.key(0))
    probe = compiled(train.make_probe(config), state, numbers, state.params, data, key, cpu_options=LARGE_PRODUCTS)

    def epoch() -> None:
        before = jax.tree.map(jnp.copy, state.params)
        metrics, activations = jax.device_get(probe(state, numbers, before, data, key))
        row = {"epoch": 1} | {name: as_number(value) for name, value in metrics.items()}
        histograms = {layer: histogram(a_PxH) for layer, a_PxH in activations.items()}
        json.dumps(row | histograms)
        event_of(row, activations, histograms)

    return epoch


def flax_loop(mnist: input_pipeline.Dataset) -> Callable[[], None]:
    """The loop of the usual Flax example: float images on the device, a permutation, one jitted step a batch."""
    import optax
    from flax.training.train_state import TrainState

    images, labels = jnp.float32(mnist.images) / 255, jnp.asarray(mnist.labels)
    model = nets.MLP()
    params = model.init(jax.random.key(0), images[:1])["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.sgd(RATE))
    random = np.random.default_rng(0)

    @jax.jit
    def step(state, images_BxD, labels_B):
        def cost(params):
            logits_BxC = state.apply_fn({"params": params}, images_BxD)[0]
            return jnp.mean(nets.costs.quadratic(logits_BxC, jax.nn.one_hot(labels_B, 10))), logits_BxC

        (loss, logits_BxC), gradient = jax.value_and_grad(cost, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradient), loss, jnp.mean(jnp.argmax(logits_BxC, -1) == labels_B)

    def epoch() -> None:
        nonlocal state
        order, metrics = random.permutation(len(images)), []
        for start in range(0, len(images), BATCH):
            rows = order[start : start + BATCH]
            state, *batch_metrics = step(state, images[rows], labels[rows])
            metrics.append(batch_metrics)
        jax.device_get(metrics)

    return epoch


def scikit_learn(mnist: input_pipeline.Dataset) -> Callable[[], None]:
    """One epoch of MLPClassifier on float32 images; its cost can only be cross-entropy."""
    from sklearn.neural_network import MLPClassifier  # pyright: ignore

    images = np.float32(mnist.images) / 255
    options: dict[str, Any] = {"batch_size": BATCH, "learning_rate_init": RATE, "momentum": 0.0, "random_state": 0}
    net = MLPClassifier((64,), activation="logistic", solver="sgd", **options)
    classes = np.arange(10)
    return lambda: net.partial_fit(images, mnist.labels, classes=classes) and None


def keras_fit(mnist: input_pipeline.Dataset) -> Callable[[], None]:
    """One epoch of `model.fit`, on whatever backend Keras is set to."""
    import keras  # pyright: ignore

    images, targets = np.float32(mnist.images) / 255, np.eye(10, dtype=np.float32)[mnist.labels]
    layers = [keras.layers.Dense(64, activation="sigmoid"), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((784,)), *layers])
    model.compile(loss="mean_squared_error", optimizer=keras.optimizers.SGD(RATE), metrics=["accuracy"])
    return lambda: model.fit(images, targets, batch_size=BATCH, epochs=1, verbose=0) and None


def pytorch_loop(mnist: input_pipeline.Dataset) -> Callable[[], None]:
    """The loop of the usual PyTorch example, the batches indexed from one tensor."""
    import torch  # pyright: ignore

    images = torch.from_numpy(np.float32(mnist.images) / 255)
    labels = torch.from_numpy(mnist.labels.astype(np.int64))
    layers = [torch.nn.Linear(784, 64), torch.nn.Sigmoid(), torch.nn.Linear(64, 10), torch.nn.Softmax(dim=1)]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def epoch() -> None:
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            targets = torch.nn.functional.one_hot(labels[rows], 10).float()
            torch.nn.functional.mse_loss(model(images[rows]), targets).backward()
            optimizer.step()

    return epoch


def opponents(mnist: input_pipeline.Dataset) -> dict[str, Callable[[], Any]]:
    """Everything that runs an epoch here, by name."""
    found: dict[str, Callable[[], Any]] = {
        "matrix products (numpy)": matrix_product_bound(),
        "plateau": plateau(mnist, BATCH),
        "plateau, batch size 1": plateau(mnist, 1),
        "plateau, its probes": probes_of_an_epoch(mnist),
        "flax loop": flax_loop(mnist),
    }
    makers = {"scikit-learn": scikit_learn, "keras": keras_fit, "pytorch loop": pytorch_loop}
    for name, make in makers.items():
        try:
            found[name] = make(mnist)
        except ImportError as error:
            print(f"{name} is not measured: {error}", flush=True)
    return found


def time_epochs(rounds: int) -> dict[str, list[float]]:
    """Seconds of an epoch in each round, by opponent; the first round does not count."""
    runs = opponents(input_pipeline.load("mnist"))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in tqdm(range(rounds + 1), desc="rounds", leave=False, disable=None):
        for name, epoch in runs.items():
            time.sleep(PAUSE_SECONDS)
            epoch()  # Training runs one epoch after another: what follows a pause is not what is measured.
            start = time.perf_counter()
            for _ in range(EPOCHS_A_ROUND):
                epoch()
            if number:
                seconds[name].append((time.perf_counter() - start) / EPOCHS_A_ROUND)
    return seconds


def command_figures(workdir: Path, programs: Path) -> tuple[float, float]:
    """Of `train.py` as a command: seconds until its first epoch line, and peak memory in GB; compiled programs are
    found and kept in a folder."""
    arguments = ["train.py", "--config=configs/shallow.py:quick", f"--workdir={workdir}"]
    ran = commands.timed(arguments, "train.py", commands.with_programs_in(programs))
    return ran.until("Epoch 1/"), ran.memory


class TimedRunDirectory(run_directory.RunDirectory):
    """A run directory that adds up the time spent on recording and on checkpoints."""

    spent = 0.0

    def record(self, row: dict[str, Any], activations: Mapping[str, np.ndarray] | None, state: Any) -> None:
        start = time.perf_counter()
        super().record(row, activations, state)
        self.spent += time.perf_counter() - start

    def save(self, epoch: int, state: Any) -> None:
        start = time.perf_counter()
        super().save(epoch, state)
        self.spent += time.perf_counter() - start


def logging_share(workdir: Path) -> tuple[float, train.TrainState]:
    """The share of a 200-epoch run's time, compilation left out, that goes into logging and checkpoints; its state."""
    config = as_config(shallow.get_config())
    with TimedRunDirectory(workdir, config) as run, open(os.devnull, "w") as nowhere:
        stdout, sys.stdout = sys.stdout, nowhere
        try:
            state = train.fit(config, train.load_dataset(config, ""), run, train.initial_state(config))
        finally:
            sys.stdout = stdout
        epochs = sum(row["seconds"] for row in run.rows)
        return run.spent / (epochs + run.spent), state


def eigenvalue_seconds(state: train.TrainState, mnist: input_pipeline.Dataset) -> float:
    """Seconds, compilation included, until the five largest eigenvalues of the trained net's Hessian are known."""
    config: Any = shallow.get_config()
    model, cost = models.make_mlp(config), nets.costs.get(config.cost, config.output)

    def cost_of(params: Any, batch: Any) -> jax.Array:
        logits_BxC = model.apply({"params": params}, scale(batch[0]))[0]
        return cost.per_example(logits_BxC, jax.nn.one_hot(batch[1], config.classes))

    start = time.perf_counter()
    data = jax.device_put((mnist.images, mnist.labels))
    top = nets.curvature.top_eigenvalues(cost_of, state.params, data, jax.random.key(0), k=5)
    values, residuals = jax.device_get((top.values_K, top.residuals_K))
    seconds = time.perf_counter() - start
    print(f"Top eigenvalues {', '.join(f'{value:.5f}' for value in values)}, residuals up to {residuals.max():.1g}")
    return seconds


def ratio_lines(seconds: dict[str, list[float]]) -> list[Line]:
    """The ratios with a target, then those of the other opponents."""

    def ratio(name: str, over: str, under: str, target: float | None) -> Line:
        return line(name, [a / b for a, b in zip(seconds[over], seconds[under], strict=True)], target)

    lines = [
        ratio("epoch / matrix-product bound", "plateau", "matrix products (numpy)", 1.6),
        ratio("epoch / flax loop", "plateau", "flax loop", 0.55),
        ratio("60,000 steps of batch size 1 / epoch", "plateau, batch size 1", "plateau", 4.0),
        ratio("default probes / epoch", "plateau, its probes", "plateau", 0.1),
    ]
    targets = {"scikit-learn": 0.4, "keras": None, "pytorch loop": None}
    return lines + [
        ratio(f"epoch / {name}", "plateau", name, target) for name, target in targets.items() if name in seconds
    ]


def figures(rounds: int) -> tuple[dict[str, list[float]], list[Line]]:
    """Seconds by opponent, and the lines of the table of figures."""
    with tempfile.TemporaryDirectory() as folder:
        places = [(Path(folder) / f"command-{i}", Path(folder) / f"programs-{i}") for i in range(3)]
        first = [command_figures(*place) for place in places]
        again = [command_figures(workdir.with_suffix(".again"), programs) for workdir, programs in places]
        seconds = time_epochs(rounds)
        share, state = logging_share(Path(folder) / "logging")
    eigenvalues = eigenvalue_seconds(state, input_pipeline.load("mnist"))
    lines = ratio_lines(seconds)
    for name, values, target in (
        ("seconds to the first epoch line, nothing compiled before", [until for until, _ in first], 3.5),
        ("seconds to the first epoch line of a later run", [until for until, _ in again], 2.5),
        ("peak memory of the command, GB", [memory for _, memory in first + again], 1.2),
        ("logging and checkpoints, share of 200 epochs", [share], 0.05),
        ("seconds to the top 5 eigenvalues over 60,000 images", [eigenvalues], 60.0),
    ):
        lines.append(line(name, values, target))
    return seconds, lines
