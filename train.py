"""One training run: `python train.py --config=configs/shallow.py`; or `import train` for its pure functions.

B batch, D inputs, C classes, N examples. `make_train(config)` returns pure functions that serve one run, the vmapped
lanes of a sweep and a test alike; importing this file defines no flag and starts nothing.
"""

from training import starting as starting  # isort: skip  # Before what takes long.

import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from absl import flags, logging

import input_pipeline
import nets
from training import console, models, probes, run_directory, untrained
from training.batches import Data, Metrics, batches, make_data, on_data, permutation, scale
from training.command_line import default_workdir, define_config_flags, folder_of, parse_flags
from training.compiling import FAST_TO_COMPILE, CompilerError, check_sums, compiled, keep_programs, options_for
from training.config import AnyConfig, Config, ConfigError, Hyperparameters, as_config, hyperparameters
from training.console import fail, say
from training.convolutions import in_order
from training.descent import make_descent, recorded_rate
from training.files import place
from training.fitting import check_fits, check_network, lack_of_memory, warn_of_unseen_classes, with_targets
from training.metrics import batch_metrics, of_part, targets_of, weighted_means
from training.optimizers import scale_kernels
from training.records import OUTCOMES, read_records
from training.screen import (
    as_number,
    diverged_line,
    ending,
    epoch_line,
    evaluation_lines,
    guess_cost,
    natural_order,
    summary,
    tested_line,
    validation_line,
)
from training.weights import Initial, read_initial

EVALUATION_CHUNK = 2_000

Batch: TypeAlias = tuple[jax.Array, jax.Array, jax.Array]  # images_BxD, labels_B, weights_B

# ---------------------------------------------------------------------------------------------------------------------
# The pure functions of a run.


class TrainState(NamedTuple):
    """All that changes in training, as arrays. `params` may be replaced by weights from elsewhere."""

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any  # An optax.OptState.
    dropout_key: jax.Array  # Raw key data: a checkpoint and numpy take it, a typed key they do not.


class Train(NamedTuple):
    """The pure functions of a run, each jitted; they compose with jit, vmap and shard_map.

    `init(hyperparameters, key) -> state`
    `step(state, hyperparameters, batch) -> (state, metrics)`, batch = (images_BxD, labels_B, weights_B): uint8 images
        are scaled by 1/255, floats taken as they are, weight 0 marks padding (of finite numbers; not all may
        be padding); labels are whole classes, or float targets_BxC, whose accuracy is NaN; metrics `loss`,
        `accuracy`, `examples`; with a schedule the numbers are those of `hyperparameters(config, examples)`
    `epoch(state, hyperparameters, dataset, key) -> (state, metrics)`: every example of (images, labels, ...) once, in
        an order drawn from the key, as one lax.scan; metrics are the running means `loss` and `accuracy`
    `evaluate(state, images_NxD, labels_N) -> metrics`: `loss` and `accuracy` over all N
    """

    init: Callable[..., TrainState]
    step: Callable[..., tuple[TrainState, Metrics]]
    epoch: Callable[..., tuple[TrainState, Metrics]]
    evaluate: Callable[..., Metrics]


