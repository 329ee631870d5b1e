"""The executor of sweeps whose nets are evaluated and measured once, at their end.

An epoch of a large batch is a step or a few, and evaluating all examples after each would take longer than training.
"""

import functools
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

import input_pipeline
import nets
import train
from experiments.engine import executors, lanes, plan, results
from experiments.engine.space import Trials
from experiments.study import toolkit
from experiments.study.elsewhere import of_size_one
from training.config import Config
from training.metrics import of_part

MEASURED_ON, COST_ON, EIGENVALUE_STEPS = 1_000, 10_000, 20
METRICS = ("test_accuracy", "end/cost", "end/top_eigenvalue", "end/noise_scale")


def run_and_measure(
    packs: Sequence[plan.Pack],
    trials: Trials,
    datasets: executors.Datasets,
    advance: Callable,
    measured_seeds: Container[int],
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """`executors.run_locally`, but that nets are evaluated in their last rows alone, as an epoch of a large batch is a
    step or a few; those of the seeds that are measured on the test set as well, with measures of them."""
    runner = executors.Runner()
    for pack in packs:
        dataset, last = in_three(datasets[lanes.data_key(trials[pack.trials[0]])]), dict[str, train.TrainState]()
        table = runner.run(pack, trials, toolkit.hardly_validated(dataset), advance, last=last)
        rows = table.select(["trial", "epoch", "epochs", "diverged"]).to_pylist()
        ended = {row["trial"] for row in rows if row["epoch"] == row["epochs"] and not row["diverged"]}
        found = {
            name: measure(trials[name], last[name], dataset, trials[name].seed in measured_seeds) for name in ended
        }
        columns = {name: table[name] for name in table.column_names}
        for metric in ("val_loss", "val_accuracy", "test_loss", *METRICS):
            of_rows = (found.get(row["trial"], {}) if row["epoch"] == row["epochs"] else {} for row in rows)
            columns[metric] = pa.array([of_row.get(metric) for of_row in of_rows], pa.float64())
        names = [*results.LEADING.names, *results.in_order(columns)]
        whole = pa.table({name: columns[name] for name in names})
        yield pack, whole.replace_schema_metadata(table.schema.metadata)


def in_three(dataset: input_pipeline.Dataset) -> input_pipeline.Dataset:
    """The data set, inputs of size one, with a test set: where it has none, half of what is held out."""
    dataset, half = of_size_one(dataset), len(dataset.validation_labels) // 2
    if dataset.has_test:
        return dataset
    images, labels = dataset.validation_images, dataset.validation_labels
    dataset = dataset._replace(test_images=images[half:], test_labels=labels[half:])
    return dataset._replace(validation_images=images[:half], validation_labels=labels[:half])


@functools.cache
def evaluate_of(config: Config) -> Callable[..., Mapping[str, Any]]:
    """`train.Train.evaluate`, compiled once for what is alike but for the fields that a study varies."""
    return train.make_train(config).evaluate


def measure(
    trial: Config, state: train.TrainState, dataset: input_pipeline.Dataset, is_whole: bool
) -> dict[str, float | None]:
    """How a trained net does on the validation examples; where all is measured also on the test set, its cost on
    training images, and its sharpness and gradient noise scale on fewer of them. None is what is not finite."""
    evaluate = evaluate_of(trial.replace(seed=0, learning_rate=1.0, batch_size=1, epochs=1, train_examples=0))
    found = of_part("val", evaluate(state, dataset.validation_images, dataset.validation_labels))
    if is_whole:
        cost = toolkit.cost_of(trial)
        few = dataset.images[:MEASURED_ON], dataset.labels[:MEASURED_ON]
        many = dataset.images[:COST_ON], dataset.labels[:COST_ON]
        found |= of_part("test", evaluate(state, dataset.test_images, dataset.test_labels)) | {
            "end/cost": nets.curvature.mean_cost(cost, state.params, many),
            "end/top_eigenvalue": toolkit.sharpness_of(trial, state.params, *few, EIGENVALUE_STEPS),
            "end/noise_scale": nets.curvature.gradient_noise_scale(cost, state.params, few).noise_scale,
        }
    numbers = {name: float(value) for name, value in found.items()}
    return {name: number if math.isfinite(number) else None for name, number in numbers.items()}
