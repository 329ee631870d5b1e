"""The view Forward: one digit through a net, number by number."""

from experiments.classroom import fields
from experiments.classroom.view import Action, Control, Place, State, StateError, Try, View

SIDE, HIDDEN, CLASSES, TEST_DIGITS, EPOCHS = 28, 64, 10, 10_000, 3
UNITS = (*(f"hidden {i}" for i in range(HIDDEN)), *(f"output {c}" for c in range(CLASSES)))


def next_digit(state: State) -> State:
    """The next one of the test set; nothing that is drawn."""
    return {"digit": (state["digit"] + 1) % TEST_DIGITS, "drawing": ""}


def bar(column: int) -> str:
    """The drawing of a 1: an upright bar, three pixels wide, from that column on."""
    row = "0" * column + "fff" + "0" * (SIDE - 3 - column)
    return ("0" * 4 * SIDE + row * 20).rstrip("0")


def check(state: State) -> None:
    """StateError for a drawing that is none: it has a hexadecimal digit a pixel; those after the last one are 0."""
    drawing = state["drawing"]
    if len(drawing) > SIDE * SIDE or set(drawing) - set("0123456789abcdef"):
        raise StateError("drawing", f"it is no drawing; accepted: at most {SIDE * SIDE} digits 0-9a-f, one a pixel")


PAD = """
<section class="pad" aria-labelledby="pad-title">
  <h3 id="pad-title">The digit: draw here</h3>
  <canvas id="pad" width="280" height="280" tabindex="0" role="application" aria-roledescription="drawing pad"
    aria-label="The digit, 28 by 28 pixels" aria-describedby="pad-help"></canvas>
  <p id="pad-said" aria-live="polite"></p>
  <p class="pad-buttons"><button id="pad-clear">Clear</button><button id="pad-centre">Centre it</button>
    <label><input type="checkbox" id="pad-eraser"> Eraser</label></p>
  <p class="note" id="pad-help">With the mouse; or arrow keys move the pen, Space dots, Shift and arrows draw, Delete
    erases.</p>
  <span data-wrong="drawing" data-of="pad" role="alert"></span>
</section>
"""

VIEW = View(
    name="forward",
    title="Forward",
    slide="Round of Training: propagate forward",
    look_for="Every unit does the same small sum, w · x + b, and squeezes it; 64 such answers, weighted and summed "
    "once more, become ten shares that add up to 1.",
    tries=(
        Try(
            "Send the same digit through the net as it was before training",
            "no share reaches 20 %, the 7 has about a tenth, and the weights of a unit are noise.",
            {"trained": 0},
            does="",
        ),
        Try(
            "Look into output neuron 7: which hidden units speak for a 7, which against it?",
            "orange lines lift its sum, blue ones lower it; its z is the largest of the ten, so its share is.",
            {"unit": "output 7"},
            does="",
        ),
        Try(
            "Draw a 1 at the left edge, then press 'Centre it'",
            "the net does not see it until it stands in the middle: it has learnt which pixels are bright, not shapes.",
            {"drawing": bar(2)},
            does="",
        ),
    ),
    controls=(
        Control("digit", "test digit", 0, "Which of the 10,000 test digits, by its number", low=0, high=9_999),
        Control(
            "unit",
            "unit looked at",
            "hidden 0",
            "Also chosen by clicking a unit in the picture",
            choices=UNITS,
        ),
        Control(
            "trained",
            "epochs of training",
            EPOCHS,
            "0: the net as it was drawn, before training",
            low=0,
            high=EPOCHS,
            step=1,
            slider=True,
        ),
        Control(
            "activation",
            "activation",
            "sigmoid",
            "Of the hidden units; the lecture's net has the sigmoid",
            choices=("sigmoid", "tanh", "relu"),
        ),
        fields.control_of("seed", second=False, more=True),
        fields.control_of("train_examples", "training examples", second=False, more=True),
        Control("drawing", "drawing", "", "The pixels that were drawn", hidden=True),
    ),
    actions=(
        Action("next", "Next digit", "The next one of the test set", main=True, changes=next_digit),
        Action("wrong", "Next one that it gets wrong", "The next test digit that this net takes for another"),
    ),
    places=(
        Place("net", "The net: click a unit to look into it", wide=True),
        Place("sum", "The sum of the unit, number by number"),
        Place("weights", "Its weights"),
        Place("products", "What each input adds: weight times input"),
        Place("curve", "All 64 hidden units on the activation function"),
        Place("shares", "The output layer: ten sums, ten shares"),
        Place("hidden", "The hidden layer: all 64 sums and outputs", wide=True),
    ),
    simulation="experiments.classroom.simulations.forward:Forward",
    check=check,
    markup=PAD,
    script="forward.js",
    style="forward.css",
    order=1,
)
