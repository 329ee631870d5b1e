"""The machines of a Ray cluster as those who run the packs of a sweep."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import jax
import pyarrow as pa

import input_pipeline
import train
from experiments.engine import bundles, lanes, plan
from experiments.engine.executors import Begin, Begun, Datasets, Keep, Runner, run_begun
from experiments.engine.space import Trials
from training import console
from training.compiling import check_sums, keep_programs

ROOT = Path(__file__).parent.parent.parent
CONNECT_SECONDS, WAIT_SECONDS = 5.0, 0.5
LEAST_GPU_MEMORY = 8e9
# A task is tried again when its node or its process dies, as often as that.
RETRIES = 10
ACCEPTED = "accepted: HOST:PORT of a running `ray start --head`, auto, or no --address for this machine alone"
# What a worker needs of this checkout; its data set and its trials come through the object store.
SHIPPED = ("configs", "experiments", "input_pipeline.py", "nets", "readers", "train.py", "training")
# In the order of a .gitignore, whose last line that fits decides: `/.` is the checkout itself.
NOT_SHIPPED = ["/*", "!/.", *(f"!/{name}" for name in SHIPPED), "**/__pycache__"]
# Ray of its own accord listens on all addresses of a machine; told that clusters of several are not wanted, on the
# loopback alone. It says so of Windows and macOS, but heeds it everywhere.
ON_THE_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Ray starts a worker a core with a program's first word, none of which has the environment of a task and is ever used.
NO_SPARE_WORKERS = {"RAY_prestart_worker_first_driver": "0"}


# What a worker does with a pack, given its trials, their data set, how many CPUs it has, how far the trials have come
# and whether their states are kept: the rows, and the states.
States: TypeAlias = dict[str, train.TrainState]
Work: TypeAlias = Callable[[plan.Pack, Trials, Any, int, Begun | None, bool], tuple[pa.Table, States]]


class ExecutorError(Exception):
    """A cluster that cannot be used as asked, in one line."""


@contextlib.contextmanager
def silent_stderr() -> Generator[None]:
    """Nothing is written to stderr: Ray's core says there, past Python, what it raises as well."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def of_this_machine_alone() -> Generator[None]:
    """A cluster that is started within the block is reached from this machine alone, and with a token that is known to
    its own processes. Where the environment says RAY_AUTH_MODE itself, that is left as it is."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    variables = ON_THE_LOOPBACK | NO_SPARE_WORKERS | ({} if "RAY_AUTH_MODE" in os.environ else token)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def signal_handlers_kept() -> Generator[None]:
    """Whatever handlers of signals a library sets in the block are taken back: Ray's would end the program at once."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in numbers} if in_main_thread else {}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def import_ray() -> ModuleType:
    """The ray module; ExecutorError where it is not installed."""
    try:
        import ray  # pyright: ignore
    except ImportError as error:
        raise ExecutorError("--executor=ray needs Ray; accepted: `pip install ray`, or --executor=local") from error
    return ray


def check_address(address: str) -> None:
    """ExecutorError where nothing answers at HOST:PORT: Ray itself goes on trying for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        raise ExecutorError(f"--address={address} is no address; {ACCEPTED}")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise ExecutorError(f"no Ray cluster answers at --address={address} ({error}); {ACCEPTED}") from error


@contextlib.contextmanager
def connected(address: str | None) -> Generator[Any]:
    """The ray module, for a while connected to the cluster at HOST:PORT, 'auto' for the one that this machine belongs
    to, or None for one of this machine alone; ExecutorError where that fails."""
    with contextlib.nullcontext() if address else of_this_machine_alone():
        ray = import_ray()  # It reads the environment.
        if address and address != "auto":
            check_address(address)
        try:
            with silent_stderr(), signal_handlers_kept():
                ray.init(
                    address=address or "local",
                    runtime_env={"working_dir": str(ROOT), "excludes": NOT_SHIPPED},
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:  # Ray raises many kinds.
            reason = " ".join(str(error).split())[:200]
            raise ExecutorError(
                f"the Ray cluster at --address={address} cannot be used: {reason}; {ACCEPTED}; a cluster that was "
                f"started with a token is reached with RAY_AUTH_MODE=token in the environment"
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


def cluster_slots(ray: Any, cpus: int, gpus: float) -> int:
    """How many tasks of that size the cluster runs at a time; ExecutorError where no node has room for one."""

    def on_node(have: Mapping[str, float]) -> int:
        slots = [have.get("CPU", 0) // cpus] if cpus else []
        # What is left over of a GPU cannot be joined with that of another.
        slots += [have.get("GPU", 0) // gpus if gpus >= 1 else have.get("GPU", 0) * (1 // gpus)] if gpus else []
        return int(min(slots, default=0))

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not (slots := sum(map(on_node, nodes))):
        sizes = ", ".join(f"{have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs" for have in nodes)
        raise ExecutorError(
            f"no task of --cpus_per_task={cpus} and --gpus_per_task={gpus:g} fits a node of the Ray cluster; they have "
            f"{sizes}"
        )
    return slots


def ray_machines(ray: Any, cpus: int, gpus: float) -> plan.Machines:
    """The cluster as a plan sees it. A GPU's memory is not known before a task is there: little is assumed."""
    devices = max(1, int(gpus)) if gpus else cpus
    slots = cluster_slots(ray, cpus, gpus) * devices
    of_nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= cpus]
    memory = min(have.get("memory", plan.host_memory()) / have["CPU"] for have in of_nodes)
    return plan.Machines(devices, slots, "gpu" if gpus else "cpu", LEAST_GPU_MEMORY * min(gpus, 1.0) or memory)


