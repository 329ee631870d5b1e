"""For every test: no silent broadcasting between ranks (and, in pyproject.toml, every warning an error)."""

import ctypes
import gc
import os
import signal
from pathlib import Path

# Before JAX starts, and for the processes that tests start: tests compile much and run little. Each program in one
# part: the workers have all cores already, and more parts are more work.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)

import jax
import pytest
from commands import in_this_process

import train
from configs import shallow
from training.compiling import keep_programs

MOST_BYTES = 2 * 2**30  # Of a worker, beyond which it drops the programs that it has compiled.

jax.config.update("jax_numpy_rank_promotion", "raise")
# Lanes are spread over devices: here as on a machine of two cores, however many there are.
jax.config.update("jax_num_cpu_devices", 2)


def pytest_configure(config):
    """The workers, the processes that tests start and the next run of the tests share what they compile; garbage, of
    which tracing leaves little, is looked for seldom."""
    gc.set_threshold(100_000, 50, 100)
    if hasattr(config, "workerinput"):
        return
    keep_programs("tests")
    for name in ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"):
        if (value := getattr(jax.config, name)) is not None:
            os.environ[name.upper()] = str(value)


@pytest.fixture(autouse=True, scope="module")
def nothing_old_is_garbage():
    """What earlier modules have left, mostly compiled programs, is not looked through again and again; where it has
    become much, it is dropped. Those that are wanted again are read from the disk."""
    gc.collect()  # Coroutines and files that were left open are complained of here.
    if bytes_held() > MOST_BYTES:
        jax.clear_caches()
        gc.unfreeze()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
    gc.freeze()


def bytes_held() -> int:
    """The memory of this process, where Linux says it; 0 elsewhere."""
    page = Path("/proc/self/statm")
    return int(page.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if page.exists() else 0


@pytest.fixture
def nothing_is_left():
    """What a test leaves behind is collected, and complained of, at its own end."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium, for all tests of pages."""
    from chrome import chromium

    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def optimized(monkeypatch):
    """Programs of runs are compiled as they are outside of tests: their options are not left to the environment, which
    XLA reads once, as it starts, for all else."""
    jax.devices()
    monkeypatch.delenv("XLA_FLAGS")


@pytest.fixture
def signals_by_default():
    """Signals as a shell leaves them, however the tests were started: with `nohup` and `&` some are ignored, which a
    process inherits."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def synthetic_config():
    """The lecture's shallow net on the tiny synthetic data set, for three epochs."""
    config = shallow.get_config()
    config.dataset = "synthetic"
    config.epochs = 3
    config.batch_size = 100
    return config


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder, with flags of its own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with in_this_process(train, monkeypatch) as run:
        yield run
