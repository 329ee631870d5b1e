"""The config of a run: one frozen dataclass, from which all that is said of its fields elsewhere is read off.

A config file returns a ConfigDict and flags override it; `as_config` makes the dataclass of it at the door, checked.
Validation, axes of sweeps, lanes, columns of results, the identity of a run or trial and the documentation come from
`FIELDS`. A field that is added later carries `later=True` and a default that does what was done before, so that runs
and sweeps of earlier versions stay readable and go on.
"""

import dataclasses
import hashlib
import json
import math
from collections import namedtuple
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

import input_pipeline
import nets
from training import optimizers, own, probes, schedules, stopping
from training.console import shown
from training.fields import (
    FLOAT32_LEAST,
    MOST_WHOLE,
    ConfigError,
    Field,
    are_sizes,
    check_fields,
    check_taken,
    choice,
    field_of,
    is_amount,
    is_one_of,
    is_positive,
    is_share,
    later_number,
    normal,
    of_dataclass,
    rows_of,
    whole,
)
from training.naming import NAMING, code_of, each_word, shortened

MLP, OWN = "mlp", "FILE.py:NAME"
# Every layer is compiled by itself, in every program: more take hours before the first step.
MOST_LAYERS = 256


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
        "positive whole numbers, such as 28-28-1 or 28,28,1, whose product is inputs; () for flat examples",
        "how a model of one's own takes an example",
        later=True,
        on_axis="positive whole numbers, joined by -, as 28-28-1; () for flat examples",
    )
    hidden: tuple[int, ...] = field_of(
        (64,),
        are_sizes,
        "positive whole numbers below 2^31, one a layer, such as 64, 64-64 or 64,64; () for none",
        "units of each hidden layer",
        unit="neurons",
        on_axis="positive whole numbers below 2^31, layers joined by -, as 64-64; () for none",
    )
    activation: str = field_of(
        "sigmoid",
        lambda names: all(is_one_of(name, nets.activations.ACTIVATIONS) for name in names.split(",")),
        f"{', '.join(nets.activations.ACTIVATIONS)}, {OWN}, or one a layer, such as tanh-relu or tanh,relu",
        "what a hidden neuron computes",
        on_axis=f"{', '.join(nets.activations.ACTIVATIONS)}, those of layers joined by -, as tanh-relu, or {OWN} alone",
    )
    output: str = choice("softmax", nets.costs.OUTPUTS, "what the output neurons compute")
    kernel_init: str = choice("glorot_uniform", nets.mlp.KERNEL_INITS, "how kernels are drawn")
    bias_init: str = choice("zeros", nets.mlp.BIAS_INITS, "how biases are drawn")
    init_scale: float = field_of(
        1.0, is_amount, "a finite number from 0", "factor on every initial kernel", numeric=True
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
        is_positive,
        "a finite number above 0",
        "step along the gradient of a batch's mean cost",
        unit="per step",
        numeric=True,
    )
    momentum: float = field_of(
        0.0, lambda x: 0 <= x < 1, "a number in [0, 1)", "share of velocity that sgd keeps", numeric=True, optional=True
    )
    nesterov: bool = field_of(
        False, lambda _: True, "True or False", "Nesterov's momentum in place of Polyak's, of sgd", later=True
    )
    beta1: float = later_number(
        optimizers.MEAN_KEPT, is_share, "a number in [0, 1)", "share of the mean gradient that adam and adamw keep"
    )
    beta2: float = later_number(
        optimizers.SQUARE_KEPT, is_share, "a number in [0, 1)", "share of the mean square that adam and adamw keep"
    )
    epsilon: float = later_number(
        optimizers.EPSILON, is_positive, "a finite number above 0", "beside the root of adam's and adamw's mean square"
    )
    weight_decay: float = later_number(
        optimizers.WEIGHT_DECAY,
        is_amount,
        "a finite number from 0",
        "share of kernels, times the rate, that adamw takes",
    )
    schedule: str = choice(
        schedules.CONSTANT, schedules.SCHEDULES, "how the rate goes from learning_rate, its peak", later=True
    )
    warmup: float = later_number(
        0.0, lambda x: 0 <= x < MOST_WHOLE, "a number from 0", "length of a linear rise of the rate from 0", "epochs"
    )
    end_share: float = later_number(
        0.0, lambda x: 0 <= x <= 1, "a number in [0, 1]", "rate at the end of linear and cosine, as share of the peak"
    )
    decay_factor: float = later_number(
        schedules.DECAY_FACTOR,
        lambda x: FLOAT32_LEAST < x <= 1,
        "a number in (0, 1]",
        "of the rate in each drop of step",
    )
    decay_every: float = later_number(
        0.0, lambda x: 0 <= x < MOST_WHOLE, "a number from 0", "between drops of step; 0: a third of the run", "epochs"
    )
    l2: float = field_of(
        0.0,
        is_amount,
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
        changed = normal(fields, FIELDS)
        check_fields(changed, FIELDS)
        words = ",".join(changed[name] for name in NAMING if name in changed).split(",")
        if self.code or any(map(own.is_reference, words)):  # Else there is no file to be found or read.
            called, before = shortened(changed), shortened(self.to_dict())
            changed |= {name: getattr(self, name) if called[name] == before[name] else called[name] for name in called}
            changed["code"] = code_of(self.to_dict() | changed, self.code)
        config = object.__new__(type(self))  # A small part of the time of `dataclasses.replace`, which calls __init__.
        vars(config).update(vars(self), **changed)
        if changed.keys() != {"validation"}:  # Sweeps replace it in all trials; nothing else depends on it.
            _check_together(config)
        return config

    @property
    def has_own_model(self) -> bool:
        """Whether the network is a model of one's own."""
        return self.model != MLP

    @property
    def decays(self) -> bool:
        """Whether weights change where their gradient is zero."""
        takes_decay = "weight_decay" in optimizers.OPTIMIZERS[self.optimizer].takes
        return self.l2 > 0 or (takes_decay and self.weight_decay > 0)

    @property
    def is_scheduled(self) -> bool:
        """Whether the rate is not the same at every step."""
        return self.schedule != schedules.CONSTANT or self.warmup > 0

    @property
    def is_stretched(self) -> bool:
        """Whether the rate of a step depends on the number of epochs: no such run is the beginning of a longer one."""
        return self.schedule in ("linear", "cosine") or (self.schedule == "step" and not self.decay_every)

    def is_probed(self, epoch: int) -> bool:
        """Whether the network is measured after that epoch: every probe_every epochs and at the end."""
        return bool(self.probes) and (epoch % self.probe_every == 0 or epoch == self.epochs)

    def is_saved(self, epoch: int) -> bool:
        """Whether there is a checkpoint of that epoch: every checkpoint_every epochs and at the end."""
        return epoch % self.checkpoint_every == 0 or epoch == self.epochs

    def identity(self) -> dict[str, Any]:
        """What is trained, by field: what is only recorded is left out, and later fields that change nothing. Of files
        of one's own it is their names and texts, not where they lie."""
        given = vars(self)
        found = {name: value for name, default in _DEFAULT_OF_TRAINED if (value := given[name]) != default}
        if self.code:
            found |= {name: each_word(found[name], own.without_folder) for name in NAMING if name in found}
            found["code"] = own.digest_of(self.code)
        return found

    def name(self, recorded_as_in: "Config | None" = None) -> str:
        """Twelve hexadecimal digits that stand for the identity. What is recorded counts as it is by default; in names
        that the first version made, as it was: in the config that is given."""
        recorded = {name: getattr(recorded_as_in or _DEFAULTS, name) for name in _RECORDED_AT_FIRST}
        return hashlib.sha256(_as_json(self.identity() | recorded).encode()).hexdigest()[:12]


AnyConfig: TypeAlias = Config | ConfigDict  # What a config file returns, or what `as_config` has made of it.
FIELDS: dict[str, Field] = {field.name: of_dataclass(field) for field in dataclasses.fields(Config)}
_DEFAULTS = Config()
# What is trained, with the value at which a later field counts as not there; no other has one.
_DEFAULT_OF_TRAINED = [
    (name, field.default if field.spec.later else ...) for name, field in FIELDS.items() if not field.spec.recorded
]
_RECORDED_AT_FIRST = [name for name, field in FIELDS.items() if field.spec.recorded and not field.spec.later]
_as_json = json.JSONEncoder(sort_keys=True).encode  # Made once, as large sweeps name many configs.
# All but those that follow from others.
GIVEN = {name: field for name, field in FIELDS.items() if not field.spec.derived}
# Arguments of the compiled program, one number a lane; all other fields shape it or the data set.
NUMERIC = tuple(name for name, field in FIELDS.items() if field.spec.numeric)
OPTIONAL = tuple(name for name in NUMERIC if FIELDS[name].spec.optional)
# All but the seed, in the order in which they came: code gives the first four by their places, init_scale the last.
_PLACES = sorted(
    (name for name in NUMERIC if FIELDS[name].type is float),
    key=lambda name: (FIELDS[name].spec.later, name == "init_scale"),
)
_LATER = [name for name in _PLACES if FIELDS[name].spec.later] + list(schedules.OF_RUN)
_NAMES = [name for name in _PLACES if name not in _LATER] + _LATER
# What a sweep may vary: an axis of what is only recorded would give the same numbers again.
AXES = tuple(name for name, field in GIVEN.items() if not field.spec.recorded)


class Hyperparameters(namedtuple("_Numbers", _NAMES, defaults=[None] * len(_LATER))):  # pyright: ignore[reportUntypedNamedTuple]
    """The numbers of a run, as float32 scalars: arguments of the compiled program, so a new value never recompiles.

    One that is optional, as `momentum`, may be None: then nothing is kept for it, which makes plain SGD a pass over the
    weights cheaper; an array, 0 included, makes it a run-time number (give the same kind to `init` and to `step`).
    `l2` adds l2/2 sum w^2 over the kernels to the cost that is descended, not to the cost that is reported: Nielsen's
    lambda is l2 times the number of training examples. `epochs` and `steps_per_epoch`, the length of the run, are there
    where the rate depends on it; `Train.epoch` counts the steps of its data set itself.
    """

    @classmethod
    def of(cls, numbers: Mapping[str, Any]) -> Self:
        """Those numbers, by name, and None for all others."""
        return cls(**{name: numbers.get(name) for name in cls._fields})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> jax.Array: ...


def hyperparameters(config: AnyConfig, examples: int | None = None) -> Hyperparameters:
    """The config's numeric fields but for the seed; and the length of the run where its rate depends on it, for which
    `examples` says how many the training set has, if config.train_examples does not."""
    config = as_config(config)
    taken = names_taken(config, optional_of([config]))
    numbers = {name: number_of(config, name, examples) for name in taken}
    return Hyperparameters.of({name: None if x is None else jnp.float32(x) for name, x in numbers.items()})


def optional_of(configs: Iterable[Config]) -> tuple[str, ...]:
    """The numbers that could be left out of a program for these configs, but for one that is not at its default."""
    configs = list(configs)
    return tuple(n for n in OPTIONAL if any(getattr(config, n) != FIELDS[n].default for config in configs))


def names_taken(config: Config, optional: Collection[str]) -> tuple[str, ...]:
    """The numbers that a program for configs like this one takes, of those that may be left out the ones named."""
    left_out = set(OPTIONAL) - set(optional)
    if config.schedule == schedules.CONSTANT and "warmup" in left_out:
        left_out |= set(schedules.OF_RUN)
    return tuple(name for name in Hyperparameters._fields if name not in left_out)


def number_of(config: Config, name: str, examples: int | None) -> float | None:
    """A number of a run on so many training examples; None where they are not known and it depends on them."""
    if name != "steps_per_epoch":
        return float(getattr(config, name))
    examples = examples or config.train_examples
    return float(-(-examples // config.batch_size)) if examples else None


def as_config(given: AnyConfig | Mapping[str, Any]) -> Config:
    """The config that was given, as a ConfigDict, as a mapping from field names or already made, checked.

    What is not given is as by default. Raises ConfigError, in one line, for a field that is unknown, of the wrong type
    or out of range.
    """
    if isinstance(given, Config):
        return given
    fields = normal(given.to_dict() if isinstance(given, ConfigDict) else given, FIELDS)
    check_fields(fields, FIELDS)
    # Config files and flags say everything but what is derived; what was recorded has that too, by the files as they
    # were called then.
    if isinstance(given, ConfigDict) or "code" not in fields:
        fields |= shortened(fields)
        fields["code"] = code_of(fields)
    config = Config(**fields)
    _check_together(config)
    return config


def _check_descent(config: Config) -> None:
    """ConfigError for what the optimizer or the schedule does not take, and for lengths that the run does not have."""
    given = vars(config)
    check_taken("optimizer", optimizers.OPTIMIZERS, given, FIELDS)
    check_taken("schedule", schedules.SCHEDULES, given, FIELDS)
    if config.nesterov and not config.momentum:
        raise ConfigError("config.nesterov=True with config.momentum=0.0 is plain descent; accepted: momentum above 0")
    if config.warmup > config.epochs:
        longer = f"config.warmup={config.warmup:g} is longer than the run of config.epochs={config.epochs}"
        raise ConfigError(f"{longer}; accepted: at most that")
    if config.schedule == "step" and config.decay_every >= config.epochs:
        never = f"config.decay_every={config.decay_every:g} is never reached in config.epochs={config.epochs}"
        raise ConfigError(f"{never}; accepted: less, or 0 for a third of the run")


def _check_together(config: Config) -> None:
    """ConfigError for values that make no sense with one another."""
    _check_descent(config)
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
    return rows_of(GIVEN)
