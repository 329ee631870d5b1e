"""Flags and config files: where they may stand, what they name, what is refused before anything is made."""

import re

import pytest
from commands import SHALLOW, SYNTHETIC, refused

import train
from configs import shallow
from training.config import ConfigError, as_config, field_table

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def write_config(folder, body):
    """A config file with that body of get_config(); returns the flag that names it."""
    path = folder / "mine.py"
    path.write_text(f"from configs import shallow\n\ndef get_config():\n    {body}\n")
    return f"--config={path}"


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        ([SHALLOW], "shallow", 200),
        ([f"{SHALLOW}:quick", "--config.epochs=3"], "shallow-quick", 3),
        ([*SHALLOW.split("="), "--config.epochs", "3"], "shallow", 3),
        (["--flagfile=FLAGS"], "shallow-quick", 2),
        (["--flagfile", "FLAGS", "--config.epochs=1"], "shallow-quick", 1),
    ],
)
def test_default_folder_is_named_after_the_config(call, monkeypatch, tmp_path, arguments, name, expected):
    """runs/CONFIG-VARIANT-TIME, however the flags are written."""
    (tmp_path / "flags.txt").write_text(f"# a comment\n{SHALLOW}:quick\n{SYNTHETIC}\n--config.epochs=2\n")
    used = []
    monkeypatch.setattr(train, "train_and_evaluate", lambda config, workdir, *_: used.append((config.epochs, workdir)))
    call(*(argument.replace("FLAGS", str(tmp_path / "flags.txt")) for argument in arguments))
    ((epochs, workdir),) = used
    assert re.fullmatch(rf"runs/{name}-\d{{8}}-\d{{6}}-\d{{6}}", str(workdir))
    assert epochs == expected


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("--config.epoch=1", "unknown config field 'epoch' (did you mean 'epochs'?); accepted: dataset, "),
        ("--config.activation=tahn", "did you mean 'tanh'?"),
        ("--config=configs/shalow.py", "no config file 'configs/shalow.py' (did you mean 'configs/shallow.py'?)"),
        ("--flagfile=/nowhere/flags", "/nowhere/flags"),
    ],
)
def test_mistakes_in_a_flagfile(call, capsys, tmp_path, lines, said):
    """They are named as those on the command line are."""
    (tmp_path / "flags.txt").write_text(f"{SHALLOW}\n{SYNTHETIC}\n{lines}\n")
    assert said in refused(call, capsys, f"--flagfile={tmp_path / 'flags.txt'}")


