"""The flags of every command that takes a config, and how they are read: whatever is wrong with them, or with the
config file that they name, ends in one line. Flags may stand in files too, as absl's `--flagfile` has it."""

from datetime import datetime
from pathlib import Path
from typing import NoReturn

from absl import flags
from ml_collections import ConfigDict, config_flags

import input_pipeline
from nets.tables import near_match
from training import console
from training.config import GIVEN, field_table
from training.console import fail
from training.files import PlaceError, place

CONFIGS = Path(__file__).parent.parent / "configs"


def define_config_flags() -> None:
    """The flags of every command that takes a config."""
    words = "The run: a file of configs/, as FILE.py or FILE.py:VARIANT."
    try:
        config_flags.DEFINE_config_file("config", None, words)
    except (flags.Error, OSError, UnicodeError) as error:  # It looks for --config in flag files already.
        fail(f"--flagfile cannot be read: {error}")
    flags.DEFINE_string("workdir", None, "The run's folder; an interrupted run there goes on. [runs/CONFIG-TIME]")
    flags.DEFINE_string("data_dir", input_pipeline.DEFAULT_DATA_DIR, "Where TensorFlow Datasets keeps prepared data.")


def given_config() -> str:
    """What --config was given, FILE.py or FILE.py:VARIANT; '' where it was not. Flags are parsed before."""
    return config_flags.get_config_filename(flags.FLAGS["config"]) if flags.FLAGS["config"].present else ""


def default_workdir() -> str:
    """`runs/<config>-<time>`, with the variant of a config in its name, and microseconds: runs may start together."""
    file, _, variant = given_config().partition(":")
    # A variant may hold anything, also a slash.
    name = "-".join(filter(None, (Path(file).stem, variant.replace("/", "-").replace("\0", ""))))
    return str(Path("runs") / f"{name[:150]}-{datetime.now():%Y%m%d-%H%M%S-%f}")


def folder_of(name: str = "workdir") -> Path | None:
    """The folder that a flag names, `~` expanded, None where it is not given; ends in one line where it is no folder of
    this machine. Of every command, also of those without a config."""
    given = flags.FLAGS[name].value
    try:
        return None if given is None else place(given)
    except PlaceError as error:
        fail(f"--{name}={error}")


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the command line; whatever is wrong with it, or with the config file that it names, ends in one line.
    `--help` and `--helpfull` print the command's flags and the config's fields."""
    try:
        expanded = [*arguments[:1], *flags.FLAGS.read_flags_from_files(arguments[1:], force_gnu=False)]
    except (flags.Error, OSError, UnicodeError) as error:
        fail(f"--flagfile cannot be read: {error}")
    console.print_help(expanded, ["Fields of the config, as --config.FIELD=VALUE:", *map(_field_lines, field_table())])
    for argument in expanded[1:]:
        flag, dot, name = argument.partition("=")[0].partition(".")
        if flag in ("--config", "-config") and dot and name not in GIVEN:
            fail(f"unknown config field {name!r}{near_match(name, GIVEN)}; accepted: {', '.join(GIVEN)}")
    files = [f"configs/{path.name}" for path in sorted(CONFIGS.glob("[!_]*.py"))]
    given = _config_among(expanded)
    file = given.partition(":")[0]
    if given and not _is_file(file):
        fail(f"no config file {file!r}{near_match(file, files)}; accepted: {', '.join(files)}, or a file of your own")
    rest = _parsed(arguments, given)
    config = _loaded(given)
    if given and not isinstance(config, ConfigDict):
        fail(f"the config {given} cannot be used: its get_config() gives {config!r}; accepted: a ConfigDict")
    if config is None and not getattr(flags.FLAGS, "evaluate_only", False):
        fail(f"--config is missing; accepted: {', '.join(files)}, or a file of your own")
    if len(rest) > 1:
        fail(f"unexpected argument {rest[1]!r}; accepted: flags alone, as --help lists them")
    return rest


def _config_among(arguments: list[str]) -> str:
    """What --config is given among arguments that are not parsed yet: a file that is not there should be named before
    absl complains of the fields that it lacks."""
    given = ""
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in ("--config", "-config"):
            given = value if equals else "".join(arguments[i + 1 : i + 2])
    return given


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # Too long a name, or a zero byte.
        return False


def _parsed(arguments: list[str], given: str) -> list[str]:
    """The arguments that are no flags. Parsing runs the config file, which may raise anything, or end the program."""
    try:
        return flags.FLAGS(arguments)
    except KeyboardInterrupt:
        raise
    except flags.Error as error:
        cause = console.cause_of(error)
        if isinstance(cause, flags.Error):
            fail(cause)
        _fail_to_load(given, cause)
    except BaseException as error:
        if not given:
            raise
        _fail_to_load(given, error)


def _loaded(given: str) -> object:
    try:
        return flags.FLAGS.config
    except Exception as error:  # ml_collections keeps what the file raised until now.
        _fail_to_load(given, error)


def _fail_to_load(given: str, error: BaseException) -> NoReturn:
    said = f"it ends the program, {error!r}" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    fail(f"the config {given} cannot be loaded: {said}")


def _field_lines(row: tuple[str, str, str, str, str, str]) -> str:
    name, kind, default, unit, accepted, words = row
    measured = f"{kind}, {unit}" if unit else kind
    return console.wrapped(f"  {name}", f"{words} ({measured}) [{default}]; accepted: {accepted}")
