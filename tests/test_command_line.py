"""The command `python train.py`: what it prints when all is well, and the one line that it ends with otherwise.

Most mistakes are made in this process, as `main(parse_flags(arguments))`; some in a process of their own, as typed.
"""

import json
import re
import signal
import subprocess
import sys

import pytest
from commands import ROOT, SHALLOW, SYNTHETIC, one_line, refused, typed

import input_pipeline
import train
from configs import shallow
from training import console, run_directory
from training.config import ConfigError, as_config

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # Of ml_collections.

# ---------------------------------------------------------------------------------------------------------------------
# Mistakes.

BAD_FIELDS = {
    "datset=mnist": ("unknown config field 'datset'", "did you mean 'dataset'?"),
    "qqq=1": ("unknown config field 'qqq'; accepted: dataset, ",),
    "hidden.size=3": ("unknown config field 'hidden.size'",),
    "batch_size=1e3": ("config.batch_size=1e3", "invalid literal for int()"),
    "batch_size=12.5": ("config.batch_size=12.5", "invalid literal for int()"),
    "batch_size=": ("config.batch_size=",),
    "batch_norm=maybe": ("config.batch_norm=maybe", "Non-boolean"),
    "learning_rate=fast": ("config.learning_rate=fast", "could not convert"),
    "dataset=mnits": ("config.dataset='mnits'", "did you mean 'mnist'?", input_pipeline.ACCEPTED),
    "dataset=idx:": ("config.dataset='idx:'", input_pipeline.ACCEPTED),
    "activation=tanh,relu": ("activation 'tanh,relu' has 2 names", "accepted: one, or one for each of 1 layers"),
    "activation=tanh,rleu": ("config.activation='tanh,rleu'", "did you mean 'relu'?"),
    "activation=tahn": ("config.activation='tahn'", "did you mean 'tanh'?", "accepted: sigmoid, tanh, relu, "),
    "activation=": ("config.activation=''", "accepted: sigmoid, "),
    "output=sofmax": ("config.output='sofmax'", "did you mean 'softmax'?", "accepted: softmax, sigmoid, identity"),
    "cost=crossentropy": ("config.cost='crossentropy'", "did you mean 'cross_entropy'?"),
    "kernel_init=he_norml": (
        "config.kernel_init='he_norml'",
        "did you mean 'he_normal'?",
        "accepted: glorot_uniform, ",
    ),
    "bias_init=zero": ("config.bias_init='zero'", "did you mean 'zeros'?"),
    "optimizer=adm": ("config.optimizer='adm'", "did you mean 'adam'?", "accepted: sgd, adam"),
    "dataset=csv:": ("config.dataset='csv:'", input_pipeline.ACCEPTED),
    "hidden=(0,)": ("config.hidden=(0,)", "accepted: positive whole numbers"),
    "hidden=(64,-3)": ("config.hidden=(64, -3)", "accepted: positive whole numbers"),
    "hidden=(6.5,)": ("config.hidden=(6.5,)", "accepted: positive whole numbers"),
    "hidden=(True,)": ("config.hidden=(True,)", "accepted: positive whole numbers"),
    "hidden=wide": ("config.hidden=('wide',)", "accepted: positive whole numbers"),
    "learning_rate=nan": ("config.learning_rate=nan", "accepted: a finite number above 0"),
    "learning_rate=inf": ("config.learning_rate=inf", "accepted: a finite number above 0"),
    "learning_rate=0": ("config.learning_rate=0.0", "accepted: a finite number above 0"),
    "learning_rate=-0.1": ("config.learning_rate=-0.1", "accepted: a finite number above 0"),
    "init_scale=-1": ("config.init_scale=-1.0", "accepted: a finite number from 0"),
    "init_scale=inf": ("config.init_scale=inf", "accepted: a finite number from 0"),
    "l2=nan": ("config.l2=nan", "accepted: a finite number from 0"),
    "momentum=1": ("config.momentum=1.0", "accepted: a number in [0, 1)"),
    "dropout=1": ("config.dropout=1.0", "accepted: a rate in [0, 1)"),
    "dropout=-0.1": ("config.dropout=-0.1", "accepted: a rate in [0, 1)"),
    "batch_size=0": ("config.batch_size=0", "accepted: a whole number from 1"),
    "epochs=0": ("config.epochs=0", "accepted: a whole number from 1"),
    "checkpoint_every=0": ("config.checkpoint_every=0", "accepted: a whole number from 1"),
    "checkpoints_kept=0": ("config.checkpoints_kept=0", "accepted: a whole number from 1"),
    "seed=-1": ("config.seed=-1", "accepted: a whole number in [0, 2^32)"),
    "seed=4294967296": ("config.seed=4294967296", "accepted: a whole number in [0, 2^32)"),
    "train_examples=-1": ("config.train_examples=-1", "accepted: a whole number from 0"),
    "validation=none": ("config.validation='none'", "accepted: 'test' or a positive number"),
    "validation=0": ("config.validation='0'", "accepted: 'test' or a positive number"),
    "probes=saturatoin": (
        "config.probes=('saturatoin',)",
        "did you mean 'saturation'?",
        "saturation, speed, curvature",
    ),
    "probes=speed,nois": ("config.probes=('speed', 'nois')", "did you mean 'noise'?"),
    "probes=(1,)": ("config.probes=(1,)",),
    "probe_every=0": ("config.probe_every=0", "accepted: a whole number from 1"),
    "probe_examples=1": ("config.probe_examples=1", "accepted: a whole number from 2"),
    # What the data set refuses.
    "batch_size=513": ("config.batch_size=513", "512 training examples; accepted: 1 to 512"),
    "classes=9": (
        "config.classes=9",
        "go up to 9",
        "accepted: --config.classes=10 or more, or 1 where they are targets",
    ),
    "inputs=783": ("config.inputs=783", "images of synthetic have 784 pixels"),
    "train_examples=513": ("train_examples=513", "512"),
    "validation=512": ("validation=512", "512"),
    "dataset=idx:/nowhere/mnist": ("/nowhere/mnist",),
    "dataset=tfds:mnist": ("/nowhere/tfds", "--data_dir"),
}


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_bad_field(call, capsys, field):
    """A field that is unknown, of the wrong type or out of range is named, with what is accepted."""
    message = refused(call, capsys, SHALLOW, SYNTHETIC, f"--config.{field}", "--data_dir=/nowhere/tfds")
    for words in BAD_FIELDS[field]:
        assert words in message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("cost=cross_entropy output=identity", "cost 'cross_entropy' needs outputs in (0, 1)"),
        ("optimizer=adam momentum=0.9", "config.momentum=0.9 is for sgd"),
        ("validation=500 train_examples=13", "train_examples=13 is more than the 12"),
        ("validation=500 batch_size=13", "config.batch_size=13 is more than the 12"),
        ("probes=noise train_examples=1 batch_size=1", "config.probes has 'noise', which needs 2 training examples"),
        ("probes=cockpit train_examples=1 batch_size=1", "config.probes has 'cockpit', which needs 2"),
    ],
)
def test_fields_that_do_not_go_together(call, capsys, fields, said):
    """Fields of which each alone is fine, but not all of them together."""
    changes = [f"--config.{field}" for field in fields.split()]
    assert said in refused(call, capsys, SHALLOW, SYNTHETIC, *changes)


