"""How often is the advice of `experiments.advise` wrong? Part of `experiments.benchmark`.

Each setting is one net: an activation, a cost, a width and a data set. It is measured and its advice is checked as
`python -m experiments.advise --check` does both. What is finished lies in a folder, one file a setting, so that a call
that was ended goes on with the settings that it lacks; files of other code of `experiments.advising` or of what it
measures by, of other versions or of another set are measured anew.
"""

import itertools
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

import train
from experiments.advising import advice as advising
from experiments.advising import along, checking, edges, measuring, record
from experiments.advising.estimates import Estimate, as_json, brief
from experiments.benchmarks.tables import Line, Measured, line
from experiments.engine import space
from training.config import Config
from training.console import count, progress, say
from training.files import lock, write_atomically
from training.provenance import code_digest, versions
from training.screen import guess_cost

# The settings: every one of these with every other. They were stated before any of them was run.
ACTIVATIONS, COSTS, UNITS = ("sigmoid", "tanh", "relu"), ("quadratic", "cross_entropy"), (16, 64)
DATA: dict[str, dict[str, Any]] = {
    "mnist": {"inputs": 784, "validation": "10000", "train_examples": 20_000},
    "sklearn:digits": {"inputs": 64, "validation": "300"},
}
# The rate of the epochs before the batch is advised: about a quarter of the stable one of a net that is no setting, of
# 32 GELUs. Pixels of the digits go up to 16.
RATES = {
    ("mnist", "quadratic"): 4.0,
    ("mnist", "cross_entropy"): 0.1,
    ("sklearn:digits", "quadratic"): 0.08,
    ("sklearn:digits", "cross_entropy"): 0.0015,
}
BATCH_SIZE, EPOCHS = 32, 2
# What a setting is measured and judged by.
ROOMS = ("experiments/advising", "experiments/engine", "experiments/study", "nets", "training", "readers")
CODE = (*ROOMS, "train.py", "input_pipeline.py")
# What 2 / lambda is held against beside the check of the largest rate, which is judged by the first of these.
EDGES = {
    "diverges": "the edge of divergence",
    "climbs": "where the cost climbs above its start at all",
    "rises": "where a step raises the cost",
}
STABLE, ALONE = "2 / lambda", "noise scale of the state alone"
NOTHING = {"measured": None}
Found = Mapping[str, Any]


