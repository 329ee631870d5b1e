"""The algebra of a sweep's points, and how a command line says them."""

import pytest

from experiments.engine import axes, space
from training.config import ConfigError, as_config

RATES, SIZES = axes.axis("learning_rate", [0.1, 1.0]), axes.axis("batch_size", [8, 16])


def test_product_takes_every_point_with_every_other():
    """The last part goes round first, a later part has its say, and of no parts there is the point without fields."""
    assert axes.product() == [{}] and axes.product(RATES, []) == []
    found = [(point["learning_rate"], point["batch_size"]) for point in axes.product(RATES, SIZES)]
    assert found == [(0.1, 8), (0.1, 16), (1.0, 8), (1.0, 16)]
    assert axes.product([{"seed": 1, "l2": 0.5}], [{"seed": 2}]) == [{"seed": 2, "l2": 0.5}]


def test_zip_and_chain():
    """The first with the first; one after the other; parts of other lengths are no zip."""
    assert axes.zipped(RATES, SIZES) == [
        {"learning_rate": 0.1, "batch_size": 8},
        {"learning_rate": 1.0, "batch_size": 16},
    ]
    assert axes.chain(RATES, SIZES) == [*RATES, *SIZES]
    with pytest.raises(ValueError, match="shorter"):
        axes.zipped(RATES, SIZES[:1])


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("learning_rate=0.01,1e1,3", "learning_rate", [0.01, 10.0, 3.0]),
        ("activation=sigmoid, tanh", "activation", ["sigmoid", "tanh"]),
        ("activation=sigmoid,tanh-relu", "activation", ["sigmoid", "tanh,relu"]),
        ("batch_size=8", "batch_size", [8]),
        ("hidden=(),64,64-32", "hidden", [(), (64,), (64, 32)]),
        ("batch_norm=true,False", "batch_norm", [True, False]),
        ("dataset=idx:a/b,mnist", "dataset", ["idx:a/b", "mnist"]),
        ("learning_rate=log:0.001:10:5,3", "learning_rate", [0.001, 0.01, 0.1, 1.0, 10.0, 3.0]),
        ("learning_rate=log:0.1:10:5", "learning_rate", [0.1, 0.316227766017, 1.0, 3.16227766017, 10.0]),
        ("momentum=lin:0:0.9:4", "momentum", [0.0, 0.3, 0.6, 0.9]),
        ("batch_size=int:8:512:log", "batch_size", [8, 16, 32, 64, 128, 256, 512]),
        ("batch_size=int:8:512:log:4", "batch_size", [8, 32, 128, 512]),
        ("batch_size=log:8:500:3", "batch_size", [8, 63, 500]),
        ("batch_size=int:8:512:5", "batch_size", [8, 134, 260, 386, 512]),
        ("seed=int:3:6", "seed", [3, 4, 5, 6]),
        ("learning_rate=int:1:4:log", "learning_rate", [1.0, 2.0, 4.0]),
    ],
)
def test_axis_values_have_their_fields_type(text, name, expected):
    """Words become numbers, truth values, layers; ranges have both ends, and numbers of few digits."""
    (found,), points = axes.parse_axis(text)
    values = [point[name] for point in points]
    assert found == name and values == expected and {type(v) for v in values} == {type(e) for e in expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "activation,kernel_init=tanh:glorot_uniform,relu:he_normal",
            [("tanh", "glorot_uniform"), ("relu", "he_normal")],
        ),
        ("hidden,learning_rate,momentum=64-64:0.1:0.9", [((64, 64), 0.1, 0.9)]),
        # A value with a colon: of all ways to part the word, one has a value of each field.
        ("model,dataset=my.py:net:mnist,mlp:idx:a/b", [("my.py:net", "mnist"), ("mlp", "idx:a/b")]),
        ("activation,dataset=tanh:idx:a:b", [("tanh", "idx:a:b")]),
    ],
)
def test_fields_that_change_together(text, expected):
    """A point a word, its values in the order of the fields."""
    names, points = axes.parse_axis(text)
    assert [tuple(point[name] for name in names) for point in points] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "learnin_rate=1",
            ("'learnin_rate' is no config field", "did you mean 'learning_rate'?", "accepted: dataset, "),
        ),
        ("probes=noise", ("'probes' says what is recorded", "accepted: dataset, ")),
        ("learning_rate", ("has no values", "NAME=v1,v2")),
        ("learning_rate=", ("has no values",)),
        ("learning_rate=,", ("has no values",)),
        ("learning_rate=fast", ("'fast' is no float", "a finite number above 0", "log:LOW:HIGH:COUNT")),
        ("batch_size=1.5", ("'1.5' is no int", "a whole number from 1")),
        ("batch_norm=maybe", ("'maybe' is no bool", "True or False")),
        ("hidden=64-x", ("'64-x' is no tuple", "positive whole numbers")),
        ("learning_rate=log:0:1:3", ("0 has no logarithm", "numbers above 0")),
        ("learning_rate=log:-1:1:3", ("-1 has no logarithm",)),
        ("momentum=lin:0.9:0:3", ("0.9 is not below 0", "the lower number first")),
        ("momentum=lin:0:0:3", ("0 is not below 0",)),
        ("momentum=lin:0:nan:3", ("'nan' is no number",)),
        ("momentum=lin:0:0.9", ("is no range", "lin:LOW:HIGH:COUNT")),
        ("momentum=lin:0:0.9:1", ("asks for 1 values", "2 to 10,000")),
        ("momentum=lin:0:0.9:2.5", ("'2.5' is no whole number",)),
        ("batch_size=lin:1.5:8:3", ("'1.5' is no whole number",)),
        ("batch_size=int:1:99999999", ("asks for 99,999,999 values",)),
        ("batch_size=int:8:500:log", ("never is 500", "int:8:512:log", "int:8:500:log:7")),
        ("batch_size=int:8:512:log:3:4", ("is no range",)),
        ("learning_rate,learning_rate=1:2", ("has learning_rate twice",)),
        ("learning_rate,momentum=1", ("'1' has not a value of each of 2 fields", "VALUE:VALUE")),
        ("learning_rate,momentum=1:fast", ("'fast' is no float",)),
        ("learning_rate,momentun=1:2", ("'momentun' is no config field", "did you mean 'momentum'?")),
        ("dataset,model=npz:a:b.py:c.py:net", ("can be parted in more than one way",)),
    ],
)
def test_bad_axes_are_refused_in_one_line(text, words):
    """What was given, what is accepted, the near match."""
    with pytest.raises(ConfigError) as caught:
        axes.parse_axis(text)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