@pytest.mark.parametrize("field", ["learning_rate", "l2", "init_scale"])
def test_numbers_beyond_float32_are_refused(field):
    """A number that float32, in which all is computed, takes for infinity is refused as infinity is."""
    config = shallow.get_config()
    config[field] = 1e39
    with pytest.raises(ConfigError, match=f"config.{field}=1e\\+39"):
        as_config(config)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--config is missing"),
        ([SYNTHETIC], "config"),
        (["--config"], "--config"),
        (["--confg=configs/shallow.py"], "did you mean: config ?"),
        ([SHALLOW, "--epochs=3"], "'epochs'"),
        ([SHALLOW, "--config.epochs"], "--config.epochs"),
        ([SHALLOW, "stray"], "unexpected argument 'stray'"),
        ([SHALLOW, "--evaluate_only=perhaps"], "--evaluate_only=perhaps"),
        ([SHALLOW + ":qick"], "unknown variant 'qick'; accepted: quick"),
        ([SHALLOW.replace("shallow", "deep") + ":quick"], "deep.py:quick"),
        ([SHALLOW.replace("shallow", "shalow")], "shalow.py"),
        (["--config=configs"], "configs"),
        (["--evaluate_only"], "--evaluate_only needs --workdir"),
        (["--evaluate_only", "--workdir=/nowhere/run"], "/nowhere/run holds no run"),
        ([SHALLOW, SYNTHETIC, "--evaluate_only", "--workdir=/nowhere/run"], "/nowhere/run holds no run"),
        ([SHALLOW, SYNTHETIC, "--workdir=/dev/null"], "/dev/null is a file"),
        ([SHALLOW, SYNTHETIC, "--workdir=/dev/null/run"], "/dev/null/run"),
    ],
)
def test_bad_command_line(call, capsys, arguments, said):
    """A flag, argument, config file or folder that is missing or wrong is named."""
    assert said.lower() in refused(call, capsys, *arguments).lower()


