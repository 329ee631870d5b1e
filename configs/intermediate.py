"""The lecture's intermediate net: 784-64 relu-64 relu-10 softmax with cross-entropy, 55,050 parameters.

Question: how much do a second layer, ReLU neurons and cross-entropy gain over the shallow net?
Command:  python train.py --config=configs/intermediate.py
"""

from ml_collections import ConfigDict

from configs import shallow


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.hidden = (64, 64)
    config.activation = "relu"
    config.cost = "cross_entropy"
    config.learning_rate = 0.1
    config.epochs = 20
    return config
