"""The view One neuron: the perceptron, four activation functions, and the saturated neuron with both costs."""

from experiments.classroom.view import PLAY, Action, Control, Place, Try, View

PERCEPTRON, ACTIVATIONS, SATURATED = PARTS = ("perceptron", "activation functions", "saturated neuron")
HOT_DOG, EXACTLY_ONE = LESSONS = ("the detector's answers", "exactly one of ketchup and mustard")


def slider(name: str, label: str, default: float, meaning: str, low: float, high: float, step: float) -> Control:
    """A number on a slider."""
    return Control(name, label, default, meaning, low=low, high=high, step=step, slider=True)


VIEW = View(
    name="neuron",
    title="One neuron",
    slide="Perceptron; Neuron Saturation",
    look_for="Where the curve of a neuron is flat its slope is next to nothing, and with the quadratic cost so is what "
    "it learns, however wrong it is.",
    tries=(
        Try(
            "Let a neuron learn that is badly wrong: w = b = 2, where 0 is right",
            "with cross-entropy its output falls at once; with the quadratic cost it hardly moves for 150 of the 300 "
            "steps, because it is saturated.",
            {"part": SATURATED},
        ),
        Try(
            "Let it learn from w = 0.6, b = 0.9, where it is wrong but less saturated",
            "now the quadratic cost learns at once, too: its output goes from .82 to .09.",
            {"part": SATURATED, "w": 0.6, "b": 0.9},
        ),
        Try(
            "Teach the perceptron what no line separates: exactly one of ketchup and mustard",
            "every pass has mistakes, the weights go round in circles, and it never ends.",
            {"part": PERCEPTRON, "lesson": EXACTLY_ONE},
        ),
    ),
    controls=(
        Control("part", "show", SATURATED, "Which of the three is shown", choices=PARTS),
        slider("w", "weight w", 2.0, "At the start; what it is multiplied by is x", -5, 5, 0.1),
        slider("b", "bias b", 2.0, "At the start", -5, 5, 0.1),
        slider("rate", "learning rate", 0.15, "Of each step down the cost's gradient", 0.005, 2, 0.005),
        slider("x", "input x", 1.0, "What the neuron is given", -5, 5, 0.1),
        Control("ketchup", "ketchup", True, "Whether it is in the meal"),
        Control("mustard", "mustard", True, "Whether it is in the meal"),
        Control("bun", "bun", False, "Whether it is in the meal"),
        slider("w_ketchup", "weight of ketchup", 3.0, "How much it counts", -10, 10, 0.5),
        slider("w_mustard", "weight of mustard", 2.0, "How much it counts", -10, 10, 0.5),
        slider("w_bun", "weight of the bun", 6.0, "How much it counts", -10, 10, 0.5),
        slider("threshold", "threshold", 4.0, "The perceptron fires where the sum is above it", -10, 20, 0.5),
        Control("lesson", "Play teaches", HOT_DOG, "What the perceptron learns from zero weights", choices=LESSONS),
        Control("at", "how far", 0, low=0, high=1_000, hidden=True),
    ),
    actions=(
        PLAY,
        Action("step", "One step", "One step of learning"),
        Action("reset", "Start over", "Back to the start, with these settings"),
    ),
    places=(
        Place("detector", "The hot dog detector: click what is in the meal", wide=True),
        Place("meals", "All eight meals"),
        Place("boundary", "Where the detector begins to fire"),
        Place("learning", "What the perceptron learns by itself: its weights"),
        Place("mistakes", "Its mistakes in each pass over the eight meals"),
        Place("sum", "The neuron", wide=True),
        Place("step", "Step"),
        Place("sigmoid", "Sigmoid"),
        Place("tanh", "Tanh"),
        Place("relu", "ReLU"),
        Place("numbers", "The neuron now, with either cost", wide=True),
        Place("course", "Its output, step by step"),
        Place("moves", "How far one step moves the output"),
        Place("gradient", "What it learns by: the slope of the cost"),
        Place("cost", "The cost"),
    ),
    simulation="experiments.classroom.simulations.neuron:Neuron",
    script="neuron.js",
    style="neuron.css",
    order=2,
)