def test_folder_without_checkpoint_cannot_be_evaluated(call, capsys, tmp_path):
    """A run that was stopped before its first checkpoint has nothing to evaluate."""
    workdir = tmp_path / "run"
    workdir.mkdir()
    config = shallow.get_config()
    config.dataset = "synthetic"
    (workdir / "config.json").write_text(json.dumps({"config": config.to_dict()}))
    for arguments in ([], [SHALLOW, SYNTHETIC]):
        message = refused(call, capsys, *arguments, "--evaluate_only", f"--workdir={workdir}")
        assert f"{workdir} holds no checkpoint" in message
    assert [path.name for path in workdir.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("a config\nof two lines"),
        input_pipeline.DataError("a data set\nof two lines"),
        run_directory.RunError("a folder\nof two lines"),
        train.DivergedError("a cost\nof two lines"),
        OSError(28, "No space left\nof two lines"),
    ],
)
def test_expected_errors_end_in_one_line(call, capsys, monkeypatch, error):
    """Whatever a user can mend is one line; so would be a message of two."""

    def fail(*arguments):
        raise error

    monkeypatch.setattr(train, "train_and_evaluate", fail)
    assert "of two lines" in refused(call, capsys, SHALLOW)


def test_unexpected_errors_are_not_hidden(call, monkeypatch):
    """A bug keeps its traceback."""

    def fail(*arguments):
        raise KeyError("a bug")

    monkeypatch.setattr(train, "train_and_evaluate", fail)
    with pytest.raises(KeyError, match="a bug"):
        call(SHALLOW)


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), 130), (console.Ended(signal.SIGTERM), 143), (console.Ended(signal.SIGHUP), 129)],
)
@pytest.mark.parametrize("given", [None, "runs/mine"])
def test_interruption_names_the_folder(call, capsys, monkeypatch, given, error, status):
    """A signal ends with its status and with the folder to go on in, also where it was not given."""
    used = []

    def interrupt(config, workdir, *_):
        used.append(workdir)
        raise error

    monkeypatch.setattr(train, "train_and_evaluate", interrupt)
    with pytest.raises(SystemExit) as caught:
        call(SHALLOW, *([f"--workdir={given}"] if given else []))
    assert caught.value.code == status
    said = f"interrupted; the same command with --workdir={used[0]} goes on from there\n"
    assert capsys.readouterr().out == said
    assert given in (None, str(used[0]))


# ---------------------------------------------------------------------------------------------------------------------
# As typed.

QUICK = [f"{SHALLOW}:quick", SYNTHETIC, "--config.epochs=2", "--config.learning_rate=1.0"]
# One in the flags and one in what is done; all others are found in this process.
TYPED = {
    "config that raises": (["--config=CONFIG"], "RuntimeError: one line and another"),
    "data that are not there": ([SHALLOW, "--config.dataset=tfds:mnist", "--data_dir=/nowhere"], "/nowhere"),
}


@pytest.fixture
def raising(tmp_path):
    """A config that raises, of two lines."""
    config = tmp_path / "mine.py"
    config.write_text("def get_config():\n    raise RuntimeError('one line\\nand another')\n")
    return config


@pytest.mark.parametrize("mistake", TYPED)
def test_mistake_as_typed(raising, tmp_path_factory, mistake):
    """Status 2, one line on stderr, nothing on stdout, no file made."""
    (arguments, said), folder = TYPED[mistake], tmp_path_factory.mktemp("cwd")
    process = typed(folder, *(argument.replace("CONFIG", str(raising)) for argument in arguments))
    assert process.returncode == 2
    assert said in one_line(process.stderr)
    assert process.stdout == ""
    assert list(folder.iterdir()) == []


