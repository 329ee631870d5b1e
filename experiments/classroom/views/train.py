"""The view Train: a net on MNIST, live, or two side by side."""

from experiments.classroom import fields
from experiments.classroom.view import PLAY, Action, Control, Place, Try, View, next_seed

VIEW = View(
    name="train",
    title="Train a net",
    slide="Round of Training",
    look_for="The cost starts above that of a uniform guess, falls to it and sits on that plateau, while neurons "
    "saturate and layers learn at different speeds.",
    tries=(
        Try(
            "Let the lecture's net train at its own rate, .01",
            "the cost comes down to .09, that of a uniform guess, in a few epochs and is hardly below it five epochs "
            "later; at a rate of 1 it falls through.",
            {"learning_rate": 0.01},
        ),
        Try(
            "Draw tanh weights ten times as large",
            "most outputs sit at -1 or 1, where the slope is near zero: the first layer hardly moves, and the "
            "accuracy stays low.",
            {"activation": "tanh", "init_scale": 10.0, "learning_rate": 1.0},
        ),
        Try(
            "Quadratic cost beside cross-entropy, same start, same rate",
            "cross-entropy leaves the start at once, since its gradient does not vanish where an output is wrong and "
            "saturated.",
            {"compare": True, "learning_rate": 0.3, "other.cost": "cross_entropy"},
        ),
    ),
    controls=(
        fields.control_of("activation"),
        fields.control_of("cost"),
        fields.control_of("learning_rate"),
        fields.control_of("batch_size"),
        fields.control_of("hidden", "hidden layers"),
        fields.control_of("init_scale", "initial scale"),
        fields.control_of("seed", second=False),
        fields.control_of("output", more=True),
        fields.control_of("kernel_init", "kernels drawn by", more=True),
        fields.control_of("bias_init", "biases drawn by", more=True),
        fields.control_of("optimizer", more=True),
        fields.control_of("momentum", more=True),
        fields.control_of("l2", "L2", more=True),
        fields.control_of("dropout", more=True),
        fields.control_of("batch_norm", "batch normalization", more=True),
        fields.control_of("train_examples", "training examples", second=False, more=True),
        Control("at", "epochs at once", 0, low=0, high=1_000, hidden=True),
    ),
    actions=(
        PLAY,
        Action("step", "One step", "One batch"),
        Action("epoch", "One epoch", "To the end of the epoch"),
        Action("reset", "Same start", "Start over with the same initial draw, as every change of a setting does"),
        Action("draw", "New start", "Start over with another initial draw: the next seed", changes=next_seed),
    ),
    places=(
        Place("cost", "Cost"),
        Place("accuracy", "Accuracy on the validation images"),
        Place("outputs", "Outputs of the hidden neurons, by layer"),
        Place("saturated", "Saturated, zero or dead, by layer"),
        Place("speed", "Learning speed, by layer"),
        Place("updates", "Size of a step, by layer"),
        Place("stability", "Largest eigenvalue, and where the rate is stable"),
        Place("weights", "Weights into the first layer"),
        Place("other_weights", "Weights into the first layer, second setting"),
        Place("wrong", "Digits that it gets wrong"),
        Place("other_wrong", "Digits that the second gets wrong"),
    ),
    simulation="experiments.classroom.simulations.train:Training",
    check=fields.check,
)
