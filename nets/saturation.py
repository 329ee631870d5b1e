"""Measures of saturation: how much of a layer sits where its activation function is flat.

B batch, H units of a layer, C classes (output neurons), N = B H. a_BxH are a layer's outputs and z_BxH its weighted
inputs over a probe set. Every function works under `jit`, and under `vmap` over leading axes of lanes; an argument
called `activation` is a name of `nets.activations.ACTIVATIONS` or an `Activation`, and like `margin`, `bins` and `tau`
it is fixed at trace time. Arrays of another rank, or with nothing in them, are a ValueError. A value that is not finite
makes every floating-point result that it enters NaN, and no unit of its layer dead (its own) or dormant (any).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from nets import activations, canary
from nets.activations import ACTIVATIONS, Activation

PERCENTILE = 98
# An output may be this share of the range beyond it, by rounding.
OUTSIDE = 1e-3


def _layer(values: ArrayLike, name: str) -> jax.Array:
    """The values as a float array [B, H] in which whatever is not finite is NaN; ValueError naming it otherwise."""
    canary.warn_once()
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is a {type(values).__name__} of something else; accepted: real numbers") from None
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{name} holds {array.dtype}; accepted: real numbers")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted: two axes, neither of them empty")
    # Half precision would lose counts above 2,048 and overflow in sums; float64 stays what it is.
    array = array.astype(jnp.promote_types(array.dtype, jnp.float32))
    return jnp.where(jnp.isfinite(array), array, jnp.nan)


def _outputs(values: ArrayLike, activation: str | Activation, measure: str) -> tuple[jax.Array, float, float]:
    """A layer's outputs as `_layer` has them, and the two ends of their range; ValueError where values, as far as there
    are any, lie outside it: weighted inputs, or another layer's outputs."""
    low, high = _ends(activation, measure)
    a_BxH = _layer(values, "a_BxH")
    if not isinstance(a_BxH, Tracer):
        given = np.asarray(a_BxH)
        given = given[~np.isnan(given)]
        least, most = (float(given.min()), float(given.max())) if given.size else (low, high)
        beyond = OUTSIDE * (high - low)
        if least < low - beyond or most > high + beyond:
            name = _resolve(activation)[1]
            raise ValueError(
                f"a_BxH goes from {least:.4g} to {most:.4g}, beyond the range ({low:g}, {high:g}) of {name}; "
                "accepted: outputs of the activation, not its weighted inputs"
            )
    return a_BxH, low, high


def _share(condition_BxH: jax.Array, a_BxH: jax.Array) -> jax.Array:
    """The condition as 1 and 0, but NaN where the output is NaN: a comparison alone would hide it as False."""
    return jnp.where(jnp.isnan(a_BxH), jnp.nan, condition_BxH.astype(a_BxH.dtype))


def _resolve(activation: object) -> tuple[Activation, str]:
    """The activation together with its name for errors."""
    if isinstance(activation, Activation):
        names = [name for name, entry in ACTIVATIONS.items() if entry == activation]
        own = getattr(activation.function, "__name__", "of your own")
        return activation, f"activation {(names or [own])[0]!r}"
    if isinstance(activation, str):
        return activations.get(activation), f"activation {activation!r}"
    raise ValueError(f"activation is {activation!r}; accepted: an Activation, or one of {', '.join(ACTIVATIONS)}")


def _ends(activation: str | Activation, measure: str) -> tuple[float, float]:
    """The lower and the upper end of a range whose two ends are asymptotes; a ValueError that says what applies."""
    entry, name = _resolve(activation)
    if None not in entry.asymptotes and set(entry.asymptotes) == set(entry.range):
        return float(entry.range[0]), float(entry.range[1])
    if entry == ACTIVATIONS["relu"]:
        advice = "use zero_fraction, dead_units or dormant_units"
    elif entry.asymptotes == (None, None):
        advice = "it has no asymptote at all, so it never saturates"
    else:
        advice = "use slope_mass"
    raise ValueError(
        f"{measure} needs an activation whose range ends in two asymptotes, which {name} with range {entry.range} and "
        f"asymptotes {entry.asymptotes} is not; {advice}"
    )


def _saturated(a_BxH: ArrayLike, activation: str | Activation, margin: float, measure: str) -> jax.Array:
    """1. where an output is saturated, 0. where not, NaN where it is not finite: [B, H]."""
    if not 0 < margin <= 0.5:
        raise ValueError(f"margin is {margin!r}; accepted: a share of the range, above 0 and up to 0.5")
    a_BxH, low, high = _outputs(a_BxH, activation, measure)
    width = float(margin) * (high - low)
    return _share((a_BxH < low + width) | (a_BxH > high - width), a_BxH)


