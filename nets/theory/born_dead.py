"""How likely random weights make a deep ReLU net answer a constant before it is trained at all.

Nets with one input, `hidden` layers of `width` ReLU units and a linear output; the weights are independent, symmetric
about zero and continuous (He's and Glorot's are), the biases zero. Whatever a layer receives, unless that is all zero,
each of its units is silent with probability 1/2, and from a layer of silent units on all answers are zero (Lu, Shin, Su
& Karniadakis 2019). Such a net has no gradient but that of its last bias, and never recovers.
"""


def _alive(width: int, hidden: int) -> float:
    """The probability that a layer which receives something passes something on; ValueError for an empty net."""
    if width < 1 or hidden < 1:
        raise ValueError(f"width={width}, hidden={hidden}; accepted: whole numbers from 1")
    return 1.0 - 0.5**width


def dead_at_an_input(width: int, hidden: int) -> float:
    """The probability that a random net answers 0 to a given input other than 0: 1 - (1 - 2^-width)^hidden, exact for
    any number of inputs. ValueError for a width or a number of hidden layers below 1."""
    return 1.0 - _alive(width, hidden) ** hidden


def constant_bounds(width: int, hidden: int) -> tuple[float, float]:
    """Bounds of the probability that a random net of one input answers 0 to every x; equal for one or two layers.

    By homogeneity the answer to x is |x| times that to its sign, so that two inputs decide. With a = 1 - 2^-width,
    P(both dead) = 1 - 2 a^hidden + P(both alive). The first layer's units fire for one sign each, and both stay alive
    with probability 1 - 2^(1 - width); in the second layer, with disjoint inputs, with a^2; later with
    1 - 2^(1 - width) + ((pi - t) / (2 pi))^width, where t is the angle between the two answers. It lies in
    [0, pi / 2], which makes that a^2 at least and a at most. ValueError as in `dead_at_an_input`.
    """
    alive = _alive(width, hidden)
    both_at_first = 1.0 - 0.5 ** (width - 1)
    both_dead = 1.0 - 2.0 * alive**hidden
    least, most = alive ** (2 * (hidden - 1)), alive ** (hidden if hidden > 1 else 0)
    return both_dead + both_at_first * least, both_dead + both_at_first * most
