"""How much of a sweep's time on Ray is the driver's, and how long a sweep takes on so many nodes. Part of
`experiments.benchmark --scale`.

The nodes are those of a cluster on this machine, with one CPU each. A sweep of a few packs on one node tells what each
part of the time is, and these tell how long a larger sweep takes on 1, 2 and 4 nodes, which is measured as well.
"""

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

import input_pipeline
from configs import shallow
from experiments.benchmarks import commands
from experiments.benchmarks.commands import Ran
from experiments.benchmarks.tables import Line, line
from experiments.engine import lanes, plan, ray_executor, results, space

NODES = (1, 2, 4)
STRUCTURES = ("sigmoid", "tanh")
# Of a pack, on the one core of a node.
LANES = 8
# Packs of each structure in the sweep that tells the parts of the time.
FEW = 3
# How far off the prediction may be, and how many times faster two workers have to be than one.
MOST_OFF, SPEED_UP = 0.15, 1.8


# ---------------------------------------------------------------------------------------------------------------------
# The driver.


def do_nothing(*_: Any) -> tuple[pa.Table, ray_executor.States]:
    """A pack that nobody trains: no rows, in the columns of a sweep."""
    return results.LEADING.empty_table(), {}


def driver_milliseconds(tasks: int) -> float:
    """Milliseconds of processor time, of all threads of the driver, that a pack without work takes on Ray: handing out
    a pack of one trial, by itself or with others, and taking what comes back."""
    base = shallow.get_config()
    base.dataset = "synthetic"
    trials = space.make_trials(base, None, {"learning_rate": np.geomspace(1e-3, 10, tasks).tolist()})
    datasets = {lanes.data_key(next(iter(trials.values()))): input_pipeline.load("synthetic")}
    with ray_executor.connected(None) as ray:
        packs = plan.make_packs(trials, ray_executor.ray_machines(ray, 1, 0.0), lambda _: 1, most_lanes=1)
        ended = ray_executor.run_on_ray(ray, packs, trials, datasets, lambda _: None, 1, 0.0, work=do_nothing)
        next(ended)  # The workers have started.
        start = time.process_time()
        count = sum(1 for _ in tqdm(ended, desc="tasks", total=tasks, initial=1, leave=False, disable=None))
        return 1e3 * (time.process_time() - start) / count


# ---------------------------------------------------------------------------------------------------------------------
# The model of a sweep's time.


class Parts(NamedTuple):
    """Of what the seconds of a sweep are made: the command around its packs; a worker, until it can compile; a
    compilation of a structure; a pack; of the driver a pack; the results of 1,000 trials."""

    start: float
    worker: float
    compilation: float
    pack: float
    driver: float
    writing: float


def parts_of(ran: Ran, trials: int, driver: float, writing: float) -> Parts:
    """The parts of the time, from a sweep of as many packs of two structures on one worker, and what is known already
    of the driver and of writing, in seconds."""
    handed, packs, half = ran.until(" to run"), ran.packs, len(ran.packs) // 2
    between = [later - earlier for earlier, later in itertools.pairwise(packs)]
    # Between its halves the other structure is compiled.
    pack = statistics.median(between[: half - 1] + between[half:])
    compilation = max(between[half - 1] - pack, 0.0)
    around = handed + ran.seconds - packs[-1] - writing * trials / 1e3
    return Parts(max(around, 0.0), max(packs[0] - handed - compilation - pack, 0.0), compilation, pack, driver, writing)


def predicted_seconds(parts: Parts, structures: int, packs: int, trials: int, workers: int, cores: int) -> float:
    """How long a sweep takes on so many workers of one machine. A compilation takes all of its cores, so that those of
    its workers come one after the other; where there are fewer cores than workers, these share them in all else."""
    turns = math.ceil(packs / workers) * parts.pack
    of_worker = (parts.worker + turns) * workers / min(workers, cores)
    compiling = workers * structures * parts.compilation
    return parts.start + compiling + of_worker + packs * parts.driver + trials / 1e3 * parts.writing


