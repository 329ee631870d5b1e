"""Controls made from the fields of a config: with their words, units, defaults and accepted values; and configs made of
what they are set to."""

import re
from typing import Any

from experiments.classroom.view import OTHER, Control, State, StateError, first_and_second
from training import models
from training.config import FIELDS, Config, ConfigError, as_config
from training.fields import Field

# What a page computes for one of its visitors.
MOST_PARAMETERS, MOST_LAYERS, MOST_BATCH = 2_000_000, 8, 60_000


def control_of(name: str, label: str = "", second: bool = True, more: bool = False) -> Control:
    """The control of a field: a choice where it takes words of a table, a switch, or a field to type in."""
    field = FIELDS[name]
    return Control(
        name,
        label or name.replace("_", " "),
        default_of(field),
        f"{field.spec.words}; accepted: {field.spec.accepted}",
        choices=choices_of(field),
        unit=field.spec.unit,
        second=second,
        more=more,
    )


def default_of(field: Field) -> Any:
    """The default as a control has it: sizes of layers as one word."""
    return "-".join(map(str, field.default)) if field.type is tuple else field.default


def choices_of(field: Field) -> tuple[str, ...]:
    """The words that the field takes; none for what is no choice. Files of one's own are not for visitors."""
    if field.type is not str:
        return ()
    words = [word.strip() for word in field.spec.accepted.split(",")]
    return tuple(word for word in words if word.isidentifier() and field.spec.test(word))


def config_of(settings: State, **others: Any) -> Config:
    """The config of settings, of which those are taken that are fields; ConfigError."""
    given = {name: value for name, value in settings.items() if name in FIELDS} | others
    if "hidden" in given and given["hidden"] in ("", "none", "()"):
        given["hidden"] = ()
    return as_config(Config().to_dict() | given)


def check(state: State) -> None:
    """StateError, with the setting's name where it is known, for what is no config or more than a page computes."""
    for number, settings in enumerate(first_and_second(state)):
        prefix = OTHER if number else ""
        try:
            config = config_of(settings)
            _check_size(config)
        except ConfigError as error:
            found = re.search(r"config\.(\w+)", str(error))
            name = prefix + found[1] if found and f"{prefix}{found[1]}" in state else ""
            plain = found[1] if found and found[1] in state else next(iter(state))
            raise StateError(name or plain, str(error).replace("config.", "")) from error


def _check_size(config: Config) -> None:
    if len(config.hidden) > MOST_LAYERS:
        raise ConfigError(
            f"config.hidden has {len(config.hidden)} layers; accepted on this page: at most {MOST_LAYERS}"
        )
    if (size := models.size_of(config).parameters) > MOST_PARAMETERS:
        raise ConfigError(
            f"config.hidden makes {size:,} parameters; accepted on this page: at most {MOST_PARAMETERS:,}"
        )
    if config.batch_size > MOST_BATCH:
        raise ConfigError(f"config.batch_size={config.batch_size}; accepted on this page: at most {MOST_BATCH}")