def test_places_of_a_run(call, capsys, monkeypatch, tmp_path):
    """`~` is the home folder, for the run, the data and the weights; an address is refused."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    used = []
    monkeypatch.setattr(train, "train_and_evaluate", lambda config, *places: used.append(places))
    call(SHALLOW, "--workdir=~/mine", "--data_dir=~/data", "--init_from=~/w.npz")
    home = tmp_path / "home"
    assert used == [(home / "mine", str(home / "data"), home / "w.npz", False)]
    assert "--workdir=gs://bucket/run is not on this machine" in refused(
        call, capsys, SHALLOW, "--workdir=gs://bucket/run"
    )
    assert "--data_dir=~nobody-of-that-name" in refused(call, capsys, SHALLOW, "--data_dir=~nobody-of-that-name")


@pytest.mark.parametrize("flag", ["--help", "-help", "--helpshort", "--helpfull"])
def test_help(call, capsys, flag):
    """The command's flags and every field of a config with type, default, unit and accepted values; status 0."""
    with pytest.raises(SystemExit) as caught:
        call(flag)
    output = capsys.readouterr()
    assert caught.value.code == 0 and output.err == ""
    lines = output.out.splitlines()
    assert max(map(len, lines)) <= 100
    for name in ("config", "workdir", "data_dir", "evaluate_only"):
        assert any(line.startswith(f"  --{name} ") for line in lines)
    said = " ".join(output.out.split())
    for name, kind, default, unit, accepted, words in field_table():
        kind = f"{kind}, {unit}" if unit else kind
        assert f" {name} {words} ({kind}) [{default}]; accepted: {accepted}" in said
    assert ("--verbosity" in output.out) == (flag == "--helpfull")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (f"hidden=({2**31},)", "accepted: positive whole numbers"),
        (f"hidden=({2**31 - 1},)", "need at least "),
        (f"hidden=({2**20},{2**20})", "accepted: what fits into the "),
        (f"hidden=({'1,' * 5_000})", "config.hidden has 5,000 layers; accepted: at most 256"),
        (f"batch_size={2**31 - 1}", "need at least "),
        (f"epochs={'9' * 5_000}", "config.epochs="),
        (f"hidden=({'9' * 5_000},)", "config.hidden="),
        (f"seed=-{'9' * 4_000}", "a whole number in [0, 2^32)"),
        (f"learning_rate={'9' * 5_000}", "config.learning_rate=inf"),
        (f"train_examples={2**31 - 1}", "512"),
        (f"activation={'x' * 5_000}", "accepted: sigmoid, tanh"),
        ("activation=\udcff\x1b[31m", r"\x1b[31m"),
        (f"dataset=idx:/{'x' * 5_000}", "idx:"),
        ("dataset=idx:/nowhere/\udcff\x07", r"\udcff\x07"),
    ],
)
def test_sizes_and_names_that_cannot_be(call, capsys, monkeypatch, field, said):
    """Refused in one line of at most 300 characters, before anything is made."""
    monkeypatch.setattr(train, "initial_state", lambda config: pytest.fail("a network was made"))
    message = refused(call, capsys, SHALLOW, SYNTHETIC, f"--config.{field}")
    assert said in message and len(message) <= 300 - len("error: ")


def test_number_too_long_to_print():
    """From Python code there is no limit to the digits of a number; there is one to what Python prints."""
    config = shallow.get_config()
    config.epochs = 10**5_000
    with pytest.raises(ConfigError, match=r"config\.epochs=a int too long to print is not accepted"):
        as_config(config)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('one line\\nand another')", "RuntimeError: one line and another"),
        ("raise ValueError('an unknown\\nthing')", "an unknown thing"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "it ends the program, SystemExit(0)"),
        ("import sys; sys.exit('over')", "SystemExit('over')"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('any\\nthing')", "BaseException: any thing"),
        ("raise MemoryError", "MemoryError"),
        ("return get_config()", "RecursionError"),
        ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
        ("return undefined", "undefined"),
        ("return (", "mine.py"),
        ("return shallow.get_config(", "mine.py"),
        ("return None", "mine.py"),
        ("return {'hidden': (64,)}", "gives {'hidden': (64,)}; accepted: a ConfigDict"),
        (
            "config = shallow.get_config(); del config['epochs']; config.epochs = True; return config",
            "epochs=True is no",
        ),
        ("config = shallow.get_config(); config.depth = 3; return config", "unknown config field 'depth'"),
        ("config = shallow.get_config(); config.momentun = 0.9; return config", "did you mean 'momentum'?"),
        ("config = shallow.get_config(); config.learning_rate = 'fast'; return config", "learning_rate"),
    ],
)
def test_bad_config_file(call, capsys, tmp_path, body, said):
    """A config file that fails, returns no config, or one with other fields, is said in one line."""
    assert said in refused(call, capsys, write_config(tmp_path, body))


def test_ctrl_c_in_a_config_file_is_no_mistake(call, tmp_path):
    """Loading a config may take long, and is interrupted as all else."""
    with pytest.raises(KeyboardInterrupt):
        call(write_config(tmp_path, "raise KeyboardInterrupt"))


def test_config_file_without_get_config(call, capsys, tmp_path):
    """A config file in which get_config is missing is said to lack it."""
    path = tmp_path / "mine.py"
    path.write_text("learning_rate = 0.1\n")
    assert "get_config" in refused(call, capsys, f"--config={path}")