# ---------------------------------------------------------------------------------------------------------------------
# Nodes.


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of a cluster of so many nodes of one CPU on this machine. Their workers compile whatever they run,
    as those of other machines do."""
    from ray.cluster_utils import Cluster  # pyright: ignore

    with ray_executor.silent_stderr(), ray_executor.signal_handlers_kept():
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        with ray_executor.silent_stderr(), ray_executor.signal_handlers_kept():
            for _ in range(nodes):
                found.add_node(num_cpus=1, env_vars={"JAX_ENABLE_COMPILATION_CACHE": "0"})
            found.wait_for_nodes()
        yield str(found.address)
    finally:
        with ray_executor.silent_stderr():
            found.shutdown()


def on_nodes(nodes: int, packs: int, examples: int, folder: Path, structures: Sequence[str] = STRUCTURES) -> Ran:
    """The sweep of so many packs of each structure as a command, on a cluster of so many nodes."""
    axes = {"activation": ",".join(structures), "learning_rate": f"log:0.01:1:{LANES}"}
    arguments = [f"--axis={name}={values}" for name, values in axes.items()]
    arguments += [f"--seeds={packs}", f"--lanes={LANES}", "--config.epochs=1", f"--config.train_examples={examples}"]
    with cluster(nodes) as address:
        where = ["--executor=ray", f"--address={address}", "--notensorboard", f"--workdir={folder}"]
        command = ["-m", "experiments.sweep", "--config=configs/shallow.py", *arguments, *where]
        return commands.timed(command, f"{nodes} nodes")


def node_lines(packs: int, examples: int, driver: float, writing: float, folder: Path) -> list[Line]:
    """The parts of the time; on so many nodes the time of a sweep, as predicted and as measured, and how much shorter
    two workers make one of one structure; seconds of the driver a pack and of the results of 1,000 trials are known."""
    few, cores = min(FEW, packs), lanes.available_cores()
    parts = parts_of(on_nodes(1, few, examples, folder / "few"), len(STRUCTURES) * few * LANES, driver, writing)
    lines = [
        line(f"part of a sweep's seconds on Ray: {name}", [value], None) for name, value in parts._asdict().items()
    ]
    total = len(STRUCTURES) * packs
    for nodes in NODES:
        ran = on_nodes(nodes, packs, examples, folder / f"nodes_{nodes}")
        model = predicted_seconds(parts, len(STRUCTURES), total, total * LANES, nodes, cores)
        of = f"{total} packs on {nodes} {'node' if nodes == 1 else 'nodes'} of one CPU, {cores} cores"
        lines += [
            line(f"{of}: seconds", [ran.seconds], None),
            line(f"{of}: seconds as predicted", [model], None),
            line(f"{of}: how far off that is, share", [abs(model / ran.seconds - 1)], MOST_OFF),
        ]
    return [*lines, speed_up_line(total, examples, folder)]


def speed_up_line(packs: int, examples: int, folder: Path) -> Line:
    """How much shorter two workers make a sweep of one structure after its first pack, for which it is compiled."""
    after: dict[int, float] = {}
    for nodes in (1, 2):
        ran = on_nodes(nodes, packs, examples, folder / f"one_structure_{nodes}", STRUCTURES[:1])
        after[nodes] = ran.packs[-1] - ran.packs[0]
    words = f"{packs} packs of one structure: time after the first pack, on 2 nodes of one CPU / on 1"
    return line(words, [after[2] / after[1]], 1 / SPEED_UP)


def figures(tasks: int, packs: int, examples: int, writing: float, folder: Path) -> list[Line]:
    """The lines of the driver and of the nodes."""
    driver = driver_milliseconds(tasks)
    words = f"{tasks:,} packs without work on Ray: milliseconds of the driver a pack"
    return [line(words, [driver], 1.0), *node_lines(packs, examples, driver / 1e3, writing, folder)]
