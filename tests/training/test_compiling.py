"""Compiled programs that outlast their process."""

import os
import subprocess
import sys
from pathlib import Path

import jax

from training import compiling

ROOT = Path(__file__).parents[2]
COMMAND = """
import jax, jax.numpy as jnp
from jax import monitoring
from training.compiling import keep_programs
keep_programs()
found = []
monitoring.register_event_listener(lambda event, **_: found.append(event.endswith("/cache_hits")))
function = jax.jit(lambda x: jnp.sin(x @ x.T).sum())
print(function(jnp.ones((3, 3))), sum(found) > 0)
"""
DAMAGE = """
import pathlib
jax.clear_caches()
found.clear()
for path in pathlib.Path(jax.config.jax_compilation_cache_dir).iterdir():
    path.write_bytes(path.read_bytes()[:-7])
print(function(jnp.ones((3, 3))), sum(found) > 0)
"""


def in_new_process(folder, program=COMMAND, **more):
    """What the program printed, and the files below the folder."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = given | {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)} | more
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert not ended.stderr
    return ended.stdout.split(), sorted(path for path in Path(folder).rglob("*") if path.is_file())


def test_programs_are_found_again_and_damaged_ones_compiled_again(tmp_path):
    (value, was_found), kept = in_new_process(tmp_path)
    assert was_found == "False" and kept
    said, found = in_new_process(tmp_path, COMMAND + DAMAGE)
    assert said == [value, "True", value, "False"] and found == kept


def test_jax_settings_go_before(tmp_path):
    assert in_new_process(tmp_path, JAX_ENABLE_COMPILATION_CACHE="0")[1] == []


def test_nothing_is_kept_where_nothing_can_be_written(monkeypatch, tmp_path):
    (tmp_path / "plateau").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = getattr(jax.config, compiling.FOLDER)
    jax.config.update(compiling.FOLDER, None)
    try:
        compiling.keep_programs()
        assert getattr(jax.config, compiling.FOLDER) is None
    finally:
        jax.config.update(compiling.FOLDER, before)
    assert list(tmp_path.iterdir()) == [tmp_path / "plateau"]


def test_the_oldest_programs_go_first(tmp_path):
    for i in range(10):
        path = tmp_path / str(i)
        path.write_bytes(bytes(10))
        os.utime(path, (i, i))
    compiling.remove_oldest(tmp_path, 100)
    assert len(list(tmp_path.iterdir())) == 10
    compiling.remove_oldest(tmp_path, 99)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7", "8", "9"]


def test_a_file_that_vanishes_is_left_out(monkeypatch, tmp_path):
    """Another process has removed one between its listing and the question how large it is."""
    for i in range(4):
        path = tmp_path / str(i)
        path.write_bytes(bytes(10))
        os.utime(path, (i, i))
    stat = Path.stat

    def vanishing(path, **options):
        if path.name == "1":
            path.unlink(missing_ok=True)
        return stat(path, **options)

    with monkeypatch.context() as context:
        context.setattr(Path, "stat", vanishing)
        compiling.remove_oldest(tmp_path, 29)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3"]


def test_the_processor_is_asked_once(monkeypatch, tmp_path):
    """However often commands ask for programs to be kept."""
    read, asked = Path.read_text, []

    def counting(path, *given, **options):
        asked.append(str(path))
        return read(path, *given, **options)

    monkeypatch.setenv(compiling.LOG_LEVEL, "3")
    monkeypatch.setattr(Path, "read_text", counting)
    before = getattr(jax.config, compiling.FOLDER)
    jax.config.update(compiling.FOLDER, str(tmp_path))
    try:
        for _ in range(3):
            compiling.keep_programs()
    finally:
        jax.config.update(compiling.FOLDER, before)
    assert asked.count("/proc/cpuinfo") <= 1
