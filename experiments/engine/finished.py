"""finished.json of a sweep's folder: of what a finished sweep is made, so that started again it is not read again.

It stands for what was asked (the trials, the base config, the machines, the labels that it is judged by, the code and
its surroundings) and for every file that the sweep has left, pack by pack, by digests; and it has the words with which
the sweep ended. A sweep started again whose question and files are all the same to the byte repeats these words. With
any other byte in any file, finished.json itself included, everything is read, checked and made as if it were not there.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import input_pipeline
from experiments.engine import results
from experiments.engine.plan_file import Recorded
from experiments.engine.space import Trials
from training.config import Config
from training.files import write_atomically
from training.provenance import code_digest, device, environment, versions

FILE = "finished.json"
# Of all but the packs and the pictures. What is not there when a sweep ends has to be missing when it is started again.
FILES = ("plan.json", "results.parquet", "summary.csv", "decisions.json", "report.html")
PICTURES = "figures"
# What a start may tidy up: with one of them nothing is taken for finished.
FOLDERS = ("states", "weights", "tensorboard")
ROOMS = ("train.py", "input_pipeline.py", "nets", "readers", "training", "experiments")
PACKAGES = ("pyarrow", "scipy", "matplotlib", "plotly")


def question_of(
    base: Config,
    trials: Trials,
    made_for: Mapping[str, Any],
    datasets: Iterable[input_pipeline.Dataset],
    report_options: str,
) -> str:
    """A digest of what a sweep is asked and of what else its results and its words follow from; `report_options` is
    what its report goes by besides."""
    labels = [hashlib.sha256(np.asarray(data.validation_labels).tobytes()).hexdigest() for data in datasets]
    asks = (base.to_dict(), list(trials), dict(made_for), sorted(labels), report_options)
    by = code_digest(ROOMS), versions(PACKAGES), device(), environment()
    return hashlib.sha256(json.dumps([*asks, *by], sort_keys=True).encode()).hexdigest()


def words_of(workdir: Path, recorded: Recorded | None, key: str) -> str | None:
    """The words with which the sweep in the folder has ended, where it was asked the same and no byte of what it has
    left is another one; else None."""
    path = workdir / FILE
    if recorded is None or not path.is_file():
        return None
    try:
        text = path.read_bytes()
        content = json.loads(text)
        said = str(content["said"])
        is_asked = content["asked"] == key and text == as_bytes(key, content["files"], said)
        return said if is_asked and content["files"] == files_of(workdir, recorded) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, results.DamagedError):
        return None


def write(workdir: Path, recorded: Recorded | None, key: str, said: str) -> None:
    """Writes finished.json of a sweep that has come to its end; nothing where a pack is not what was written, or where
    there is more in the folder than its trials came to in one go."""
    if recorded is None or recorded.rungs or recorded.continued:
        return
    # Without it the sweep is as complete.
    with contextlib.suppress(OSError, results.DamagedError):
        if files := files_of(workdir, recorded):
            write_atomically(workdir / FILE, as_bytes(key, files, said))


def as_bytes(key: str, files: Mapping[str, str], said: str) -> bytes:
    """The content of finished.json, with a digest."""
    content = {"asked": key, "files": files, "said": said}
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps(content | {"sha256": digest}) + "\n").encode()


def files_of(workdir: Path, recorded: Recorded) -> dict[str, str] | None:
    """A digest of each file that is there, and one of all packs in their order; None in place of all where a start may
    have something to tidy up. DamagedError or OSError where a pack is not whole."""
    if any((workdir / name).exists() for name in FOLDERS):
        return None
    packs = hashlib.sha256()
    for pack in recorded.packs:
        content = (workdir / "packs" / f"{pack.name}.parquet").read_bytes()
        if not results.check_digest(content):
            raise results.DamagedError("it has no digest")
        packs.update(pack.name.encode() + hashlib.sha256(content).digest())
    return digests_of(workdir, FILES) | {"packs": packs.hexdigest()}


def digests_of(workdir: Path, files: Iterable[str]) -> dict[str, str]:
    """A digest of each of those files that is there, and of each picture."""
    paths = [*(workdir / name for name in files), *sorted((workdir / PICTURES).glob("[!.]*"))]
    return {
        path.relative_to(workdir).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.exists()
    }
