"""Which rate, batch and initial scale suit a net, and which of its layers are saturated? Measured, with intervals.

    python -m experiments.advise --config=configs/shallow.py [--epochs=2] [--out=advice.json]
    python -m experiments.advise --config=... --config.model=FILE.py:NAME --check

The net of the config, Plateau's own or a model of one's own, is measured on sets of its training examples, at the start
and after the first --epochs of its run, at the config's own rate: the largest stable rate, f / lambda, beyond which a
step may raise the cost; the batch up to which more examples a step are worth it, the gradient noise scale along the
next steps at their best rate; the initial scale at which slopes survive and layers learn evenly; the layers that are
saturated or dying. The largest rate from which descent comes back, with whichever optimizer, is found by running some
steps of it at a grid of rates. Each comes with its interval and with what makes it unsure, and it is said where one
does not apply (2 / lambda to Adam, batch normalization, schedules). Nothing is trained to the end, and the test set is
not looked at. How often such advice was wrong, in the settings in which that was counted, is said in one line. With
--check lanes are trained that test the advice on other examples and from other draws, at rates, batches and scales
about what it says.

Formulas: `experiments/advising/advice.py`; the checks: `experiments/advising/checking.py`. All numbers go as JSON to
--out, or to advice.json in --workdir. Exit status: 0, whether the advice held or not; 2 for what is wrong with the
command.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
from absl import flags, logging

import train
from experiments.advising import advice as advising
from experiments.advising import along, checking, edges, measuring, record, words
from experiments.advising.estimates import as_json
from experiments.engine import lanes
from experiments.engine.space import cells_of
from experiments.engine.sweeping import USER_ERRORS
from readers.dataset import Dataset
from training import console
from training.command_line import define_config_flags, folder_of, parse_flags
from training.compiling import check_sums, keep_programs
from training.config import AnyConfig, Config, ConfigError, as_config
from training.console import duration, fail, say
from training.files import write_atomically
from training.fitting import check_network, lack_of_memory
from training.screen import guess_cost

FILE = "advice.json"
SPEED = Path(__file__).parent.parent / "docs" / "speed.json"


def prepare(config: AnyConfig, data_dir: str, epochs: int) -> tuple[Config, Dataset, measuring.Parts]:
    """The config, its data set and that cut up; raises, before anything is compiled, what is wrong with them."""
    config = as_config(config)
    if epochs > config.epochs:
        raise ConfigError(f"--epochs={epochs} with config.epochs={config.epochs}; accepted: at most that")
    check_network(config)
    dataset = train.load_dataset(config, data_dir)
    return config, dataset, measuring.cut(config, dataset)


def run(config: Config, dataset: Dataset, parts: measuring.Parts, epochs: int, check: bool) -> dict[str, Any]:
    """Measures the config's net, prints the advice and, with `check`, what came of it; both as JSON has them."""
    start = time.perf_counter()
    check_sums()
    with console.progress(epochs + 2, "measure") as bar:
        found = measuring.measure_net(config, dataset, parts, epochs, lambda _: bar.update())
    guess = guess_cost(config, dataset)
    of_rates = edges.find_edges(config, parts, found, guess, edges.BUDGET)
    of_noise = along.noise_along(config, parts, found, of_rates, edges.BUDGET)
    made = advising.advise(config, found, of_rates, of_noise)
    say(words.in_words(config, made, found, parts))
    if wrong := record.in_one_line(SPEED):
        say(wrong)
    say(f"{'':{words.TITLE}}Measured in {duration(time.perf_counter() - start)}.")
    checks: list[checking.Check] = []
    if check:
        say("Checking by lanes about the advice:")
        for one in checking.checks_of(config, made, parts, found, guess):
            checks.append(one)
            say(words.check_in_words(one))
        say(f"{'':{words.TITLE}}Checked in {duration(time.perf_counter() - start)}, the measuring included.")
    sets, size = parts.labels_KxP.shape[:2]
    of = {"config": cells_of(config), "parameters": found.parameters, "probe_sets": sets, "probe_examples": size}
    return of | made.to_dict() | {"checks": [one.to_dict() for one in checks]}


def define_flags() -> None:
    """The flags of the command."""
    define_config_flags()
    flags.FLAGS["workdir"].help = f"Folder for the advice, as {FILE}. [nowhere: it is printed]"
    flags.DEFINE_integer(
        "epochs", 2, "Epochs of the run after which the net is measured again; 0: none.", lower_bound=0
    )
    flags.DEFINE_bool("check", False, "Train lanes that test the advice, and say whether it held.")
    flags.DEFINE_string(
        "out", None, f"File for the advice as JSON. [WORKDIR/{FILE}; without --workdir it is printed only]"
    )


def out_of() -> Path | None:
    """Where the advice goes as JSON, None where nowhere; ends in one line for what is no place."""
    workdir, out = folder_of("workdir"), folder_of("out")
    if workdir and out:
        fail(f"--workdir and --out are both given; accepted: one of them, {FILE} in a folder or a file")
    return workdir / FILE if workdir else out


def main(_: list[str]) -> None:
    logging.set_verbosity(logging.FATAL)
    keep_programs()
    values, out = flags.FLAGS, out_of()
    try:
        prepared = prepare(values.config, str(folder_of("data_dir")), values.epochs)
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
        content = run(*prepared, values.epochs, values.check)
        if out:
            write_atomically(out, json.dumps(as_json(content), indent=1, allow_nan=False) + "\n")
            say(f"Written to {out}.")
    except USER_ERRORS as error:
        fail(error)
    except jax.errors.JaxRuntimeError as error:
        fail(f"the network does not fit in memory: {lack_of_memory(error)}")
    except KeyboardInterrupt as error:
        say("interrupted; nothing was written")
        sys.exit(console.exit_status(error))


if __name__ == "__main__":
    lanes.use_all_cores()  # Before a config file can start JAX.
    define_flags()
    console.run(main, parse_flags)
