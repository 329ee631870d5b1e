"""The view Descent: gradient descent on a surface, with all, some or one of the examples a step."""

from collections.abc import Mapping

from experiments.classroom.view import PLAY, RESET, Action, Control, Place, State, Try, View, next_seed

ONE, TWO, NEURON = SURFACES = ("bowl, one weight", "bowl, two weights", "sigmoid neuron")
STEPS, EXAMPLES = CLOCKS = ("steps", "examples seen")
# Of 1 / curvature: the rates of the study, which the buttons set.
RATES = {
    "small": ("Too small", 0.1, 0.05),
    "right": ("Right", 1.0, 1.0),
    "oscillating": ("Oscillating", 1.8, 1.9),
    "beyond": ("Beyond the edge", 2.1, 7.0),
}


def rate_of(regime: str, surface: str) -> float:
    """The rate of a regime on a surface, as a multiple of 1 / curvature."""
    _, bowl, neuron = RATES[regime]
    return neuron if surface == NEURON else bowl


def _button(regime: str) -> Action:
    """A button that sets the rate of a regime."""

    def changes(state: State) -> Mapping[str, float]:
        return {"rate": rate_of(regime, state["surface"])}

    label = RATES[regime][0]
    return Action(regime, label, f"Set the learning rate: {label.lower()}", changes=changes)


VIEW = View(
    name="descent",
    title="Descent",
    slide="Gradient Descent",
    look_for="A rate below 1 / curvature walks down, one between 1 and 2 / curvature jumps from side to side and still "
    "arrives, and one beyond 2 / curvature leaves the minimum.",
    tries=(
        Try(
            "Go just below the edge: 1.8 / curvature",
            "the path jumps across the valley at every step, by less each time, and arrives.",
            {"rate": 1.8},
        ),
        Try(
            "Go just beyond it: 2.1 / curvature",
            "every jump is wider than the one before, and the cost rises without end: it diverges.",
            {"rate": 2.1},
        ),
        Try(
            "Let batch, mini-batch and stochastic descent see equally many examples",
            "after one pass over the data the batch has taken a single step, the mini-batch 32, and the stochastic "
            "descent 1,024: it is by far the first to get down, and then trembles about the minimum.",
            {"surface": NEURON, "clock": EXAMPLES, "rate": 0.1},
        ),
    ),
    controls=(
        Control("surface", "cost surface", TWO, "What is descended", choices=SURFACES),
        Control(
            "rate",
            "learning rate",
            1.0,
            "As a multiple of 1 / curvature: the edge is at 2",
            low=0.05,
            high=8.0,
            step=0.05,
            slider=True,
            unit="x 1 / curvature",
        ),
        Control(
            "clock", "compare at equally many", STEPS, "What the three descents have had as much of", choices=CLOCKS
        ),
        Control("seed", "seed", 0, "Of the order of the examples", low=0, high=2**32 - 1, more=True),
        Control("at", "how far at once", 0, low=0, high=8_192, hidden=True),
    ),
    actions=(
        PLAY,
        Action("step", "One step", "A step of each; where examples are counted, one mini-batch"),
        Action("end", "To the end", "All of the path"),
        RESET,
        *map(_button, RATES),
        Action("draw", "Another order", "Draw another order of the examples: the next seed", changes=next_seed),
    ),
    places=(
        Place("batch", "Batch: all 1,024 examples a step"),
        Place("mini", "Mini-batch: 32 examples a step"),
        Place("stochastic", "Stochastic: one example a step"),
        Place("cost", "Cost on all examples"),
        Place("edge", "Each step multiplies the distance to the minimum"),
    ),
    simulation="experiments.classroom.simulations.descent:Descent",
    order=40,
)