class Setting(NamedTuple):
    """A net and its data."""

    activation: str
    cost: str
    units: int
    dataset: str

    def __str__(self) -> str:
        return f"{self.activation}, {self.cost}, {self.units} units, {self.dataset}"

    @property
    def config(self) -> Config:
        """What is trained."""
        return Config(
            dataset=self.dataset,
            activation=self.activation,
            cost=self.cost,
            hidden=(self.units,),
            learning_rate=RATES[self.dataset, self.cost],
            batch_size=BATCH_SIZE,
            **DATA[self.dataset],
        )

    def path(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / f"{'-'.join(map(str, self)).replace(':', '-')}.json"


def settings() -> list[Setting]:
    """All of them."""
    return [Setting(*each) for each in itertools.product(ACTIVATIONS, COSTS, UNITS, DATA)]


# ---------------------------------------------------------------------------------------------------------------------
# Measuring.


def checks_of(setting: Setting) -> dict[str, Any]:
    """What came of the checks of a setting's advice, by part, as JSON has it."""
    config = setting.config
    dataset = train.load_dataset(config, "")
    parts = measuring.cut(config, dataset)
    found = measuring.measure_net(config, dataset, parts, EPOCHS, lambda _: None)
    guess = guess_cost(config, dataset)
    of_rates = edges.find_edges(config, parts, found, guess)
    made = advising.advise(config, found, of_rates, along.noise_along(config, parts, found, of_rates))
    checks = checking.checks_of(config, made, parts, found, guess)
    by_part = {one.part: as_json(one.to_dict()) for one in checks}
    jax.clear_caches()  # No setting uses the programs of another.
    return by_part


def asked(setting: Setting) -> dict[str, Any]:
    """What a setting's file has to be of, as JSON has it: the config, and by which code it was measured."""
    of = {"config": space.cells_of(setting.config), "epochs": EPOCHS, "code": code_digest(CODE), "versions": versions()}
    return json.loads(json.dumps(of))


def kept(setting: Setting, folder: Path) -> Found | None:
    """What was measured of a setting before; None where it was not, or of something else, or the file is damaged."""
    try:
        found: Any = json.loads(setting.path(folder).read_bytes())
        return found if found["asked"] == asked(setting) and set(found["checks"]) == set(record.PARTS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure(folder: Path, of: Sequence[Setting]) -> dict[Setting, Found]:
    """What is measured of the settings, those that the folder lacks measured now; RunError where another process is at
    it."""
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        found = {setting: before for setting in of if (before := kept(setting, folder))}
        if found:
            say(f"Taken over from a call that was ended: {count(found, 'setting')} of {len(of)}.")
        with progress(len(of), "setting", "advice", len(found)) as bar:
            for setting in of:
                if setting in found:
                    continue
                start = time.perf_counter()
                one = {"asked": asked(setting), "checks": checks_of(setting), "seconds": time.perf_counter() - start}
                write_atomically(setting.path(folder), json.dumps(one, indent=1, allow_nan=False) + "\n")
                found[setting] = one
                bar.update()
                verdicts = ", ".join(f"{part} {check['verdict']}" for part, check in one["checks"].items())
                bar.say(f"{setting}: {verdicts} ({one['seconds']:.0f} s)")
    return {setting: found[setting] for setting in of}


def folder_in(workdir: Path) -> Path:
    """Where the settings are kept until all of them are measured."""
    return workdir / "advice"


def figures(workdir: Path) -> Measured:
    """The record of all settings."""
    return recorded({str(setting): found for setting, found in measure(folder_in(workdir), settings()).items()})


def forget(workdir: Path) -> None:
    """Removes the files of the settings, whose numbers stand in the record, so that the next call measures anew."""
    shutil.rmtree(folder_in(workdir))


# ---------------------------------------------------------------------------------------------------------------------
# The record.


def recorded(found: Mapping[str, Found]) -> Measured:
    """How often the advice held, and how far it was off, over settings by name."""
    checks = {part: {name: one["checks"][part] for name, one in found.items()} for part in record.PARTS}
    verdicts = {part: [check["verdict"] for check in of.values()] for part, of in checks.items()}
    for edge, words in EDGES.items():
        verdicts[f"{STABLE}, held against {words}"] = [
            check["comparisons"].get(edge, {"verdict": checking.NOT_CHECKED})["verdict"]
            for check in checks["rate"].values()
        ]
    verdicts[f"{ALONE}, held against the knee"] = [
        check["comparisons"].get("alone", {"verdict": checking.NOT_CHECKED})["verdict"]
        for check in checks["batch"].values()
    ]
    counts = {name: {each: Counter(of)[each] for each in record.CLASSES} for name, of in verdicts.items()}
    bad = [
        f"{part} {record.WRONG}: {name} ({brief(check['predicted'])} advised, {estimate(check['measured'])} measured)"
        for part in ("rate", "batch")
        for name, check in checks[part].items()
        if check["verdict"] == record.WRONG
    ] + [
        f"scale {record.WRONG}: {name} ({brief(check['predicted'])} advised, which lacks {estimate(check['measured'])})"
        for name, check in checks["scale"].items()
        if check["verdict"] == record.WRONG
    ]
    return {
        "figures": lines(checks, [one["seconds"] for one in found.values()]),
        "counts": counts,
        "bad": bad,
        "settings": [row(name, one["checks"]) for name, one in found.items()],
    }


def lines(checks: Mapping[str, Mapping[str, Found]], seconds: list[float]) -> list[Line]:
    """Ratios of what was advised to what was measured; how many settings the advice did not hold in, of which there is
    to be none; of scales what the advised ones lack."""

    def ratios(part: str, comparison: str = "") -> list[float]:
        of = checks[part].values()
        # A comparison is with the same advice, where it does not say with which.
        held = [check | check["comparisons"].get(comparison, NOTHING) if comparison else check for check in of]
        return [one["predicted"] / one["measured"]["value"] for one in held if one["measured"] and is_known(one)]

    lacking = [check["measured"]["value"] for check in checks["scale"].values()]
    values: list[tuple[str, list[float], float | None]] = [
        (f"largest rate advised / the edge of divergence {record.CHOSEN}", ratios("rate"), None),
        *((f"{STABLE} / {words}", ratios("rate", edge), None) for edge, words in EDGES.items()),
        (f"batch advised / knee, tried from that rate on {record.CHOSEN}", ratios("batch"), None),
        (f"{ALONE} / knee", ratios("batch", "alone"), None),
        (
            f"scale advised / best of those that were tried from that rate on {record.CHOSEN}",
            ratios("scale", "best"),
            None,
        ),
        ("progress of the best scale that the advised one lacks", [x for x in lacking if x is not None], None),
        *(
            (f"settings in which the {part} {words}", [float(count_of(checks[part], *verdicts))], 0.0)
            for part in record.PARTS
            for words, verdicts in (
                (record.WRONG, [record.WRONG]),
                (f"{record.WRONG} or is {record.UNDECIDED}", [record.WRONG, record.UNDECIDED]),
            )
        ),
        ("seconds of a setting, measured and checked", seconds, None),
    ]
    return [line(name, of, target) for name, of, target in values if of]


def count_of(checks: Mapping[str, Found], *verdicts: str) -> int:
    """How many of them have one of these verdicts."""
    return sum(check["verdict"] in verdicts for check in checks.values())


def is_known(held: Found) -> bool:
    """Whether a number was measured: it is none where it is said from one side alone, as an edge beyond all rates."""
    estimated = estimate(held["measured"])
    return math.isfinite(estimated.value) and estimated.low != 0 and not math.isinf(estimated.high)


def estimate(found: Mapping[str, float | None]) -> Estimate:
    """The estimate that JSON holds: an upper end that is missing beside a lower one is infinite."""
    value, low, high = (math.nan if (x := found[name]) is None else x for name in ("value", "low", "high"))
    return Estimate(value, low, math.inf if math.isnan(high) and not math.isnan(low) else high)


def row(name: str, checks: Mapping[str, Found]) -> dict[str, str]:
    """A setting's row of the table."""
    cells = {"setting": name}
    for part, measured in (("rate", "edge of divergence"), ("batch", "knee"), ("scale", "lacks")):
        check = checks[part]
        of = (check["predicted"], estimate(check["measured"]), check["verdict"])
        known = "" if of[0] is None else brief(of[0])
        cells |= {part: known, measured: str(of[1]) if known else "", f"{part}: verdict": of[2]}
    return cells