def test_names_of_trials_do_not_hold_the_last_bits():
    """The middle of a range is the trial that the same number makes, written down."""
    _, points = axes.parse_axis("learning_rate=log:0.001:10:9")
    trials = space.trials_at(as_config({}), points)
    assert set(space.trials_at(as_config({}), [{"learning_rate": 0.00316227766017}])) <= set(trials)
    assert len(trials) == 9


@pytest.mark.parametrize("hidden", [(64, 32), [64, 32], "64-32", "64,32", ("64-32",), ["64,32"]])
def test_layers_are_written_in_one_way_everywhere(hidden):
    """64-64 and 64,64 are the same layers, in a config as on an axis, and the same trial."""
    config = as_config({"hidden": hidden, "activation": "tanh-relu"})
    assert config == as_config({"hidden": (64, 32), "activation": "tanh,relu"})
    assert config.name() == as_config({}).replace(hidden=hidden, activation="tanh-relu").name()
    assert as_config({"input_shape": "28-28-1", "model": __file__ + ":axes"}).input_shape == (28, 28, 1)


def test_what_are_no_layers_is_shown_as_given():
    """With both ways to write them; a file of one's own may have a hyphen."""
    with pytest.raises(ConfigError, match=r"config.hidden=\('64-x',\) is no tuple.*such as 64, 64-64 or 64,64"):
        as_config({"hidden": ("64-x",)})
    with pytest.raises(ConfigError, match=r"there is no file my-own\.py"):
        as_config({"activation": "my-own.py:swish"})
