"""How fast each layer learns: gradients and updates by layer, and what a layer does to a signal's size.

B batch, I inputs of a layer, O its outputs, S = min(I, O). A tree is the parameters of a network or their gradient:
nested dicts as Flax Linen and Haiku make them, the state of a Flax NNX module, an Equinox module, or any pytree of
arrays. A layer is the innermost container that holds arrays, and its name is the path to it joined by '/': `hidden_0`,
`encoder/Dense_0`, `layers/1`. NNX's variables and Flax's boxes are the arrays in them; functions, names and switches,
which are leaves of an Equinox module, are passed over. A bias is called `bias` or `b`, and a kernel `kernel`, `weight`
or `w`. Results are flat dicts by that name, in
the order in which JAX flattens the tree (dicts by sorted key). Every function works under `jit`, and under `vmap` over
leading axes of lanes. NaN in a leaf makes its layer's result NaN and touches no other layer.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nets.activations import Activation
from nets.saturation import slopes
from nets.trees import Tree, is_box

# Names of leaves: of Flax, Equinox and Haiku.
BIASES = ("bias", "b")
KERNELS = ("kernel", "weight", "w")


def _unboxed(node: Tree, name: str) -> Tree:
    """The array in the box; ValueError where there are several."""
    if not is_box(node):
        return node
    arrays = jax.tree.leaves(node)
    if len(arrays) != 1:
        raise ValueError(f"leaf {name!r} is a {type(node).__name__} of {len(arrays)} arrays; accepted: one")
    return arrays[0]


def _is_setting(leaf: object, path: tuple[object, ...], name: str) -> bool:
    """Whether a leaf is a module's function, name or switch; ValueError for its numbers, of which nobody can tell
    whether they are parameters."""
    if hasattr(leaf, "dtype") or not path or not isinstance(path[-1], jax.tree_util.GetAttrKey):
        return False
    if isinstance(leaf, int | float | complex) and not isinstance(leaf, bool):
        kind = type(leaf).__name__
        raise ValueError(f"leaf {name!r} is a bare {kind}; accepted: arrays, as equinox.filter(tree, is_array) leaves")
    return isinstance(leaf, bool | str) or callable(leaf)


def by_layer(tree: Tree) -> dict[str, dict[str, jax.Array]]:
    """The leaves of each layer: `{"hidden_0": {"bias": [O], "kernel": [I, O]}, ...}`.

    Arrays that no container holds, or only the outermost, are the layer '.'; a lone array is its leaf ''. ValueError
    for a tree without arrays, for a leaf that is no array of numbers, for a bare number in a module, of which nobody
    can tell whether it is a parameter, and for two layers that would share a name.
    """
    layers: dict[str, dict[str, jax.Array]] = {}
    paths: dict[str, Any] = {}
    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_box):
        if is_box(node) and not jax.tree.leaves(node):
            continue  # A counter or a key that was filtered out.
        *layer, last = [jax.tree_util.keystr((key,), simple=True) for key in path] or [""]
        name = "/".join(layer) or "."
        if _is_setting(leaf := _unboxed(node, last), path, last):
            continue
        if not jnp.issubdtype(kind := getattr(leaf, "dtype", type(leaf)), jnp.number):
            told = getattr(kind, "name", type(leaf).__name__)
            raise ValueError(f"leaf {last!r} of layer {name!r} is {told}; accepted: arrays of numbers")
        if paths.setdefault(name, layer) != layer or last in layers.get(name, {}):
            raise ValueError(f"two layers of the tree are called {name!r}; accepted: one of each name")
        layers.setdefault(name, {})[last] = jnp.asarray(leaf)
    if not layers:
        raise ValueError("the tree holds no arrays; accepted: the parameters of at least one layer")
    return layers


def norm(arrays: Iterable[jax.Array]) -> jax.Array:
    """The Euclidean norm of all the arrays together.

    They are divided by the largest absolute value first: the square of a gradient of 1e-20, which a deep sigmoid net
    has in its first layers, is 0 in float32.
    """
    flat_N = jnp.concatenate([jnp.abs(_promoted(array)).ravel() for array in arrays])
    largest = jnp.max(flat_N, initial=0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return scale * jnp.sqrt(jnp.sum(jnp.square(flat_N / scale)))


def _promoted(array: jax.Array) -> jax.Array:
    """At least float32, so that half precision does not overflow in squares nor unsigned integers in differences."""
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def _named(leaves: Mapping[str, object], names: tuple[str, ...], layer: str) -> str | None:
    """Which of the names a leaf of the layer has, if any; ValueError where two have one."""
    found = [name for name in names if name in leaves]
    if len(found) > 1:
        raise ValueError(f"layer {layer!r} has the leaves {' and '.join(found)}; accepted: one of them")
    return found[0] if found else None


def biases(tree: Tree) -> list[tuple[str, dict[str, jax.Array], str]]:
    """The layers that have a bias: name, leaves, and which leaf it is; ValueError where one has two."""
    named = [(name, leaves, _named(leaves, BIASES, name)) for name, leaves in by_layer(tree).items()]
    return [(name, leaves, bias) for name, leaves, bias in named if bias]


def bias_gradient_norms(gradient: Tree) -> dict[str, jax.Array]:
    """Speed of learning |delta^l| of each layer (Nielsen, Neural Networks and Deep Learning, ch. 5): {layer: scalar}.

    `gradient` is that of the mean cost over a probe set, so that dC/db^l is the mean of delta^l over it; the norm of it
    is in units of cost per unit of bias. Only layers with a leaf called `bias` or `b` have one. A batch normalization
    with a bias counts as a layer of its own, which a comparison by depth leaves out. ValueError where no layer has a
    bias, or one has two.
    """
    layers = by_layer(gradient)
    biases = {name: _named(leaves, BIASES, name) for name, leaves in layers.items()}
    norms = {name: norm([layers[name][bias]]) for name, bias in biases.items() if bias}
    if not norms:
        names = ", ".join(layers)
        names = names if len(names) <= 150 else f"{names[:147]}..."
        raise ValueError(f"no layer of the gradient has a leaf 'bias' or 'b'; its layers: {names}")
    return norms


def gradient_norms(gradient: Tree) -> dict[str, jax.Array]:
    """Norm of each layer's gradient over all its leaves together: {layer: scalar}; ValueErrors of `by_layer`."""
    return {name: norm(leaves.values()) for name, leaves in by_layer(gradient).items()}