def test_without_standard_output(tmp_path):
    """A daemon has none: the run is as any other."""
    arguments = [sys.executable, str(ROOT / "train.py"), *QUICK, "--workdir=run"]
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *arguments]
    ended = subprocess.run(command, cwd=tmp_path, timeout=120, check=False)
    assert ended.returncode == 0 and len(recorded(tmp_path / "run")) == 2
    assert (tmp_path / "run" / "figures" / "learning_curves.png").exists()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A finished run of two epochs: its process and its folder."""
    folder = tmp_path_factory.mktemp("quick")
    return typed(folder, *QUICK, "--workdir=run"), folder / "run"


def recorded(workdir):
    """The rows of metrics.jsonl."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


TABLE = """\
Layer                       Output shape    Parameters
------------------------------------------------------
hidden_0 (sigmoid)          (B, 64)             50,240
output (softmax)            (B, 10)                650
------------------------------------------------------
total                                           50,890
"""


def test_what_a_run_prints(quick):
    """The layers, one line an epoch with what metrics.jsonl holds, the best and the last result, and where they lie."""
    process, workdir = quick
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith(TABLE)
    rows = recorded(workdir)
    said, first, second, conclusion, contents = process.stdout.removeprefix(TABLE).splitlines()
    assert said == "Validation: the test set (256 examples)"
    for line, row in zip((first, second), rows, strict=True):
        numbers = "  ".join(f"{name}: {row[name]:.4f}" for name in ("loss", "accuracy", "val_loss", "val_accuracy"))
        saturated = f"saturated: {row['saturation/hidden_0']:.3f}"
        assert re.fullmatch(rf"Epoch {row['epoch']}/2  4 steps  \d+\.\d\ds  {re.escape(numbers)}  {saturated}", line)
    best = max(rows, key=lambda row: row["val_accuracy"])
    assert conclusion == (
        f"Best val_accuracy {best['val_accuracy']:.4f} at epoch {best['epoch']}; final val_accuracy "
        f"{rows[1]['val_accuracy']:.4f}, val_loss {rows[1]['val_loss']:.4f} at epoch 2."
    )
    assert contents.startswith("Written to run: ")
    for name in ("best.npz", "checkpoints/", "config.json", "events.out.tfevents.", "figures/", "final.npz", "metrics"):
        assert name in contents
    assert [path.name for path in workdir.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("with_config", [True, False])
def test_evaluate_only(quick, call, capsys, with_config):
    """The last checkpoint gives the last row's val_loss and val_accuracy, and a table of classes that adds up to it."""
    _, workdir = quick
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*")}
    call(*(QUICK if with_config else []), "--evaluate_only", f"--workdir={workdir}")
    output = capsys.readouterr()
    assert output.err == ""
    title, result, header, *table = output.out.splitlines()
    last = recorded(workdir)[-1]
    assert title == f"Checkpoint of epoch 2 in {workdir} on 256 validation examples"
    assert result == f"val_loss: {last['val_loss']:.4f}  val_accuracy: {last['val_accuracy']:.4f}"
    assert header.split() == ["class", "examples", "correct", "accuracy"]
    classes = [line.split() for line in table]
    assert [int(label) for label, *_ in classes] == list(range(10))
    labels = input_pipeline.load("synthetic").validation_labels.tolist()
    assert [int(examples) for _, examples, *_ in classes] == [labels.count(label) for label in range(10)]
    assert sum(int(correct) for *_, correct, _ in classes) == round(last["val_accuracy"] * 256)
    assert all(accuracy == f"{int(correct) / int(examples):.4f}" for _, examples, correct, accuracy in classes)
    assert {path: path.stat().st_mtime_ns for path in workdir.rglob("*")} == before


def test_evaluate_only_refuses_another_config(quick, call, capsys):
    """A run is evaluated with its own config or not at all."""
    message = refused(call, capsys, SHALLOW, SYNTHETIC, "--evaluate_only", f"--workdir={quick[1]}")
    assert "was made with another config" in message and "epochs 2 there, 200 here" in message


def test_training_again_refuses_another_config(quick, call, capsys):
    """A folder with a run is not written over by a run of another config."""
    message = refused(call, capsys, SHALLOW, SYNTHETIC, "--config.seed=1", f"--workdir={quick[1]}")
    assert "seed 0 there, 1 here" in message
