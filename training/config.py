"""The config of a run: one frozen dataclass, from which all that is said of its fields elsewhere is read off.

A config file returns a ConfigDict and flags override it; `as_config` makes the dataclass of it at the door, checked.
Validation, axes of sweeps, lanes, columns of results, the identity of a run or trial and the documentation come from
`FIELDS`. A field that is added later carries `later=True` and a default that does what was done before, so that runs
and sweeps of earlier versions stay readable and go on.
"""

import copy
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

import input_pipeline
import nets
from nets.tables import near_match
from training import optimizers, own, probes, stopping
from training.console import shown
from training.fields import MOST_WHOLE, Field, are_sizes, choice, field_of, is_one_of, of_dataclass, whole

# Numbers are used as float32, in which larger ones are infinite and smaller ones zero.
FLOAT32_LEAST, FLOAT32_MOST = 1.2e-38, 3.4e38
MLP, OWN = "mlp", "FILE.py:NAME"
# The fields that may name a file of one's own.
NAMING = ("dataset", "model", "activation", "cost")
# Every layer is compiled by itself, in every program: more take hours before the first step.
MOST_LAYERS = 256


class ConfigError(ValueError):
    """A config that asks for something impossible, in one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A run, in the words that one would say it in. The defaults are the lecture's shallow net."""

    dataset: str = field_of(
        "mnist",
        input_pipeline.is_name,
        input_pipeline.ACCEPTED,
        "the data set; `python input_pipeline.py --describe=NAME` says what is in it",
        of_data=True,
    )
    train_examples: int = whole(
        0, 0, "how many of the training set, from its start; 0: all", unit="examples", of_data=True
    )
    validation: str = field_of(
        "test",
        lambda v: v == "test" or (v.isdecimal() and len(v) < 11 and int(v) > 0),
        "'test' or a positive number",
        "what is validated on: the test set, or so many examples held out from the end of the training set",
        unit="examples",
        of_data=True,
    )
    inputs: int = whole(784, 1, "numbers of an example", unit="pixels")
    classes: int = whole(10, 1, "output neurons: one a class, or one a target of a regression")
    model: str = field_of(
        MLP,
        lambda name: name == MLP or own.is_reference(name),
        f"{MLP}, or {OWN}: a Flax module, a pair of functions init and apply, or a function that gives one of them",
        "the network",
        later=True,
    )
    input_shape: tuple[int, ...] = field_of(
        (),
        are_sizes,
        "positive whole numbers, such as 28,28,1, whose product is inputs; () for flat examples",
        "how a model of one's own takes an example",
        later=True,
        on_axis="positive whole numbers, joined by -, as 28-28-1",
    )
    hidden: tuple[int, ...] = field_of(
        (64,),
        are_sizes,
        "positive whole numbers below 2^31, one a layer, such as 64 or 64,64; () for none",
        "units of each hidden layer",
        unit="neurons",
        on_axis="positive whole numbers below 2^31, layers joined by -, as 64-64",
    )
    activation: str = field_of(
        "sigmoid",
        lambda names: all(is_one_of(name, nets.activations.ACTIVATIONS) for name in names.split(",")),
        f"{', '.join(nets.activations.ACTIVATIONS)}, {OWN}, or one a layer, such as tanh,relu",
        "what a hidden neuron computes",
        on_axis=f"{', '.join(nets.activations.ACTIVATIONS)}, those of layers joined by -, as tanh-relu, or {OWN} alone",
    )
    output: str = choice("softmax", nets.costs.OUTPUTS, "what the output neurons compute")
    kernel_init: str = choice("glorot_uniform", nets.mlp.KERNEL_INITS, "how kernels are drawn")
    bias_init: str = choice("zeros", nets.mlp.BIAS_INITS, "how biases are drawn")
    init_scale: float = field_of(
        1.0, lambda x: 0 <= x < FLOAT32_MOST, "a finite number from 0", "factor on every initial kernel", numeric=True
    )
    batch_norm: bool = field_of(
        False, lambda _: True, "True or False", "batch normalization after each hidden activation"
    )
    dropout: float = field_of(
        0.0,
        lambda x: 0 <= x < 1,
        "a rate in [0, 1)",
        "share of the last hidden outputs that training drops",
        unit="rate",
    )
    cost: str = field_of(
        "quadratic",
        lambda name: is_one_of(name, nets.costs.COSTS),
        f"{', '.join(nets.costs.COSTS)}, or {OWN}",
        "quadratic: mean over outputs of (y - a)^2; cross_entropy: nats",
    )
    optimizer: str = choice("sgd", optimizers.OPTIMIZERS, "how a step descends")
    learning_rate: float = field_of(
        0.01,
        lambda x: FLOAT32_LEAST < x < FLOAT32_MOST,
        "a finite number above 0",
        "step along the gradient of a batch's mean cost",
        unit="per step",
        numeric=True,
    )
    momentum: float = field_of(
        0.0,
        lambda x: 0 <= x < 1,
        "a number in [0, 1)",
        "share of its velocity that sgd keeps",
        numeric=True,
        optional=True,
    )
    l2: float = field_of(
        0.0,
        lambda x: 0 <= x < FLOAT32_MOST,
        "a finite number from 0",
        "adds l2/2 sum w^2 over the kernels to the cost that is descended",
        numeric=True,
    )
    batch_size: int = whole(128, 1, "examples a step; as many as there are: plain gradient descent", unit="examples")
    epochs: int = whole(200, 1, "passes over the training set", unit="epochs", not_compiled=True)
    stop_at: str = field_of(
        "",
        stopping.is_condition,
        f"{stopping.ACCEPTED}; or nothing",
        "what ends the run before its last epoch",
        later=True,
        not_compiled=True,
    )
    patience: int = whole(
        0,
        0,
        "how many epochs in a row may bring no higher val_accuracy (of a regression no lower val_loss) before the run "
        "ends; 0: any number",
        unit="epochs",
        later=True,
        not_compiled=True,
    )
    seed: int = field_of(
        0,
        lambda n: 0 <= n < 2**32,
        "a whole number in [0, 2^32)",
        "what the initial draw and the order of the batches are drawn from",
        numeric=True,
    )
    checkpoint_every: int = whole(
        20, 1, "between checkpoints; there is always one at the end", unit="epochs", recorded=True, not_compiled=True
    )
    checkpoints_kept: int = whole(
        3, 1, "how many checkpoints are kept, the last ones", recorded=True, not_compiled=True
    )
    probes: tuple[str, ...] = field_of(
        ("saturation", "speed"),
        lambda names: all(name in probes.PROBES for name in names),
        f"any of {', '.join(probes.PROBES)}, or nothing",
        "which measures of the network are taken",
        recorded=True,
    )
    probe_every: int = whole(
        1, 1, "between measures; there is always one at the end", unit="epochs", recorded=True, not_compiled=True
    )
    probe_examples: int = whole(
        1_000, 2, "on how many training images it is measured, from the first one", unit="examples", recorded=True
    )
    code: str = field_of(
        "",
        own.is_code,
        "nothing: it is read",
        "the texts of the files that dataset, model, activation and cost name",
        later=True,
        derived=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {name: getattr(self, name) for name in FIELDS}

    def replace(self, **fields: Any) -> Self:
        """The config with other values of some fields, checked; ConfigError as `as_config`."""
        changed = _normal(fields)
        _check_fields(changed)
        words = ",".join(changed[name] for name in NAMING if name in changed).split(",")
        # Without a file of one's own there is none to be found or read.
        if words != [""] and (self.code or any(map(own.is_reference, words))):
            shortened = _shortened(changed)
            kept = {name for name in shortened if shortened[name] == _shortened(self.to_dict())[name]}
            changed |= {name: getattr(self, name) if name in kept else shortened[name] for name in shortened}
            changed["code"] = _code_of(self.to_dict() | changed, self.code)
        config = copy.copy(self)  # A tenth of the time of `dataclasses.replace`, which calls __init__.
        vars(config).update(changed)
        _check_together(config)
        return config

    @property
    def has_own_model(self) -> bool:
        """Whether the network is a model of one's own."""
        return self.model != MLP

    def is_probed(self, epoch: int) -> bool:
        """Whether the network is measured after that epoch: every probe_every epochs and at the end."""
        return bool(self.probes) and (epoch % self.probe_every == 0 or epoch == self.epochs)

    def is_saved(self, epoch: int) -> bool:
        """Whether there is a checkpoint of that epoch: every checkpoint_every epochs and at the end."""
        return epoch % self.checkpoint_every == 0 or epoch == self.epochs

    def identity(self) -> dict[str, Any]:
        """What is trained, by field: what is only recorded is left out, and later fields that change nothing. Of files
        of one's own it is their names and texts, not where they lie."""
        found = {
            name: getattr(self, name)
            for name, field in FIELDS.items()
            if not field.spec.recorded and not (field.spec.later and getattr(self, name) == field.default)
        }
        if self.code:
            found |= {name: _each_word(found[name], own.without_folder) for name in NAMING if name in found}
            found["code"] = own.digest_of(self.code)
        return found

    def name(self, recorded_as_in: "Config | None" = None) -> str:
        """Twelve hexadecimal digits that stand for the identity. What is recorded counts as it is by default; in names
        that the first version made, as it was: in the config that is given."""
        recorded = {
            name: getattr(recorded_as_in, name) if recorded_as_in else field.default
            for name, field in FIELDS.items()
            if field.spec.recorded and not field.spec.later
        }
        return hashlib.sha256(json.dumps(self.identity() | recorded, sort_keys=True).encode()).hexdigest()[:12]


AnyConfig: TypeAlias = Config | ConfigDict  # What a config file returns, or what `as_config` has made of it.
FIELDS: dict[str, Field] = {field.name: of_dataclass(field) for field in dataclasses.fields(Config)}
# All but those that follow from others.
GIVEN = {name: field for name, field in FIELDS.items() if not field.spec.derived}
# Arguments of the compiled program, one number a lane; all other fields shape it or the data set.
NUMERIC = tuple(name for name, field in FIELDS.items() if field.spec.numeric)
OPTIONAL = tuple(name for name in NUMERIC if FIELDS[name].spec.optional)
# All but the seed; init_scale last, as code that gives them by their places has them since the first version.
_PLACES = sorted((name for name in NUMERIC if FIELDS[name].type is float), key=lambda name: name == "init_scale")
_NUMBERS = [(name, Any) for name in _PLACES]
# What a sweep may vary: an axis of what is only recorded would give the same numbers again.
AXES = tuple(name for name, field in GIVEN.items() if not field.spec.recorded)


class Hyperparameters(NamedTuple("_Numbers", _NUMBERS)):
    """The numbers of a run, as float32 scalars: arguments of the compiled program, so a new value never recompiles.

    One that is optional, as `momentum`, may be None: then nothing is kept for it, which makes plain SGD a pass over the
    weights cheaper; an array, 0 included, makes it a run-time number (give the same kind to `init` and to `step`).
    `l2` adds l2/2 sum w^2 over the kernels to the cost that is descended, not to the cost that is reported: Nielsen's
    lambda is l2 times the number of training examples.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> jax.Array: ...


def hyperparameters(config: AnyConfig) -> Hyperparameters:
    """The config's numeric fields but for the seed."""
    config = as_config(config)

    def number_of(name: str) -> jax.Array | None:
        value = getattr(config, name)
        return None if FIELDS[name].spec.optional and not value else jnp.float32(value)

    return Hyperparameters(*map(number_of, Hyperparameters._fields))


def as_config(given: AnyConfig | Mapping[str, Any]) -> Config:
    """The config that was given, as a ConfigDict, as a mapping from field names or already made, checked.

    What is not given is as by default. Raises ConfigError, in one line, for a field that is unknown, of the wrong type
    or out of range.
    """
    if isinstance(given, Config):
        return given
    fields = _normal(given.to_dict() if isinstance(given, ConfigDict) else given)
    _check_fields(fields)
    # Config files and flags say everything but what is derived; what was recorded has that too, by the files as they
    # were called then.
    if isinstance(given, ConfigDict) or "code" not in fields:
        fields |= _shortened(fields)
        fields["code"] = _code_of(fields)
    config = Config(**fields)
    _check_together(config)
    return config


def _normal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with 1 as 1.0 where a field is a float, lists as tuples, numpy's numbers as Python's, probes one by
    one: one config, however it was written."""

    def value_of(name: str, value: Any) -> Any:
        field = FIELDS.get(name)
        value = value.item() if isinstance(value, np.generic) else value
        if field is None:
            return value
        if field.type is float and type(value) is int:
            return float(value) if abs(value) < MOST_WHOLE**9 else value
        if field.type is tuple and isinstance(value, str) and field.item is str:
            value = (value,)
        if field.type is tuple and isinstance(value, list | tuple):
            parts: Iterable[Any] = value
            parts = [part.item() if isinstance(part, np.generic) else part for part in parts]
            # --config.probes=speed,noise is parsed as one word.
            return words_of(parts) if field.item is str else tuple(parts)
        return value

    return {name: value_of(name, value) for name, value in fields.items()}


def _each_word(words: str, function: Callable[[str], str]) -> str:
    """The words between commas, each that names a file of one's own as the function has it."""
    return ",".join(function(word) if own.is_reference(word) else word for word in words.split(","))


def _shortened(fields: Mapping[str, Any]) -> dict[str, str]:
    """The fields that may name files, these as they are called from the folder that this process is in."""
    return {name: _each_word(fields[name], own.shortest) for name in NAMING if name in fields}


def _code_of(fields: Mapping[str, Any], known: str = "") -> str:
    """The texts of the files of one's own that the fields name; those that are known are not read again."""
    texts: dict[str, str] = {}
    for name in NAMING:
        references = [word for word in str(fields.get(name, "")).split(",") if own.is_reference(word)]
        try:
            texts |= own.texts_in(own.code_of(references, known))
        except own.OwnError as error:
            raise ConfigError(f"config.{name}={shown(fields[name])}: {error}; accepted: a file of Python") from error
    if twice := own.called_alike(texts):
        raise ConfigError(f"two files are called {twice}, whose folders are no part of a run; accepted: other names")
    return json.dumps(texts, sort_keys=True) if texts else ""


def words_of(parts: Iterable[Any]) -> tuple[Any, ...]:
    """The words in ('speed', 'noise') or ('speed,noise',), each once; what is no text as it is."""
    words = [word for part in parts for word in (part.split(",") if isinstance(part, str) else [part])]
    return tuple(dict.fromkeys(word.strip() if isinstance(word, str) else word for word in words if word != ""))


def _check_fields(fields: Mapping[str, Any]) -> None:
    """ConfigError for a field that is unknown, of the wrong type or out of range."""
    for name, value in fields.items():
        if name not in FIELDS:
            raise ConfigError(f"unknown config field {name!r}{near_match(name, GIVEN)}; accepted: {', '.join(GIVEN)}")
        field = FIELDS[name]
        # True is no number.
        fits = isinstance(value, field.type) and (field.type is bool or not isinstance(value, bool))
        if fits and isinstance(value, tuple):
            fits = all(type(part) is field.item for part in value)
        if not fits:
            kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
            raise ConfigError(f"config.{name}={shown(value)} is no {kind}; accepted: {field.accepted}")
        if not field.spec.test(value):
            raise ConfigError(
                f"config.{name}={shown(value)} is not accepted{_near(field, value)}; accepted: {field.accepted}"
            )


def _near(field: Field, value: Any) -> str:
    """The accepted word that is close to the one that is not."""
    choices = [word for word in field.accepted.removeprefix("any of ").split(", ") if " " not in word]
    words: tuple[Any, ...] = value if isinstance(value, tuple) else words_of([value])
    wrong = [word for word in words if isinstance(word, str) and word not in choices]
    return near_match(wrong[0], choices) if wrong else ""


def _check_optimizer(config: Config) -> None:
    """ConfigError for a number that the optimizer does not take, where it is not at its default."""
    taken = optimizers.OPTIMIZERS[config.optimizer].takes
    for name in dict.fromkeys(name for optimizer in optimizers.OPTIMIZERS.values() for name in optimizer.takes):
        value, default = getattr(config, name), FIELDS[name].default
        if name not in taken and value != default:
            takers = ", ".join(other for other, optimizer in optimizers.OPTIMIZERS.items() if name in optimizer.takes)
            raise ConfigError(f"config.{name}={value} is for {takers}; accepted with {config.optimizer}: {default}")


def _check_together(config: Config) -> None:
    """ConfigError for values that make no sense with one another."""
    _check_optimizer(config)
    if len(config.hidden) > MOST_LAYERS:
        raise ConfigError(f"config.hidden has {len(config.hidden):,} layers; accepted: at most {MOST_LAYERS}")
    if config.classes == 1 and config.output != "identity":
        given = f"config.classes=1 with config.output={config.output} is no choice between classes"
        raise ConfigError(f"{given}; accepted: 2 or more, or --config.output=identity for a regression")
    _check_shape(config)
    if config.dropout and not config.hidden:
        raise ConfigError(f"config.dropout={config.dropout} drops hidden outputs; accepted without hidden layers: 0")
    # What is of one's own is not run here, but when it is used.
    names, layers = config.activation.split(","), len(config.hidden)
    if config.model == MLP and len(names) not in (1, layers):
        given = f"activation {shown(config.activation)} has {len(names)} names"
        raise ConfigError(f"{given}; accepted: one, or one for each of {layers} layers")
    try:
        if not own.is_reference(config.cost):
            nets.costs.get(config.cost, config.output)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _check_shape(config: Config) -> None:
    """ConfigError for a shape that the inputs do not have, or that the network does not take."""
    given = ",".join(map(str, config.input_shape))
    if given and config.model == MLP:
        raise ConfigError(f"config.input_shape={given} is for a model of one's own; accepted with {MLP}: ()")
    if given and math.prod(config.input_shape) != config.inputs:
        count = math.prod(config.input_shape)
        raise ConfigError(
            f"config.input_shape={given} has {count:,} numbers, config.inputs={config.inputs}; accepted: as many"
        )


def field_table() -> list[tuple[str, str, str, str, str, str]]:
    """A row a field: name, type, default, unit, accepted values, words; what `--help` and the documentation show."""
    rows: list[tuple[str, str, str, str, str, str]] = []
    for name, field in GIVEN.items():
        kind = f"tuple of {field.item.__name__}" if field.type is tuple else field.type.__name__
        rows.append((name, kind, repr(field.default), field.spec.unit, field.accepted, field.spec.words))
    return rows
