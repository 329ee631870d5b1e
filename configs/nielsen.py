"""Nielsen's first net (Neural Networks and Deep Learning, chapter 1): 784-30-10 sigmoid outputs, quadratic cost.

Question: does the book's 95.42 % (the best of 30 epochs on the test set) come out?
Command:  python train.py --config=configs/nielsen.py
Run time: 20 s on 2 cores.
Measured: best of 30 epochs .9526 in the best of 3 seeds, .9511 in the worst (2026-11-25,
          python -m experiments.saturation.quadratic_or_cross_entropy).

His cost is 1/2 sum (y - a)^2, five times the mean over ten outputs used here, so his eta = 3.0 is learning rate 15.0.
Weights and biases are N(0, 1); the first 50,000 images are the training set, the test set is the validation set.
"""

from ml_collections import ConfigDict

from configs import shallow


def get_config() -> ConfigDict:
    config = shallow.get_config()
    config.train_examples = 50_000
    config.hidden = (30,)
    config.output = "sigmoid"
    config.kernel_init = "nielsen_large"
    config.bias_init = "normal"
    config.learning_rate = 15.0
    config.batch_size = 10
    config.epochs = 30
    return config