def _paired(before: Tree, after: Tree) -> dict[str, dict[str, tuple[jax.Array, jax.Array]]]:
    """Leaf by leaf (before, after); ValueError naming the first leaf that only one has or that changed its shape."""
    old, new = by_layer(before), by_layer(after)
    for name in sorted(old.keys() | new.keys()):
        for leaf in sorted(old.get(name, {}).keys() | new.get(name, {}).keys()):
            shapes = [layers[name][leaf].shape if leaf in layers.get(name, {}) else None for layers in (old, new)]
            if shapes[0] != shapes[1]:
                told = " and ".join(
                    f"is missing {time}" if shape is None else f"has shape {shape} {time}"
                    for shape, time in zip(shapes, ("before", "after"), strict=True)
                )
                raise ValueError(f"leaf {leaf!r} of layer {name!r} {told}; accepted: two trees with the same leaves")
    return {name: {leaf: (old[name][leaf], new[name][leaf]) for leaf in leaves} for name, leaves in old.items()}


def update_ratios(before: Tree, after: Tree) -> dict[str, jax.Array]:
    """Size of an update in units of the weights: per layer ||w after - w before|| / ||w before||, {layer: scalar}.

    w is every leaf but the bias in a layer that has a kernel, and every leaf in a layer that has none. Weights that
    were all 0 give infinity if they moved and 0 if they did not; weights that become infinite give infinity, and NaN or
    weights that were infinite before give NaN. ValueError naming the leaf where the trees differ in leaves or shapes.
    """
    ratios = {}
    for name, leaves in _paired(before, after).items():
        bias = _named(leaves, BIASES, name) if _named(leaves, KERNELS, name) else None
        pairs = [pair for leaf, pair in leaves.items() if leaf != bias]
        moved = norm(_promoted(new) - _promoted(old) for old, new in pairs)
        ratios[name] = jnp.where(moved == 0, 0.0, moved / norm(old for old, _ in pairs))
    return ratios


def displacements(before: Tree, after: Tree) -> dict[str, jax.Array]:
    """Norm of each layer's change over all its leaves together: {layer: scalar}, in units of the parameters.

    ValueError naming the leaf where the two trees differ in their leaves or shapes.
    """
    pairs = {name: leaves.values() for name, leaves in _paired(before, after).items()}
    return {name: norm(_promoted(new) - _promoted(old) for old, new in leaves) for name, leaves in pairs.items()}


def layer_jacobian_singular_values(kernel_IxO: ArrayLike, z_BxO: ArrayLike, activation: str | Activation) -> jax.Array:
    """Singular values of a dense layer's Jacobian da_out/da_in = diag(f'(z)) W^T at each example, largest first.

    [I, O] weights, [B, O] weighted inputs -> [B, S]. Below 1 a layer shrinks what passes it either way; their mean is
    what Glorot & Bengio (2010, section 4.2.1) report. `activation` is a name or an `Activation`; the step's Jacobian is
    0. NaN for an example with a value that is not finite. A decomposition an example, so a probe set of hundreds is
    enough. ValueError for shapes that do not fit, empty ones, and an unknown activation.
    """
    kernel_IxO, z_BxO = jnp.asarray(kernel_IxO), jnp.asarray(z_BxO)
    if kernel_IxO.ndim != 2 or z_BxO.ndim != 2 or kernel_IxO.shape[1] != z_BxO.shape[1] or 0 in kernel_IxO.shape:
        raise ValueError(
            f"kernel_IxO has shape {kernel_IxO.shape} and z_BxO {z_BxO.shape}; accepted: [I, O] and [B, O], not empty"
        )
    slope_BxO = slopes(z_BxO, activation)
    kernel_IxO = _promoted(kernel_IxO)
    kernel_IxO = jnp.where(jnp.isfinite(kernel_IxO), kernel_IxO, jnp.nan)
    # A few examples at a time: all Jacobians at once would fill the memory with B copies of a wide layer's weights.
    return jax.lax.map(
        lambda slope_O: jnp.linalg.svd(kernel_IxO * slope_O[None, :], compute_uv=False), slope_BxO, batch_size=16
    )
