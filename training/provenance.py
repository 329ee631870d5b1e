"""What a run was made by and on: versions of packages, the device, the revision of this code."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from training.config import Config

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint", "ml_collections", "tensorflow-datasets")


def provenance(config: Config) -> dict[str, Any]:
    """The resolved config with what it was run by and on."""
    device = jax.devices()[0]
    return {
        "config": config.to_dict(),
        "versions": versions(),
        "device": f"{len(jax.devices())} x {device.platform} ({device.device_kind})",
        "git_revision": git_revision(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a run's numbers depend on."""
    return {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in PACKAGES}


def warn_of_other_versions(begun: Mapping[str, str], workdir: Path) -> None:
    """Says where the folder was begun under other packages, since the bits may then differ."""
    differing = [f"{name} {begun[name]}, now {now}" for name, now in versions().items() if begun.get(name, now) != now]
    if differing:
        print(f"warning: {workdir} was begun with {'; '.join(differing)}", file=sys.stderr)


def git_revision() -> str | None:
    """The commit that is checked out, with '-dirty' where files differ from it; None outside a git checkout."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent.parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None
