"""What a run was made by and on: versions of packages, the device, what else its bits depend on, the revision of this
code."""

import functools
import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from training import console
from training.config import Config

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "ml_collections", "tensorflow-datasets")
_ROOT = Path(__file__).parent.parent
_CODE = (".py", ".js", ".css", ".html")


def provenance(config: Config) -> dict[str, Any]:
    """The resolved config with what it was run by and on."""
    return {
        "config": config.to_dict(),
        "versions": versions(),
        "device": device(),
        "environment": environment(),
        "git_revision": git_revision(),
    }


def versions(more: Iterable[str] = ()) -> dict[str, str]:
    """The versions of Python and of the packages that a run's numbers depend on, and of more."""
    return {"python": sys.version.split()[0]} | {name: _version(name) for name in (*PACKAGES, *more)}


@functools.cache
def _version(package: str) -> str:
    """Looked for among what is installed, which takes a while, once a process."""
    return importlib.metadata.version(package)


@functools.cache
def code_digest(rooms: tuple[str, ...]) -> str:
    """A digest of this project's files in those of its folders, or of those files: what they do is the same where this
    is."""
    digest = hashlib.sha256()
    for room in rooms:
        found = [path for path in sorted((_ROOT / room).rglob("*")) if path.suffix in _CODE] or [_ROOT / room]
        for path in found:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def device() -> str:
    """The devices that JAX sees, as `1 x cpu (cpu)`."""
    first = jax.devices()[0]
    return f"{len(jax.devices())} x {first.platform} ({first.device_kind})"


def environment() -> dict[str, str]:
    """What the last bits of a run's numbers depend on besides: sums are split among the cores that there are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings: Any = jax.config
    return {
        "cores": str(cores),
        "jax_enable_x64": str(settings.jax_enable_x64),
        "jax_default_prng_impl": str(settings.jax_default_prng_impl),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "").strip(),
    }


def warn_of_other_conditions(begun: Mapping[str, Any], workdir: Path) -> None:
    """Says where the folder was begun under other conditions than these, since the last bits may then differ."""
    here = versions() | environment() | {"device": device()}
    there = {**_texts(begun.get("versions")), **_texts(begun.get("environment")), "device": begun.get("device")}
    differing = [
        f"{name} {there[name] or 'not set'}, now {now or 'not set'}"
        for name, now in here.items()
        if there.get(name) not in (None, now)
    ]
    if differing:
        console.warn(f"{workdir} was begun with {'; '.join(differing)}: the last bits may differ")


def _texts(recorded: object) -> dict[str, str]:
    """The texts by name in what was recorded, which an earlier version may have left out."""
    if not isinstance(recorded, Mapping):
        return {}
    return {str(name): value for name, value in recorded.items() if isinstance(value, str)}


def git_revision() -> str | None:
    """The commit that is checked out, with '-dirty' where files differ from it; None outside a git checkout."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
