"""How near do sweeps of the shallow net come to their arithmetic? Part of `experiments.benchmark`.

A model-epoch is one epoch of one trial. As for single runs, its time is that of training, and a ratio is the median of
the rounds' own ratios to the bound, numpy's time for the large matrix products of one epoch. Then the command itself is
timed on 192 runs, with validation, probes, compilation and all that it writes; and every activation and cost is run
alone and as a lane.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import input_pipeline
import nets
import train
from configs import shallow
from experiments.benchmarks import commands, epoch
from experiments.benchmarks.tables import Line, line
from experiments.engine import executors, lanes, plan, results, space
from training.batches import make_data
from training.config import Config
from training.records import METRICS

PACKS = {
    "16 lanes (4 rates x 4 seeds)": (4, 4, 1.0),
    "64 lanes (8 rates x 8 seeds)": (8, 8, 1.0),
    "256 lanes (16 rates x 16 seeds)": (16, 16, 1.0),
    "16 lanes (16 seeds)": (1, 16, 1.1),
}
SWEEP = (
    "--config=configs/shallow.py --config.epochs=10 --axis activation=sigmoid,tanh,relu "
    "--axis cost=quadratic,cross_entropy --axis learning_rate=0.01,0.1,1,10 --seeds=8"
)
ALONE_EPOCHS, ALONE_EXAMPLES = 5, 6_000


def lanes_epoch(mnist: input_pipeline.Dataset, rates: int, seeds: int) -> Callable[[], None]:
    """Trains so many lanes by one epoch, pack after pack as a sweep does."""
    base = shallow.get_config()
    axes = {"learning_rate": np.linspace(0.01, 0.1, rates).tolist(), "seed": list(range(seeds))}
    trials = space.make_trials(base, None, axes)
    packs = plan.make_packs(trials, plan.this_machine(), lambda _: len(mnist.images))
    data = lanes.replicate(make_data(base, mnist), lanes.make_mesh(packs[0].shape.rows))
    programs = lanes.compile_programs(next(iter(trials.values())), packs[0].shape, packs[0].optional, data)
    place = lambda tree: jax.device_put(tree, programs.sharding)  # noqa: E731
    running = []
    for pack in packs:
        rows = [[trials[name] for name in row] for row in pack.rows]
        trained, _, alive_WxR = lanes.padded(rows, programs.shape, programs.sharding.mesh.size)
        seeds_W = place(np.array([row[0].seed for row in trained], np.uint32))
        numbers = place(lanes.numbers_of(trained, programs.optional))
        running.append([programs.init(numbers, seeds_W), numbers, seeds_W, place(alive_WxR)])

    def run() -> None:
        for state in running:
            state[0], _ = programs.epoch(*state, np.int32(1), data)
            jax.block_until_ready(state[0])

    return run


def time_packs(rounds: int) -> dict[str, list[float]]:
    """Seconds of the bound, of an epoch alone, and of a model-epoch in packs, in each round."""
    mnist = input_pipeline.load("mnist")
    single = {
        "matrix products (numpy)": epoch.matrix_product_bound(),
        "plateau": epoch.plateau(mnist, epoch.BATCH),
    }
    packs = {name: lanes_epoch(mnist, rates, seeds) for name, (rates, seeds, _) in PACKS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*single, *packs)}
    for number in tqdm(range(rounds + 1), desc="rounds", leave=False, disable=None):
        for name, run in (single | packs).items():
            time.sleep(epoch.PAUSE_SECONDS)
            models = 1 if name in single else PACKS[name][0] * PACKS[name][1]
            repeats = epoch.EPOCHS_A_ROUND if models < 64 else 1
            run()
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            if number:
                seconds[name].append((time.perf_counter() - start) / (repeats * models))
    return seconds


def command_seconds(folder: Path) -> tuple[float, int]:
    """Seconds of the sweep of 192 runs as a command, and how many times XLA compiled its epoch."""
    command = [sys.executable, "-m", "experiments.sweep", *SWEEP.split(), f"--workdir={folder / 'sweep'}"]
    # XLA leaves a file of every program of that name that it is given.
    dump = f"--xla_dump_to={folder / 'xla'} --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*epoch_of_lanes.*"
    # Nothing is compiled before, and what this compiles is not kept for the next time.
    environment = commands.with_programs_in(folder / "programs")
    environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {dump}"
    start = time.perf_counter()
    subprocess.run(command, cwd=commands.ROOT, env=environment, capture_output=True, check=True)
    seconds = time.perf_counter() - start
    table = results.read_table(folder / "sweep" / "results.parquet")
    assert len(set(table["trial"].to_pylist())) == 192
    return seconds, len(list((folder / "xla").glob("*before_optimizations.txt")))


def alone(functions: train.Train, trial: Config, mnist: input_pipeline.Dataset) -> dict[str, float]:
    """METRICS of the last epoch of a trial that is run by itself."""
    numbers = train.hyperparameters(trial)
    init_key, shuffle_key = train.run_keys(trial.seed)
    state, metrics = functions.init(numbers, init_key), {}
    for number in range(1, trial.epochs + 1):
        state, metrics = functions.epoch(state, numbers, mnist, jax.random.fold_in(shuffle_key, number))
    validation = functions.evaluate(state, mnist.validation_images, mnist.validation_labels)
    metrics |= {f"val_{name}": value for name, value in validation.items()}
    return {name: float(metrics[name]) for name in METRICS}


def differences_from_alone(mnist: input_pipeline.Dataset) -> tuple[float, float]:
    """The largest difference of a loss between a lane and the same run alone, and of an accuracy, in images, for every
    activation and cost."""
    worst_loss, worst_images = 0.0, 0.0
    pairs = list(itertools.product(nets.activations.ACTIVATIONS, nets.costs.COSTS))
    for activation, cost in tqdm(pairs, desc="lanes and runs alone", leave=False, disable=None):
        base = shallow.get_config()
        base.activation, base.cost, base.epochs, base.probes = activation, cost, ALONE_EPOCHS, ()
        trials = space.make_trials(base, None, {"learning_rate": [0.01, 0.1], "seed": [0, 1]})
        functions = train.make_train(next(iter(trials.values())))
        for row in executors.train_all(trials, mnist).to_pylist():
            if row["epoch"] == ALONE_EPOCHS:
                expected = alone(functions, trials[row["trial"]], mnist)
                difference = {name: abs(row[name] - expected[name]) for name in METRICS}
                worst_loss = max(worst_loss, difference["loss"], difference["val_loss"])
                images = len(mnist.images) * difference["accuracy"]
                worst_images = max(worst_images, images, len(mnist.validation_images) * difference["val_accuracy"])
    return worst_loss, float(round(worst_images))


def figures(rounds: int) -> tuple[dict[str, list[float]], list[Line]]:
    """Seconds by name, and the lines of the table of figures."""
    seconds = time_packs(rounds)
    lines: list[Line] = []

    def add(name: str, values: list[float], target: float) -> None:
        lines.append(line(name, values, target))

    def ratios(over: str, under: str) -> list[float]:
        return [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]

    first, *_, largest = list(PACKS)[:3]
    for name, (_, _, target) in PACKS.items():
        add(f"model-epoch of {name} / matrix-product bound", ratios(name, "matrix products (numpy)"), target)
        add(f"model-epoch of {name} / epoch alone", ratios(name, "plateau"), 0.7)
    add(f"model-epoch of {largest} / {first}", ratios(largest, first), 1.1)
    with tempfile.TemporaryDirectory() as folder:
        command, compilations = command_seconds(Path(folder))
    add("minutes of the sweep of 192 runs, 10 epochs each", [command / 60], 3.2)
    add("compilations of the epoch in it", [float(compilations)], 6.0)
    loss, images = differences_from_alone(input_pipeline.split(input_pipeline.load("mnist"), ALONE_EXAMPLES))
    add("largest difference of a lane's loss from the run alone", [loss], 1e-4)
    add("largest difference of a lane's accuracy from the run alone, images", [images], 1.0)
    return seconds, lines
