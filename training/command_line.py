"""The flags of every command that takes a config, and how they are read: whatever is wrong with them, or with the
config file that they name, ends in one line."""

from datetime import datetime
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

import input_pipeline
from nets.tables import near_match
from training import console
from training.config import FIELDS
from training.console import fail

CONFIGS = Path(__file__).parent.parent / "configs"


def define_config_flags() -> None:
    """The flags of every command that takes a config."""
    config_flags.DEFINE_config_file("config", None, "The run: a file of configs/, as FILE.py or FILE.py:VARIANT.")
    flags.DEFINE_string("workdir", None, "The run's folder; an interrupted run there goes on. [runs/CONFIG-TIME]")
    flags.DEFINE_string("data_dir", input_pipeline.DEFAULT_DATA_DIR, "Where TensorFlow Datasets keeps prepared data.")


def given_config(arguments: list[str]) -> str:
    """What --config was given on the command line, '' where it was not."""
    given = ""
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            given = value if equals else "".join(arguments[i + 1 : i + 2])
    return given


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line; whatever is wrong with it, or with the config file that it names, ends in one line."""
    for argument in arguments:
        flag, dot, name = argument.partition("=")[0].partition(".")
        if flag in ("--config", "-config") and dot and name not in FIELDS:
            fail(f"unknown config field {name!r}{near_match(name, FIELDS)}; accepted: {', '.join(FIELDS)}")
    given = given_config(arguments)
    files = [f"configs/{path.name}" for path in sorted(CONFIGS.glob("[!_]*.py"))]
    file = given.partition(":")[0]
    if given and not Path(file).is_file():
        fail(f"no config file {file!r}{near_match(file, files)}; accepted: {', '.join(files)}, or a file of your own")
    try:
        rest = console.parse_flags(arguments)
        config = flags.FLAGS.config
    except Exception as error:  # A config file may raise anything.
        fail(f"the config {given} cannot be loaded: {type(error).__name__}: {error}")
    if given and not isinstance(config, ConfigDict):
        fail(f"the config {given} cannot be used: its get_config() gives {config!r}; accepted: a ConfigDict")
    if config is None and not getattr(flags.FLAGS, "evaluate_only", False):
        fail(f"--config is missing; accepted: {', '.join(files)}, or a file of your own")
    return rest


def default_workdir(arguments: list[str]) -> str:
    """`runs/<config>-<time>`, with the variant of a config in its name, and microseconds: runs may start together."""
    file, _, variant = given_config(arguments).partition(":")
    name = "-".join(filter(None, (Path(file).stem, variant)))
    return str(Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S-%f}")