def make_step(config: AnyConfig) -> Callable[..., tuple[TrainState, jax.Array]]:
    """A step without its metrics, `(state, hyperparameters, batch) -> (state, logits_BxC)`: the core of `Train`."""
    model, cost, descent = models.make_model(config), models.cost_of(config), make_descent(config)

    def descend(state: TrainState, hyperparameters: Hyperparameters, batch: Batch) -> tuple[TrainState, jax.Array]:
        images_BxD, labels_B, weights_B = batch
        key = jax.random.fold_in(jax.random.wrap_key_data(state.dropout_key), state.step)

        def mean_cost(params: Any):
            logits_BxC, batch_stats = model.apply_in_training(params, state.batch_stats, images_BxD, weights_B, key)
            return batch_metrics(cost, logits_BxC, labels_B, weights_B)["loss"], (logits_BxC, batch_stats)

        gradient, (logits_BxC, batch_stats) = jax.grad(mean_cost, has_aux=True)(state.params)
        updates, opt_state = descent.update(hyperparameters, state.step, gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return TrainState(state.step + 1, params, batch_stats, opt_state, state.dropout_key), logits_BxC

    return descend


def make_train(config: AnyConfig) -> Train:
    """The pure functions of the config's run; ConfigError for an impossible config, before anything is compiled."""
    config = as_config(config)
    model, cost = models.make_model(config), models.cost_of(config)
    batch_size, descent, descend = config.batch_size, make_descent(config), make_step(config)

    def init(hyperparameters: Hyperparameters, key: jax.Array) -> TrainState:
        params_key, dropout_key = jax.random.split(key)
        params, batch_stats = model.init(params_key)
        params = scale_kernels(params, hyperparameters.init_scale)
        opt_state = descent.init(hyperparameters, params)
        return TrainState(jnp.int32(0), params, batch_stats, opt_state, jax.random.key_data(dropout_key))

    def step(state: TrainState, hyperparameters: Hyperparameters, batch: Batch) -> tuple[TrainState, Metrics]:
        state, logits_BxC = descend(state, hyperparameters, batch)
        return state, batch_metrics(cost, logits_BxC, *batch[1:])

    def epoch(
        state: TrainState, hyperparameters: Hyperparameters, dataset: tuple[jax.Array, ...], key: jax.Array
    ) -> tuple[TrainState, Metrics]:
        images_NxD, labels_N = dataset[0], dataset[1]
        order_SxB, weights_SxB = batches(permutation(key, len(images_NxD)), batch_size)
        hyperparameters = hyperparameters._replace(steps_per_epoch=jnp.float32(len(order_SxB)))

        def one_step(state: TrainState, rows: tuple[jax.Array, jax.Array]) -> tuple[TrainState, jax.Array]:
            order_B, weights_B = rows
            return descend(state, hyperparameters, (images_NxD[order_B], labels_N[order_B], weights_B))

        rest = len(images_NxD) % batch_size if model.mixes_examples else 0
        whole = (order_SxB[:-1], weights_SxB[:-1]) if rest else (order_SxB, weights_SxB)
        # Small steps are faster when the metrics of all of them are taken at once, after the last.
        state, logits_SxBxC = jax.lax.scan(one_step, state, whole)
        logits_MxC = logits_SxBxC.reshape(-1, logits_SxBxC.shape[-1])
        if rest:  # Its own step, without padding.
            state, logits_RxC = one_step(state, (order_SxB[-1, :rest], weights_SxB[-1, :rest]))
            padding_PxC = jnp.zeros((batch_size - rest, logits_RxC.shape[1]), logits_RxC.dtype)
            logits_MxC = jnp.concatenate([logits_MxC, logits_RxC, padding_PxC])
        metrics = batch_metrics(cost, logits_MxC, labels_N[order_SxB.ravel()], weights_SxB.ravel())
        return state, {name: metrics[name] for name in ("loss", "accuracy")}

    def evaluate(state: TrainState, images_NxD: jax.Array, labels_N: jax.Array) -> Metrics:
        order_N = jnp.arange(len(images_NxD), dtype=jnp.int32)
        order_SxB, weights_SxB = batches(order_N, min(EVALUATION_CHUNK, len(images_NxD)))

        def one_chunk(nothing: None, rows: tuple[jax.Array, jax.Array]) -> tuple[None, Metrics]:
            order_B, weights_B = rows
            logits_BxC = model.apply(state.params, state.batch_stats, images_NxD[order_B])
            return nothing, batch_metrics(cost, logits_BxC, labels_N[order_B], weights_B)

        return weighted_means(jax.lax.scan(one_chunk, None, (order_SxB, weights_SxB))[1])

    ordered = in_order if model.is_own else lambda function: function
    return Train(jax.jit(init), *(jax.jit(ordered(part)) for part in (step, epoch, evaluate)))


def make_probe(config: AnyConfig) -> Callable[..., tuple[Metrics, dict[str, jax.Array]]]:
    """What measures the config's network: a pure function, jitted, that composes as those of `Train` do.

    `probe(state, hyperparameters, params_before, dataset, key) -> (metrics, activations)`: the measures of the groups
    in config.probes on the first config.probe_examples images, and each layer's outputs on them, [P, units];
    params_before are those of an epoch ago.
    """
    config = as_config(config)
    model, descent, probe_examples = models.make_model(config), make_descent(config), config.probe_examples
    groups, has_probabilities, classes = config.probes, config.output != "identity", config.classes
    cost, is_hidden = models.cost_of(config), models.is_hidden(config)

    def probe(
        state: TrainState,
        hyperparameters: Hyperparameters,
        params_before: Any,
        dataset: tuple[jax.Array, ...],
        key: jax.Array,
    ) -> tuple[Metrics, dict[str, jax.Array]]:
        images_PxD, labels_P = dataset[0][:probe_examples], dataset[1][:probe_examples]
        batch = scale(images_PxD), targets_of(labels_P, classes)

        def logits_of(params: Any, images_BxD: jax.Array) -> jax.Array:
            return model.apply(params, state.batch_stats, images_BxD)

        def cost_of(params: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
            return cost.per_example(logits_of(params, batch[0]), batch[1])

        layers, gradient = nets.watching.layer_values(cost_of, state.params, batch)
        # A step at the rate of the last one: at the end of a schedule the next one's may be 0.
        updates, _ = descent.update(hyperparameters, state.step - 1, gradient, state.opt_state, state.params)
        outputs_PxC = cost.output(logits_of(state.params, batch[0]))
        probed = nets.measures.Probed(
            # Whether output neurons are saturated depends on their side.
            layers=[layer if is_hidden(layer.name) else layer._replace(activation=None) for layer in layers],
            gradient=gradient,
            cost=cost_of,
            params=state.params,
            batch=batch,
            params_before=params_before,
            params_after=optax.apply_updates(state.params, updates),
            key=key,
            outputs_BxC=outputs_PxC if has_probabilities else None,
            targets_BxC=batch[1],
        )
        metrics = {name: value for group in groups for name, value in probes.PROBES[group].measure(probed).items()}
        activations = {
            layer.name: models.for_histogram(config, layer.a_NxH)
            for layer in layers
            if layer.activation and is_hidden(layer.name)
        }
        return metrics, activations | {"output": outputs_PxC}

    return jax.jit(in_order(probe) if model.is_own else probe)


def variables(state: TrainState) -> dict[str, Any]:
    """The state's Flax variables, as Plateau's own module takes them."""
    return {"params": state.params, "batch_stats": state.batch_stats}


# ---------------------------------------------------------------------------------------------------------------------
# A run with everything that it leaves on disk and prints.


class DivergedError(Exception):
    """A cost that is no longer a number, in one line."""


def train_and_evaluate(
    config: AnyConfig,
    workdir: str | Path,
    data_dir: str = input_pipeline.DEFAULT_DATA_DIR,
    init_from: str | Path | None = None,
    goes_on: bool = False,
) -> list[dict[str, Any]]:
    """Trains into the run directory, or goes on with the interrupted run there; returns the rows of metrics.jsonl.
    A new run begins from the weights in `init_from`, an npz file or the folder of a run, if that is given. With
    `goes_on` a finished run goes on where the config now asks for more epochs, or stops later.

    Raises, before anything is written, ConfigError, input_pipeline.DataError or run_directory.RunError;
    later RunError where the disk fails, and DivergedError when an epoch's cost is not finite. Metrics so far are kept.
    """
    config = as_config(config)
    check_network(config)
    run_directory.check(workdir, config, goes_on)
    initial = None if init_from is None else read_initial(init_from, state_shapes(config))
    run_directory.check_initial(workdir, initial)
    if rows := run_directory.finished(workdir, config):
        say(f"{workdir} holds this run, finished after {len(rows)} epochs; nothing was changed.")
        say(ending(rows, config))
        return rows
    early = load_dataset(config, data_dir) if input_pipeline.is_read_alone(config.dataset) else None
    with ThreadPoolExecutor() as pool:
        # They compile while most data sets are read.
        checking, drawing = pool.submit(check_sums), pool.submit(initial_state, config, initial)
        dataset = early or load_dataset(config, data_dir)
        checking.result()
    with run_directory.RunDirectory(workdir, config, initial, goes_on) as run:
        state = fit(config, dataset, run, drawing.result())
        run.write_weights(state)
        outputs_VxC = models.logits_of(config, state, dataset.validation_images, EVALUATION_CHUNK)
        run.draw_figures(dataset, jax.device_get(state.params), outputs_VxC, guess_cost(config, dataset))
        say(ending(run.rows, config))
        say(f"Written to {run.workdir}: {', '.join(run.contents())}")
        return run.rows


def load_dataset(config: AnyConfig, data_dir: str) -> input_pipeline.Dataset:
    """The config's data set, split as it says and checked to fit."""
    config = as_config(config)
    dataset = input_pipeline.load(config.dataset, data_dir, config.validation, config.code)
    dataset = with_targets(config, input_pipeline.split(dataset, config.train_examples, config.validation))
    check_fits(config, dataset)
    warn_of_unseen_classes(config, dataset)
    return dataset


def run_keys(seed: int | jax.Array) -> tuple[jax.Array, jax.Array]:
    """The keys of a run's initial draw and of its shuffling, the same in every run with that seed."""
    key = jax.random.key(seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def probe_key(seed: int | jax.Array) -> jax.Array:
    """The key of a run's probes: one for all epochs, so that what is drawn does not move from one to the next."""
    return jax.random.fold_in(jax.random.key(seed), 2)


def initial_state(config: AnyConfig, initial: Initial | None = None) -> TrainState:
    """The state of the config's run before its first step, perhaps with weights that are given in place of the draw."""
    config = as_config(config)
    arguments = hyperparameters(config), run_keys(config.seed)[0]
    state: TrainState = compiled(make_train(config).init, *arguments, cpu_options=FAST_TO_COMPILE)(*arguments)
    if initial is None:
        return state
    params, batch_stats = initial.trees(state)
    return state._replace(params=params, batch_stats=batch_stats)


def state_shapes(config: AnyConfig) -> TrainState:
    """The shapes and types of the arrays of `initial_state`, without their numbers."""
    config = as_config(config)
    return jax.eval_shape(make_train(config).init, hyperparameters(config), run_keys(config.seed)[0])


class Programs(NamedTuple):
    """The compiled functions that the epochs of a run call."""

    epoch: Callable[..., tuple[TrainState, Metrics]]
    evaluate: Callable[..., Metrics]
    probe: Any  # None where nothing is probed.
    test: Any  # `evaluate` on a test set beside the validation examples; None where there is none.


def compile_programs(config: Config, data: Data, pool: Executor) -> list[Future[Any]]:
    """Starts compiling `Programs` for a run on the data, in their order; `epoch` uses its state up."""
    numbers, key = hyperparameters(config, len(data.training[0])), run_keys(config.seed)[1]
    train = make_train(config)
    state, data = jax.eval_shape(train.init, numbers, key), jax.eval_shape(lambda data: data, data)
    training, probing = (state, numbers, data, key), (state, numbers, state.params, data.probed, key)
    options, large = (options_for(n, config.has_own_model) for n in (config.batch_size, EVALUATION_CHUNK))
    return [
        pool.submit(compiled, on_data(train.epoch), *training, cpu_options=options, donate=(0,)),
        pool.submit(compiled, train.evaluate, state, *data.validation, cpu_options=large),
        pool.submit(compiled, make_probe(config), *probing, cpu_options=large)
        if config.probes
        else pool.submit(lambda: None),
        pool.submit(compiled, train.evaluate, state, *data.test, cpu_options=large)
        if data.test
        else pool.submit(lambda: None),
    ]


def fit(
    config: Config, dataset: input_pipeline.Dataset, run: run_directory.RunDirectory, state: TrainState
) -> TrainState:
    """The epochs that are missing in the run directory, each printed and recorded there, from the given state where
    it holds no checkpoint; returns the final state."""
    numbers = hyperparameters(config, len(dataset.images))
    shuffle_key, key_of_probes = run_keys(config.seed)[1], probe_key(config.seed)
    data = make_data(config, dataset)
    with ThreadPoolExecutor() as pool:
        compiling = compile_programs(config, data, pool)
        start, (state, done) = state, run.restore(state)
        say(summary(config, state.params, state.batch_stats))
        say(validation_line(config, dataset))
        data = jax.device_put(data)
        programs = Programs(*(future.result() for future in compiling))
    if run.began_with_it:
        run.untrained = untrained.measure(programs, start, numbers, data, key_of_probes)
    if done:
        say(f"Going on after epoch {done} of {config.epochs}.")
    # An epoch uses its state up: a signal waits until it is over, when there is a state to save.
    with console.progress(config.epochs, "epoch", initial=done) as bar, console.held() as signals:
        for number in run.missing_epochs():
            start = time.perf_counter()
            is_probed, may_stop = config.is_probed(number), bool(config.probes) and run.course.may_stop
            before = jax.tree.map(jnp.copy, state.params) if is_probed or may_stop else None
            state, metrics = programs.epoch(state, numbers, data, jax.random.fold_in(shuffle_key, number))
            metrics |= of_part("val", programs.evaluate(state, *data.validation))
            metrics |= of_part("test", programs.test(state, *data.test)) if data.test else {}
            metrics = jax.device_get(metrics)
            row = {"epoch": number} | {name: as_number(metrics[name]) for name in OUTCOMES if name in metrics}
            is_probed = is_probed or (may_stop and run.course.ends_with(row))
            probed = programs.probe(state, numbers, before, data.probed, key_of_probes) if is_probed else ({}, {})
            measured, activations = jax.device_get(probed)
            row["seconds"] = round(time.perf_counter() - start, 4)
            row |= recorded_rate(config, numbers, state.step)
            row |= {name: as_number(measured[name]) for name in sorted(measured, key=natural_order)}
            run.record(row, activations, state)
            bar.say(epoch_line(row, config.epochs, -(-len(dataset.images) // config.batch_size)))
            bar.update()
            if not (math.isfinite(row["loss"]) and math.isfinite(row["val_loss"])):
                raise DivergedError(diverged_line(row, config))
            # A signal that comes after the question waits for the next epoch, whose state is then saved.
            if config.is_saved(number) or run.course.reason or signals.asked:
                run.save(number, state)
                signals.deliver()
    return state


def evaluate_only(config: AnyConfig, workdir: str | Path, data_dir: str = input_pipeline.DEFAULT_DATA_DIR) -> None:
    """Prints loss and accuracy of the run's last checkpoint on the validation and test set, and accuracy by class."""
    config = as_config(config)
    check_network(config)
    workdir = place(workdir)
    run_directory.check_exists(workdir)
    run_directory.check(workdir, config)
    for damage in read_records(workdir).damages:
        console.warn(f"{damage}; the checkpoint that is evaluated does not depend on it")
    dataset = load_dataset(config, data_dir)
    state, epoch = run_directory.restore(workdir, initial_state(config))
    if not epoch:
        raise run_directory.RunError(f"{workdir} holds no checkpoint that can be used; accepted: a run with one")
    check_sums()
    evaluate = make_train(config).evaluate
    metrics = evaluate(state, dataset.validation_images, dataset.validation_labels)
    outputs_VxC = models.logits_of(config, state, dataset.validation_images, EVALUATION_CHUNK)
    say(f"Checkpoint of epoch {epoch} in {workdir} on {len(dataset.validation_labels):,} validation examples")
    say(evaluation_lines(dataset.validation_labels, outputs_VxC, metrics, guess_cost(config, dataset)))
    if dataset.has_test:
        say(tested_line(dataset.test_labels, evaluate(state, dataset.test_images, dataset.test_labels)))


# ---------------------------------------------------------------------------------------------------------------------
# The command line.

USER_ERRORS = (ConfigError, input_pipeline.DataError, run_directory.RunError, CompilerError, DivergedError, OSError)


def define_flags() -> None:
    """The flags of this command."""
    define_config_flags()
    flags.DEFINE_bool("evaluate_only", False, "Evaluate the last checkpoint in --workdir and train nothing.")
    flags.DEFINE_string("init_from", None, "Weights to begin from: an npz file, or the final.npz of a run's folder.")
    flags.DEFINE_bool("continue", False, "Go on with the finished run in --workdir for more --config.epochs.")


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)  # Orbax logs what it raises.
    keep_programs()
    workdir, config, data_dir = folder_of("workdir"), flags.FLAGS.config, str(folder_of("data_dir"))
    init_from, only_evaluate = folder_of("init_from"), flags.FLAGS.evaluate_only
    goes_on = bool(flags.FLAGS["continue"].value)
    if (only_evaluate or goes_on) and workdir is None:
        fail(f"--{'evaluate_only' if only_evaluate else 'continue'} needs --workdir; accepted: the folder of a run")
    if only_evaluate and init_from is not None:
        fail(f"--init_from={init_from} is for training; accepted with --evaluate_only: the run's own checkpoint")
    workdir = workdir or default_workdir()
    try:
        if only_evaluate:
            run_directory.check_exists(workdir)
            evaluate_only(config or run_directory.read_config(workdir), workdir, data_dir)
        else:
            train_and_evaluate(config, workdir, data_dir, init_from, goes_on)
    except USER_ERRORS as error:
        fail(error)
    except jax.errors.JaxRuntimeError as error:
        fail(f"the network does not fit in memory: {lack_of_memory(error)}")
    except KeyboardInterrupt as error:
        say(f"interrupted{'' if only_evaluate else f'; the same command with --workdir={workdir} goes on from there'}")
        sys.exit(console.exit_status(error))


if __name__ == "__main__":
    define_flags()
    console.run(main, parse_flags)
