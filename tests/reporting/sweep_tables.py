"""Made-up tables of sweeps for the tests of the report, and what a page has in it."""

import itertools
import json
import re

import numpy as np

from configs import shallow
from experiments.engine import results
from training.config import as_config

SWEPT = {
    "activation": ["tanh", "relu"],
    "batch_norm": [False, True],
    "learning_rate": [0.5, 2.0, 10.0],
    "seed": [0, 1, 2],
}
# Of relu with batch_norm at the largest rate all three seeds diverge, of tanh without it at the largest rate one.
DIVERGED = {33: 2, 34: 3, 35: 1, 7: 3}


def rows_of(trial, epochs, rng, layers=("hidden_0",), diverges_at=None):
    """Rows of a trial with random numbers; the last one has no cost if it diverges."""
    saturation = "zero_fraction" if trial["activation"] == "relu" else "saturation"
    for epoch in range(1, epochs + 1):
        numbers = {name: float(rng.random()) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        numbers["val_accuracy"] = 0.25 + 0.75 * numbers["val_accuracy"]  # None ends at chance.
        probes = {f"{measure}/{layer}": float(rng.random()) for layer in layers for measure in (saturation, "speed")}
        row = {"trial": as_config(trial).name(), "epoch": epoch, "diverged": False, **numbers, **probes}
        if epoch == diverges_at:
            yield row | {"diverged": True, "loss": None, "val_loss": None}
            return
        yield row


def table_of(swept, epochs=4, diverged=(), layers=("hidden_0",)):
    """The table of a grid, in two packs; the trials numbered in `diverged` diverge at those epochs."""
    rng = np.random.default_rng(0)
    base = shallow.get_config().to_dict() | {"epochs": epochs}
    trials = [base | dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    ends = dict(diverged)
    packs = []
    for pack in (range(0, len(trials), 2), range(1, len(trials), 2)):
        named = {as_config(trials[i]).name(): trials[i] for i in pack}
        rows = [row for i in pack for row in rows_of(trials[i], epochs, rng, layers, ends.get(i))]
        packs += [results.pack_table({name: as_config(trial) for name, trial in named.items()}, rows)] if rows else []
    return results.join(packs)


def embedded(page):
    """The data in the page."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])