def run_on_ray(
    ray: Any,
    packs: Sequence[plan.Pack],
    trials: Trials,
    datasets: Datasets,
    advance: Callable[[int], Any],
    cpus: int,
    gpus: float,
    begin: Begin | None = None,
    keep: Keep | None = None,
    work: Work | None = None,
) -> Iterator[tuple[plan.Pack, pa.Table]]:
    """The packs as tasks of so many CPUs and GPUs; a pack whose node or process dies is started again elsewhere. `work`
    is what is done with each, by default `run_task`; it has to be a function that workers can import."""
    # Ray lets a task without a GPU see all of them, and JAX takes most of a GPU's memory where it may.
    variables = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if gpus else {"JAX_PLATFORMS": "cpu"}
    # XLA makes a thread a core of the machine unless this says how many: beside one another, workers would share all.
    variables |= {"NPROC": str(max(1, cpus))}
    options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES, "runtime_env": {"env_vars": variables}}
    # The events of tasks are for a dashboard. A bundle of several that is lost with its worker is not tried again.
    task = ray.remote(**options, enable_task_events=False)(run_bundle)
    of_several = ray.remote(**options | {"max_retries": 0}, enable_task_events=False)(run_bundle)
    stored = {key: ray.put(dataset) for key, dataset in datasets.items()}
    first_of = lambda pack: trials[pack.rows[0][0]]  # noqa: E731
    waiting, size = list(reversed(packs)), bundles.Size()
    alone: set[str] = set()  # The names of packs whose bundle was lost with its worker: each is tried by itself.
    kind_of = lambda pack: (lanes.structure(first_of(pack)), pack.name in alone)  # noqa: E731
    running: dict[Any, list[plan.Pack]] = {}
    most = 2 * cluster_slots(ray, cpus, gpus)  # As many again wait for a free place.
    while waiting or running:
        while waiting and len(running) < most:
            # States, of which a pack may have many, travel alone.
            is_alone = begin or keep or waiting[-1].name in alone
            together = 1 if is_alone else size.of_next(len(waiting), most)
            bundle = bundles.next_bundle(waiting, together, kind_of)
            parcels = [
                (work or run_task, pack, {name: trials[name] for name in pack.trials}, cpus, keep is not None)
                for pack in bundle
            ]
            begun, dataset = begin(bundle[0]) if begin else None, stored[lanes.data_key(first_of(bundle[0]))]
            asked = (of_several if len(bundle) > 1 else task).remote(bundles.packed(parcels), dataset, begun)
            running[asked] = bundle
        # What has come back is taken by the caller before Ctrl-C is heard.
        with console.held() as signals:
            for bundle, answer in ended(ray, running, signals):
                if answer is None:
                    alone.update(pack.name for pack in bundle)
                    waiting += reversed(bundle)
                    continue
                size.learn(len(bundle), answer)
                waiting += reversed(bundle[len(answer.states) :])  # What was given back.
                for pack, table, states in zip(bundle, bundles.tables_of(answer), answer.states, strict=False):
                    advance(pack.steps(trials))
                    if keep:
                        keep(pack, table, states)
                    yield pack, table


def ended(
    ray: Any, running: dict[Any, list[plan.Pack]], signals: console.Held
) -> list[tuple[list[plan.Pack], bundles.Answer | None]]:
    """Takes those of the tasks that have ended, one or more, in their order, with what has come back, None of several
    packs that were lost with their worker, out of those that run; ExecutorError where the first of them has failed. The
    signals are held, and heard between waits: Ray would make Ctrl-C of every one."""
    found: list[tuple[list[plan.Pack], bundles.Answer | None]] = []
    while True:
        tasks = list(running)
        first, _ = ray.wait(tasks, num_returns=1, timeout=WAIT_SECONDS)
        done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0) if first else ([], [])
        for task in done:
            bundle = running[task]
            try:
                found.append((bundle, ray.get(task)))
            except ray.exceptions.RayError as error:
                # What a task raises itself is of its first pack.
                is_lost = len(bundle) > 1 and not isinstance(error, ray.exceptions.RayTaskError)
                if is_lost:
                    found.append((bundle, None))
                elif found:  # Those before it are kept first.
                    break
                else:
                    reason = " ".join(str(error).split())[-300:]
                    raise ExecutorError(f"pack {bundle[0].name} failed on the Ray cluster: {reason}") from error
            del running[task]
        if found:
            return found
        signals.deliver()


def run_bundle(bundle: bytes, dataset: Any, begun: Begun | None) -> bundles.Answer:
    """What a Ray worker is asked for: the work in each parcel of the bundle."""

    def work(parcel: Any) -> tuple[pa.Table, States]:
        work, pack, trials, cpus, is_kept = parcel
        return work(pack, trials, dataset, cpus, begun, is_kept)

    return bundles.worked(bundle, work)


_runner = Runner()  # A worker process keeps its compiled programs from task to task.


def run_task(
    pack: plan.Pack, trials: Trials, dataset: Any, cpus: int, begun: Begun | None, is_kept: bool
) -> tuple[pa.Table, States]:
    """The work of a sweep: one pack, on the devices that the task has been given; `run_begun`'s answer."""
    with contextlib.suppress(RuntimeError):  # JAX has started in an earlier task.
        jax.config.update("jax_num_cpu_devices", max(1, cpus))
    keep_programs()
    check_sums()  # Its jaxlib and its processor are not those of the machine that asks.
    return run_begun(_runner, pack, trials, input_pipeline.Dataset(*dataset), lambda _: None, begun, is_kept)
