"""What the studies share: claims with their bands, the scoreboard that shows which are reproduced, the command line.

A study's module has `study() -> (figure, claims)`, with an argument `budget` where it can be run at a smaller and a
larger size, and an argument `workdir` where it keeps there what it has finished, to go on after it was killed. It ends
with `studies.main(study)`.
"""

import functools
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags, logging

import nets
import run_directory
import train
from experiments import executors, lanes, plan, sweep
from training import console

BUDGETS = ("quick", "full")
OPEN = 1e6  # Stands for the upper end of a band that has none.
COLUMNS = ("figure", "published", "measured", "seeds", "spread", "band", "reproduced")


def claim(
    name: str, published: Any, source: str, values: np.ndarray, measured: float, band: tuple[float, float]
) -> dict[str, Any]:
    """One line of the scoreboard: reproduced where the measured number, of the values of several seeds, lies in the
    band that was stated before the run; published is None where the source gives a direction and no number."""
    return {
        "name": name,
        "published": published,
        "source": source,
        "measured": float(measured),
        "band": list(band),
        "reproduced": bool(band[0] <= measured <= band[1]),
        "seeds": [float(value) for value in values],
    }


def range_claim(
    name: str, published: float, source: str, values: np.ndarray, percentiles: tuple[float, float] = (0, 100)
) -> dict[str, Any]:
    """A published single draw: reproduced where it lies between those percentiles of the seeds, which are the band."""
    low, high = (float(bound) for bound in np.percentile(values, percentiles))
    line = claim(name, published, source, values, float(np.mean(values)), (low, high))
    within = "range" if percentiles == (0, 100) else f"{percentiles[0]:g}-{percentiles[1]:g} % range"
    return line | {"reproduced": low <= published <= high, "rule": f"published inside the {within} of the seeds"}


def number(value: float) -> str:
    """Four decimals, or two significant digits for what they would make zero."""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2g}"


def cells(c: dict[str, Any]) -> list[str]:
    """What the scoreboard says of a claim, one text for each of COLUMNS."""
    published = "direction"
    if c["published"] is not None:
        published = " and ".join(number(p) for p in np.atleast_1d(c["published"]))
    spread = f"{number(min(c['seeds']))} to {number(max(c['seeds']))}"
    low, high = c["band"]
    band = f"{number(low)} or more" if high == OPEN else f"{number(low)} to {number(high)}"
    verdict = "yes" if c["reproduced"] else "**no**"
    return [c["name"], published, number(c["measured"]), str(len(c["seeds"])), spread, band, verdict]


def markdown(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of that text."""
    escaped = ([cell.replace("|", "\\|") for cell in row] for row in (columns, *rows))
    head, *lines = (f"| {' | '.join(row)} |" for row in escaped)
    return "\n".join([head, "|---" * len(columns) + "|", *lines])


def scoreboard(claims: list[dict[str, Any]]) -> str:
    """The claims as a Markdown table."""
    return markdown(COLUMNS, map(cells, claims))


def notes(claims: list[dict[str, Any]]) -> list[str]:
    """What there is to explain, a line a claim."""
    return [f"{c['name']}: {c['note']}" for c in claims if c.get("note")]


def curves(name: str, config: Any, seeds: int) -> dict[str, np.ndarray]:
    """METRICS of a config over seeds 0, 1, ..., [epochs, seeds], with a line that says what took how long."""
    start = time.perf_counter()
    config.probes = ()
    trials = plan.make_trials(config, None, {"seed": range(seeds)})
    table = executors.train_all(trials, train.load_dataset(config, ""), name)
    print(f"{name}: {seeds} seeds, {config.epochs} epochs, {time.perf_counter() - start:.0f} s", flush=True)
    return {metric: table[metric].to_numpy().reshape(seeds, config.epochs).T for metric in train.METRICS}


def cost_of(config: Any) -> nets.curvature.Cost:
    """The cost of a net with that config or trial, made once, so that what measures it is compiled once."""
    return _cost_of(tuple(config["hidden"]), config["activation"], config["output"], config["cost"])


@functools.cache
def _cost_of(hidden: tuple[int, ...], activation: str, output: str, cost: str) -> nets.curvature.Cost:
    net, table = nets.MLP(hidden=hidden, activation=activation, output=output), nets.costs.get(cost, output)

    def per_example_cost(params, batch):
        logits_BxC, _ = net.apply({"params": params}, train.scale(batch[0]))
        return table.per_example(logits_BxC, jax.nn.one_hot(batch[1], logits_BxC.shape[-1]))

    return per_example_cost


def takes_budget(study: Callable) -> bool:
    """Whether the study has a smaller and a larger size."""
    return "budget" in inspect.signature(study).parameters


def arguments(study: Callable, budget: str, workdir: Path) -> dict[str, Any]:
    """What the study takes of these."""
    given = {"budget": budget, "workdir": workdir}
    return {name: given[name] for name in inspect.signature(study).parameters}


def run(study: Callable[[], tuple[Any, list[dict[str, Any]]]], workdir: str | Path) -> None:
    """Writes the study's figure as figure.png and its claims as results.json, and prints the scoreboard.

    What cannot be read or written ends in one line, and a folder that cannot be made does so before the study runs.
    """
    logging.set_verbosity(logging.ERROR)
    workdir = Path(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        figure, claims = study()
        run_directory.save_figure(figure, workdir / "figure.png")
        run_directory.write_atomically(workdir / "results.json", json.dumps(claims, indent=2) + "\n")
    except sweep.USER_ERRORS as error:
        console.fail(error)
    except KeyboardInterrupt:
        print("\ninterrupted")
        sys.exit(130)
    print("\n".join([scoreboard(claims), *notes(claims)]))
    print(f"{sum(c['reproduced'] for c in claims)} of {len(claims)} reproduced; written to {workdir}")


def main(study: Callable[..., tuple[Any, list[dict[str, Any]]]]) -> None:
    """The command of a study's module: --workdir, and --budget where the study takes one."""
    flags.DEFINE_string(
        "workdir", f"runs/{Path(study.__code__.co_filename).stem}", "Where figure.png and results.json go."
    )
    if takes_budget(study):
        flags.DEFINE_enum("budget", "quick", BUDGETS, "How much is computed.")

    def start(_: list[str]) -> None:
        lanes.use_all_cores()
        budget, workdir = getattr(flags.FLAGS, "budget", ""), Path(flags.FLAGS.workdir)
        run(lambda: study(**arguments(study, budget, workdir)), workdir)

    app.run(start, flags_parser=console.parse_flags)
