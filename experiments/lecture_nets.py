"""Do the lecture's three nets and Nielsen's first one end where they were published to end?

    python -m experiments.lecture_nets [--workdir=runs/lecture_nets]      3 minutes on 2 cores

Source: a lecture's notebooks, whose logs give val_loss and val_accuracy (Keras); Nielsen, Neural Networks and Deep
Learning, chapter 1. The shallow net's log of seven epochs is one draw of a random seed, so it counts as reproduced
where each of its val_loss lies inside the range of 32 seeds. The bands of the rest were set before the run.

Measured: see `results.json` beside the figure; the README's table was printed by this command.
"""

import time
from typing import Any

import numpy as np
from absl import app, flags

import figures
import input_pipeline
import train
from configs import deep, intermediate, nielsen, shallow
from experiments import executors, lanes, plan, studies

LOG_VAL_LOSS = (0.0913, 0.0906, 0.0901, 0.0897, 0.0893, 0.0890, 0.0887)
LOG_SOURCE = "lecture notebook, log of the shallow net"


def curves(name: str, config: Any, seeds: int) -> dict[str, np.ndarray]:
    """METRICS of a config over seeds 0, 1, ..., [epochs, seeds], with a line that says what took how long."""
    start = time.perf_counter()
    config.probes = ()
    trials = plan.make_trials(config, None, {"seed": range(seeds)})
    table = executors.train_all(trials, train.load_dataset(config, ""), name)
    print(f"{name}: {seeds} seeds, {config.epochs} epochs, {time.perf_counter() - start:.0f} s", flush=True)
    return {metric: table[metric].to_numpy().reshape(seeds, config.epochs).T for metric in train.METRICS}


def log_claims(val_loss_ExL: np.ndarray) -> list[dict[str, Any]]:
    """The lecture's log: here the published number must lie inside the measured range, so that range is the band."""
    return [
        studies.range_claim(f"shallow, val_loss at epoch {epoch}", published, LOG_SOURCE, values)
        for epoch, (published, values) in enumerate(zip(LOG_VAL_LOSS, val_loss_ExL, strict=True), start=1)
    ]


def end_claims(ends: dict[str, dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """The final, or for Nielsen the best, numbers; means over the seeds, for Nielsen the best of them."""
    notebook, book = "lecture notebook", "Nielsen, chapter 1"
    accuracy = {name: metrics["val_accuracy"][-1] for name, metrics in ends.items()}
    loss, best = ends["shallow"]["val_loss"][-1], ends["nielsen"]["val_accuracy"].max(axis=0)
    rows = [
        ("shallow, final val_accuracy", [0.856, 0.8586], notebook, accuracy["shallow"], np.mean, (0.850, 0.875)),
        ("shallow, final val_loss", [0.0286, 0.0286], notebook, loss, np.mean, (0.0260, 0.0300)),
        # Both published runs within .004 of the mean of the seeds.
        (
            "intermediate, final val_accuracy",
            [0.9759, 0.9745],
            notebook,
            accuracy["intermediate"],
            np.mean,
            (0.9719, 0.9785),
        ),
        ("deep, final val_accuracy", 0.9754, notebook, accuracy["deep"], np.mean, (0.9714, 0.9794)),
        ("Nielsen 784-30-10, best accuracy", 0.9542, book, best, np.max, (0.9502, 0.9582)),
    ]
    return [
        studies.claim(name, published, source, values, f(values), band)
        for name, published, source, values, f, band in rows
    ]


def draw(log_ExL: np.ndarray, ends: dict[str, dict[str, np.ndarray]], claims: list[dict[str, Any]]):
    """The log among its seeds, and the validation accuracy of the four nets through training."""
    figure, (left, right) = figures.new_figure(12, 4.5, 2)
    epochs = np.arange(1, len(log_ExL) + 1)
    left.fill_between(
        epochs, log_ExL.min(axis=1), log_ExL.max(axis=1), alpha=0.25, label=f"range of {log_ExL.shape[1]} seeds"
    )
    left.plot(epochs, log_ExL.mean(axis=1), label="their mean")
    left.plot(epochs, LOG_VAL_LOSS, "k.", label="the lecture's log")
    left.axhline(0.09, color="gray", linestyle="--", label="uniform guess, 0.09")
    inside = sum(c["reproduced"] for c in claims[: len(LOG_VAL_LOSS)])
    left.set(
        xlabel="epoch",
        ylabel="validation cost",
        title=f"Shallow net: {inside} of 7 logged costs inside the seeds' range",
    )
    for name, metrics in ends.items():
        accuracy_ExL = metrics["val_accuracy"]
        right.plot(np.arange(1, len(accuracy_ExL) + 1), accuracy_ExL.mean(axis=1), label=name)
    for c in claims[len(LOG_VAL_LOSS) :]:
        if "accuracy" in c["name"]:
            right.axhline(np.mean(c["published"]), color="gray", linestyle=":", linewidth=1)
    good = sum(c["reproduced"] for c in claims[len(LOG_VAL_LOSS) :])
    right.set(xlabel="epoch", ylabel="validation accuracy (mean of seeds)", xscale="log", ylim=(0, 1))
    right.set_title(f"{good} of 5 published ends reproduced (dotted: published)")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


def study() -> tuple[Any, list[dict[str, Any]]]:
    """The figure and the claims."""
    log = curves("shallow, the log", shallow.get_config("quick"), flags.FLAGS.log_seeds)["val_loss"]
    configs = {"shallow": shallow, "intermediate": intermediate, "deep": deep, "nielsen": nielsen}
    ends = {name: curves(name, module.get_config(), 3) for name, module in configs.items()}
    claims = log_claims(log) + end_claims(ends)
    return draw(log, ends, claims), claims


def main(_: list[str]) -> None:
    lanes.use_all_cores()
    studies.run(study, flags.FLAGS.workdir)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "runs/lecture_nets", "Where figure.png and results.json go.")
    flags.DEFINE_integer("log_seeds", 32, "Seeds of the shallow net's first seven epochs.", lower_bound=1)
    app.run(main, flags_parser=input_pipeline.parse_flags)
