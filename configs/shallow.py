"""The lecture's shallow net: 784-64 sigmoid-10 softmax with the quadratic cost.

Question: does the slowest sensible net learn MNIST, and how long does it sit on the plateau of the uniform guess?
Command:  python train.py --config=configs/shallow.py           (200 epochs)
          python train.py --config=configs/shallow.py:quick     (7 epochs, the length of the lecture's log)
Run time: 60 s on 2 cores, probes included.
Measured: val_accuracy .8645 (.8615 to .8700) and val_loss .0275 (.0265 to .0282) after 200 epochs, 3 seeds; the cost
          of the uniform guess, .09, is passed on the validation set at epoch 4 in the mean of 32 seeds, between epochs
          2 and 6 in all of them (2026-11-25, python -m experiments.lecture.shallow_net).

This file lists every field of a config; the others start from it and name what differs.
"""

from ml_collections import ConfigDict

from training.config import Config


def get_config(variant: str = "") -> ConfigDict:
    if variant not in ("", "quick"):
        raise ValueError(f"unknown variant {variant!r}; accepted: quick")
    config = ConfigDict(Config().to_dict())  # A field that is added is there with its default.

    # Data
    config.dataset = "mnist"  # mnist, idx:FOLDER, tfds:NAME, synthetic
    config.train_examples = 0  # how many of the training set, from its start; 0: all
    config.validation = "test"  # 'test', or a number held out from the end of the training set
    config.inputs = 784  # pixels of an image
    config.classes = 10

    # Network
    config.hidden = (64,)  # units of each hidden layer
    config.activation = "sigmoid"  # sigmoid, tanh, relu, softplus, softsign, leaky_relu, gelu, identity, step
    config.output = "softmax"  # softmax, sigmoid, identity
    config.kernel_init = (
        "glorot_uniform"  # glorot_*, he_*, lecun_* (uniform, normal), nielsen_large, nielsen_small, ...
    )
    config.bias_init = "zeros"  # zeros, normal: N(0, 1)
    config.init_scale = 1.0  # factor on every initial kernel
    config.batch_norm = False  # batch normalization after each hidden activation
    config.dropout = 0.0  # rate before the output layer, in [0, 1)

    # Training
    config.cost = "quadratic"  # quadratic: mean over outputs of (y - a)^2; cross_entropy: nats
    config.optimizer = "sgd"  # sgd, adam, adamw
    config.learning_rate = 0.01  # per step on the mean cost of a batch
    config.momentum = 0.0  # of sgd, in [0, 1)
    config.l2 = 0.0  # adds l2/2 sum w^2 over the kernels to the cost
    config.batch_size = 128  # examples a step; as many as there are: plain gradient descent
    config.epochs = 200
    config.seed = 0

    # Record
    config.checkpoint_every = 20  # epochs; there is always one at the end
    config.checkpoints_kept = 3  # the last ones
    config.probes = ("saturation", "speed")  # also curvature, noise, cockpit; () or --config.probes= for none
    config.probe_every = 1  # epochs; there is always one at the end
    config.probe_examples = 1_000  # the first training images; all where there are fewer

    if variant == "quick":
        config.epochs = 7
    return config
