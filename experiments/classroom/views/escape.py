"""The view Escape: walkers of SGD in the poorer of two wells, and how long they stay in it."""

from experiments.classroom.view import PLAY, RESET, Action, Control, Place, Try, View, next_seed

BATCHES = ("1", "2", "4", "8", "16", "32")


VIEW = View(
    name="escape",
    title="Escape",
    slide="Escaping the local minimum of cost",
    look_for="The smaller the batch and the larger the rate, the stronger the noise of a step: it carries walkers over "
    "the barrier, out of the deeper well into the flatter one.",
    tries=(
        Try(
            "Let 400 walkers go with one example a step, at a rate of 20",
            "half of them have left after about 150 steps, and nearly all after 1,000; the curve of the walkers "
            "follows that of the exact chain.",
            {"rate": 20.0, "batch": "1"},
        ),
        Try(
            "Take eight examples a step instead",
            "the walkers sit in a heap at the first minimum, and leave it one by one; the chain's median is 7,503 "
            "steps, fifty times as many.",
            {"rate": 20.0, "batch": "8"},
        ),
        Try(
            "One example a step again, but a rate of 8",
            "it takes more than 5,000 steps until half have left: a smaller rate holds walkers back as a larger batch "
            "does.",
            {"rate": 8.0, "batch": "1"},
        ),
    ),
    controls=(
        Control(
            "rate",
            "learning rate",
            20.0,
            "How far a step goes, as a multiple of the gradient of its batch",
            low=4.0,
            high=24.0,
            step=1.0,
            slider=True,
        ),
        Control(
            "batch", "batch size", "1", "Examples that are drawn for a step, of the 256", choices=BATCHES, slider=True
        ),
        Control("walkers", "walkers", "400", "How many start at w = 1.1", choices=("100", "400", "1000")),
        Control("seed", "seed", 0, "Of the batches that are drawn", low=0, high=2**32 - 1, more=True),
        Control("at", "steps at once", 0, low=0, high=8_000, hidden=True),
    ),
    actions=(
        PLAY,
        Action("step", "A little further", "One step at first, later as many as Play takes at a time"),
        Action("end", "To the end", "All 8,000 steps"),
        RESET,
        Action("draw", "Other walkers", "Start over with other batches: the next seed", changes=next_seed),
    ),
    places=(
        Place("walkers", "Walkers on the cost of one sigmoid neuron, as a function of its weight w", wide=True),
        Place("survival", "How many have not left yet"),
        Place("counts", "Who has left, and when"),
        Place(
            "matched",
            "The cross-entropy of the same 256 examples",
            "With this cost there is no second well, and nothing to escape from.",
        ),
    ),
    simulation="experiments.classroom.simulations.escape:Escape",
    style="escape.css",
    order=30,
)