def saturated_fraction(a_BxH: ArrayLike, activation: str | Activation, margin: float = 0.05) -> jax.Array:
    """Share of a layer's outputs that lie within `margin` of the range from an asymptote: [B, H] -> a scalar in [0, 1].

    The inequalities are strict: a < .05 or a > .95 for the sigmoid (|z| > ln 19), |a| > .9 for tanh and softsign; the
    step's outputs are all saturated. NaN if an output is not finite. ValueError for an activation whose range does not
    end in two asymptotes, for a margin outside (0, .5], for arrays that are not [B, H], and, outside jit and vmap, for
    values outside the range, which are no outputs.
    """
    return jnp.mean(_saturated(a_BxH, activation, margin, "saturated_fraction"))


def unit_saturation(a_BxH: ArrayLike, activation: str | Activation, margin: float = 0.05) -> jax.Array:
    """`saturated_fraction` of every unit by itself, over the examples: [B, H] -> [H]; the same errors.

    NaN for the units with an output that is not finite, and for them alone.
    """
    return jnp.mean(_saturated(a_BxH, activation, margin, "unit_saturation"), axis=0)


def _is_whole(value: object) -> bool:
    """Whether the value is a whole number, Python's or NumPy's; a truth value is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def phi(a_BxH: ArrayLike, activation: str | Activation, bins: int = 10) -> jax.Array:
    """phi_B of a whole layer (Rakitianskaia & Engelbrecht, SSCI 2015): [B, H] -> a scalar in [0, 1], 1 if all saturate.

    The range [g_l, g_u] is cut into `bins` equal bins, closed below and open above but for the last, which holds g_u
    too; with f_b outputs of mean g_b in bin b and g'_b = 2 (g_b - g_l) / (g_u - g_l) - 1, phi = sum |g'_b| f_b / N.
    NaN if an output is not finite. ValueError for an activation whose range does not end in two asymptotes, for `bins`
    that is not a whole number from 1, for arrays that are not [B, H], and, outside jit and vmap, for values outside the
    range, which are no outputs.
    """
    if not _is_whole(bins) or bins < 1:
        raise ValueError(f"bins is {bins!r}; accepted: a whole number from 1")
    a_BxH, low, high = _outputs(a_BxH, activation, "phi")
    place_BxH = (a_BxH - low) / (high - low)
    scaled_BxH = 2 * place_BxH - 1
    # f_b |g'_b| is |sum of g' in the bin|, and g' keeps its sign in every bin but the middle one of an odd number: only
    # there outputs cancel, so no histogram is needed; an even number of bins has no such bin, and phi = mean |g'|.
    if bins % 2 == 0:
        return jnp.mean(jnp.abs(scaled_BxH))
    bin_BxH = jnp.clip(jnp.floor(place_BxH * bins), 0, bins - 1)
    middle_BxH = bin_BxH == bins // 2
    outside = jnp.mean(jnp.where(middle_BxH, 0.0, jnp.abs(scaled_BxH)))
    return outside + jnp.abs(jnp.mean(jnp.where(middle_BxH, scaled_BxH, 0.0)))


def slopes(z_BxH: ArrayLike, activation: str | Activation) -> jax.Array:
    """f'(z) of every weighted input by automatic differentiation: [B, H] -> [B, H]; NaN where z is not finite.

    In float32 the sigmoid's and tanh's are good to 1e-7, and exactly 0 beyond z = 17 and |z| = 9. The step's slope is
    0 everywhere. ValueError for an unknown activation and for arrays that are not [B, H].
    """
    entry, _ = _resolve(activation)
    z_BxH = _layer(z_BxH, "z_BxH")
    _, slope_BxH = jax.jvp(entry.function, (z_BxH,), (jnp.ones_like(z_BxH),))
    # The slope of relu and of the identity is a number even at NaN.
    return jnp.where(jnp.isnan(z_BxH), jnp.nan, slope_BxH)


def slope_mass(z_BxH: ArrayLike, activation: str | Activation) -> jax.Array:
    """Mean of |f'(z)| over the largest slope of f: [B, H] weighted inputs -> a scalar in [0, 1].

    Near 0 no gradient passes the layer, at 1 it all does; for relu it is the share of active outputs. It applies to
    every activation but one with no finite largest slope (the step), which is a ValueError, as are arrays that are not
    [B, H]. NaN if a weighted input is not finite.
    """
    entry, name = _resolve(activation)
    if not 0 < entry.max_slope < math.inf:
        raise ValueError(
            f"slope_mass needs a finite largest slope above 0, and that of {name} is {entry.max_slope}; "
            "for a bounded activation use saturated_fraction or phi"
        )
    return jnp.mean(jnp.abs(slopes(z_BxH, entry))) / entry.max_slope


def statistics(a_BxH: ArrayLike) -> dict[str, jax.Array]:
    """Mean, standard deviation and 98th percentile of a layer's outputs (Glorot & Bengio 2010, figures 2 and 3).

    [B, H] -> {"mean", "std", "percentile_98"}, scalars in the units of the output. The deviation is divided by N; the
    percentile interpolates linearly, like numpy's; a sum beyond the largest float is infinite. All three are NaN if an
    output is not finite. ValueError for arrays that are not [B, H].
    """
    a_BxH = _layer(a_BxH, "a_BxH")
    return {"mean": jnp.mean(a_BxH), "std": jnp.std(a_BxH), f"percentile_{PERCENTILE}": _percentile(a_BxH, PERCENTILE)}


def _percentile(a_BxH: jax.Array, percent: int) -> jax.Array:
    """numpy.percentile(a_BxH, percent) by bisection on counts, without the sort that XLA makes slow on a CPU.

    The bits of floats, read as integers and with the negative ones turned round, are in the order of the floats; as
    many halvings as there are bits find the order statistic exactly.
    """
    a_N = a_BxH.ravel()
    place = (a_N.size - 1) * (percent / 100)
    rank = math.floor(place)
    whole = jnp.dtype(f"int{8 * a_N.dtype.itemsize}")
    most: Any = jnp.iinfo(whole).max
    bits_N = jax.lax.bitcast_convert_type(a_N, whole)
    key_N = jnp.where(bits_N < 0, bits_N ^ most, bits_N)

    def halve(i: jax.Array, key: jax.Array) -> jax.Array:
        """Raise the key by the next bit if at most `rank` outputs lie below it; the first one wraps round to 0."""
        raised = key + jnp.left_shift(jnp.ones((), whole), (8 * whole.itemsize - 1 - i).astype(whole))
        return jnp.where(jnp.sum(key_N < raised) <= rank, raised, key)

    key = jax.lax.fori_loop(0, 8 * whole.itemsize, halve, jnp.full((), jnp.iinfo(whole).min, whole))
    repeated = jnp.sum(key_N <= key) > rank + 1
    above = jnp.where(repeated | (rank + 1 == a_N.size), key, jnp.min(jnp.where(key_N > key, key_N, most)))
    low, high = (jax.lax.bitcast_convert_type(jnp.where(k < 0, k ^ most, k), a_N.dtype) for k in (key, above))
    return jnp.where(jnp.isnan(a_N).any(), jnp.nan, low + (high - low) * (place - rank))


def zero_fraction(a_BxH: ArrayLike) -> jax.Array:
    """Share of a layer's outputs that are exactly 0, for relu: [B, H] -> a scalar in [0, 1].

    NaN if an output is not finite; ValueError for arrays that are not [B, H].
    """
    a_BxH = _layer(a_BxH, "a_BxH")
    return jnp.mean(_share(a_BxH == 0, a_BxH))


def dead_units(a_BxH: ArrayLike) -> jax.Array:
    """Which units output exactly 0 on every example of the probe set: [B, H] -> bool [H].

    A unit with an output that is not finite is not dead; ValueError for arrays that are not [B, H].
    """
    return jnp.all(_layer(a_BxH, "a_BxH") == 0, axis=0)


def dormant_units(a_BxH: ArrayLike, tau: float = 0.0) -> jax.Array:
    """Which units are tau-dormant (Sokar et al. 2023): mean |a| of the unit <= tau x the layer's mean |a|.

    [B, H] -> bool [H]. With tau = 0 these are the dead ones; a layer of zeros is all dormant. An output that is not
    finite leaves its layer without a mean, and so without a dormant unit. ValueError for tau below 0, and for arrays
    that are not [B, H].
    """
    if not tau >= 0:
        raise ValueError(f"tau is {tau!r}; accepted: a share of the layer's mean, from 0")
    mean_H = jnp.mean(jnp.abs(_layer(a_BxH, "a_BxH")), axis=0)
    return mean_H <= float(tau) * jnp.mean(mean_H)


def wrong_side_fraction(a_BxC: ArrayLike, targets_BxC: ArrayLike, margin: float = 0.95) -> jax.Array:
    """Share of output neurons with |a - y| > margin, saturated on the wrong side: [B, C], [B, C] -> a scalar in [0, 1].

    Here the quadratic cost's gradient vanishes and the cross-entropy's does not (Nielsen, Neural Networks and Deep
    Learning, ch. 3). Targets are 0 or 1. NaN if an output or a target is not finite. ValueError where the shapes differ
    or are not [B, C], and for a margin outside [0, 1).
    """
    if not 0 <= margin < 1:
        raise ValueError(f"margin is {margin!r}; accepted: a distance from the target, from 0 and below 1")
    a_BxC, targets_BxC = _layer(a_BxC, "a_BxC"), _layer(targets_BxC, "targets_BxC")
    if a_BxC.shape != targets_BxC.shape:
        raise ValueError(f"a_BxC has shape {a_BxC.shape} and targets_BxC {targets_BxC.shape}; accepted: the same shape")
    error_BxC = jnp.abs(a_BxC - targets_BxC)
    return jnp.mean(_share(error_BxC > float(margin), error_BxC))
