"""Networks of one's own that cannot be used, and what of a config they do not take: one line each."""

import pytest
from own_models import own, own_config

import train
from training.config import ConfigError, as_config

BAD = {
    "nothing.py:Net": "there is no file",
    "Missing": "has no Missing; it has",
    "Broken": "cannot be run: ZeroDivisionError",
    "ends": "cannot be run: SystemExit",
    "Syntax": "SyntaxError",
    "number": "it is 3",
    "Narrow": r"gives float32\[2, 7\] for 2 examples",
    "Two": "gives tuple",
    "Needs": "needs 'width', which no config has",
    "Fails": "TypeError",
    "Empty": "it has no parameters",
    "mixing": "depend on the others",
    "whole": "its parameter n is int32",
    "tied": "two of its arrays are called 'w'",
    "reserved": "a parameter is called epoch",
    "leaves": "SystemExit",
}
PLAIN = "import jax.numpy as jnp, jax\nz = jnp.zeros((784, 10))\n"
TEXTS = {
    "mixing": PLAIN + "mixing = lambda k, x: {'w': jax.random.normal(k, (784, 10))}, "
    "lambda p, x: (x - x.mean(0, keepdims=True)) @ p['w']",
    "whole": PLAIN + "whole = lambda k, x: {'w': z, 'n': jnp.int32(3)}, lambda p, x: x @ p['w']",
    "tied": PLAIN + "tied = lambda k, x: {'params': {'w': z}, 'w': z}, lambda p, x: x @ (p['w'] - p['params']['w'])",
    "reserved": PLAIN + "reserved = lambda k, x: {'w': z, 'epoch': z}, lambda p, x: x @ p['w']",
    "leaves": PLAIN + "import sys\nleaves = lambda k, x: {'w': z}, lambda p, x: sys.exit(0)",
    "Broken": "1 / 0",
    "ends": "import sys; sys.exit(0)",
    "Syntax": "def (",
    "number": "number = 3",
    "Narrow": "from flax import linen as nn\nclass Narrow(nn.Module):\n    @nn.compact\n"
    "    def __call__(self, x):\n        return nn.Dense(7)(x)",
    "Two": "from flax import linen as nn\nclass Two(nn.Module):\n    @nn.compact\n"
    "    def __call__(self, x):\n        return nn.Dense(10)(x), x",
    "Needs": "def Needs(width):\n    return width",
    "Fails": "from flax import linen as nn\nclass Fails(nn.Module):\n    @nn.compact\n"
    "    def __call__(self, x):\n        return nn.Dense(10)(x) + 'a'",
    "Empty": "from flax import linen as nn\nclass Empty(nn.Module):\n"
    "    def __call__(self, x):\n        return x[:, :10]",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_one_line(tmp_path, name):
    """It names what was given and what is accepted, before anything is written."""
    with pytest.raises(ConfigError, match=BAD[name]) as raised:
        if name == "nothing.py:Net":
            as_config({"model": str(tmp_path / name)})
        else:
            config = own_config(tmp_path, TEXTS.get(name, "x = len"), name)
            train.train_and_evaluate(config, tmp_path / "run")
    assert "accepted" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden": (5,), "activation": "relu"}, "does not take config.hidden"),
        ({"batch_norm": True}, "does not take config.batch_norm"),
        ({"input_shape": (28, 27)}, "has 756 numbers"),
        ({"classes": 7}, "labels of synthetic go up to 9|gives float32"),
    ],
)
def test_what_a_model_does_not_take_is_refused(files, tmp_path, changes, said):
    """Nothing in a config is without effect."""
    with pytest.raises(ConfigError, match=said):
        train.train_and_evaluate(own(files, "linen", **changes), tmp_path / "run")


def test_input_shape_is_for_own_models():
    """Plateau's own network takes rows."""
    with pytest.raises(ConfigError, match="is for a model of one's own"):
        as_config({"input_shape": (28, 28)})
