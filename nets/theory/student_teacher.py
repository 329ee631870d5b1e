"""A student of ReLU neurons that imitates a teacher of ReLU neurons: the exact cost over all Gaussian inputs.

K neurons of the student, M neurons of the teacher, D inputs. Both nets sum their neurons, without biases and without
output weights, and the inputs are x ~ N(0, I):

    F(W) = 1/2 E (sum_i max(0, w_i.x) - sum_j max(0, v_j.x))^2

which is a sum over pairs of neurons of E max(0, w.x) max(0, v.x), known in closed form: no example is ever drawn.

    weights_KxD = nets.student_teacher.initial_weights(jax.random.key(0), 7)
    nets.student_teacher.population_cost(weights_KxD, jnp.eye(7))
    jax.grad(nets.student_teacher.population_cost)(weights_KxD, jnp.eye(7))

Everything works under jit and vmap and in the dtype of its arguments; `jax.grad` and `jax.hessian` are exact also where
neurons coincide. Angles below the root of the machine epsilon are not told from 0, which float32 notices in the fourth
digit of a gradient near the teacher and float64 in the ninth.
"""

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp

Triple: TypeAlias = tuple[jax.Array, jax.Array, jax.Array]


def _sine(product: jax.Array, w_squared: jax.Array, v_squared: jax.Array) -> jax.Array:
    """|w| |v| sin(angle), with a derivative of 0 where they are parallel: all that it is part of is smooth there."""
    size = jnp.sqrt(w_squared * v_squared)
    squared = (size - product) * (size + product)
    return jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)


@jax.custom_jvp
def _pair(product: jax.Array, w_squared: jax.Array, v_squared: jax.Array) -> jax.Array:
    """E max(0, w.x) max(0, v.x) from w.v, |w|^2 and |v|^2, elementwise."""
    sine = _sine(product, w_squared, v_squared)
    return (sine + (math.pi - jnp.arctan2(sine, product)) * product) / (2 * math.pi)


@_pair.defjvp
def _pair_jvp(primals: Triple, tangents: Triple) -> tuple[jax.Array, jax.Array]:
    """The derivative by hand: in the automatic one, terms that grow without bound cancel where neurons are parallel."""
    product, w_squared, v_squared = primals
    sine = _sine(*primals)
    along_product = (math.pi - jnp.arctan2(sine, product)) / (2 * math.pi) * tangents[0]
    along_sizes = sine / (4 * math.pi) * (tangents[1] / w_squared + tangents[2] / v_squared)
    return _pair(*primals), along_product + along_sizes


def relu_correlations(weights_KxD: jax.Array, others_MxD: jax.Array) -> jax.Array:
    """E max(0, w.x) max(0, v.x) over x ~ N(0, I) for every pair of neurons, [K, M], in the unit of weight^2.

    |w| |v| (sin t + (pi - t) cos t) / (2 pi) with t the angle between w and v: the arc-cosine kernel of degree 1 (Cho &
    Saul 2009). At a weight vector of 0 there is no gradient. ValueError unless both have two axes and D inputs.
    """
    shapes = jnp.shape(weights_KxD), jnp.shape(others_MxD)
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"the weights have the shapes {shapes[0]} and {shapes[1]}; accepted: [K, D] and [M, D]")
    product_KxM = jnp.matmul(weights_KxD, others_MxD.T, precision=jax.lax.Precision.HIGHEST)
    w_squared_K, v_squared_M = jnp.sum(weights_KxD**2, axis=1), jnp.sum(others_MxD**2, axis=1)
    shape = product_KxM.shape
    return _pair(
        product_KxM, jnp.broadcast_to(w_squared_K[:, None], shape), jnp.broadcast_to(v_squared_M[None, :], shape)
    )


def population_cost(student_KxD: jax.Array, teacher_MxD: jax.Array) -> jax.Array:
    """1/2 E (sum_i max(0, w_i.x) - sum_j max(0, v_j.x))^2 over x ~ N(0, I), a scalar, in the unit of weight^2.

    It is 0 where the student's neurons are the teacher's in any order. Source: Safran & Shamir, Spurious local minima
    are common in two-layer ReLU neural networks, ICML 2018, section 2. Errors as `relu_correlations`.
    """
    of_students = jnp.sum(relu_correlations(student_KxD, student_KxD))
    of_both = jnp.sum(relu_correlations(student_KxD, teacher_MxD))
    return of_students / 2 - of_both + jnp.sum(relu_correlations(teacher_MxD, teacher_MxD)) / 2


def initial_weights(key: jax.Array, neurons: int, inputs: int | None = None) -> jax.Array:
    """Xavier's normal weights (Glorot & Bengio 2010), N(0, 2 / (K + D)), [K, D]; as many inputs as neurons for None."""
    inputs = neurons if inputs is None else inputs
    return jax.random.normal(key, (neurons, inputs), jnp.result_type(float)) * (2 / (neurons + inputs)) ** 0.5
