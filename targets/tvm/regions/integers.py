"""Integers in a normalized graph: biases fold into layers, redundant clipping goes, bytes are moved as bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgec.targets.tvm.regions.facts import Array, IntegerConvolution, IntegerProduct, Scaling
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.operators import CONV, DEQUANTIZE, QUANTIZE
from edgec.targets.tvm.regions.transposed import interleave_last

BYTE_MOVERS = frozenset(
    {
        *("edgec.max_pool", "edgec.upsample", "relax.concat", "relax.reshape", "relax.squeeze", "relax.expand_dims"),
        *("relax.permute_dims", "relax.split", "relax.strided_slice", "tuple_get"),
    }
)
"""Operators that only copy elements, so that they work on integers as on floats."""


def place_integers(graph: Graph) -> None:
    """Fold biases into integer layers, drop clipping that a quantization implies, move bytes instead of floats."""
    interleave_last(graph, CONV, QUANTIZE)
    for rewrite in (_fold_biases, _drop_clipping, _move_bytes, _drop_pairs):
        rewrite(graph)
        graph.relink()


def _fold_biases(graph: Graph) -> None:
    """Integer layer, then an add of one constant per channel  ->  the layer with a bias."""
    for node in graph.nodes:
        layer = node.facts if isinstance(node.facts, (IntegerConvolution, IntegerProduct)) else None
        while layer is not None and len(node.users) == 1 and not graph.is_output(node):
            user = node.users[0]
            constant = _bias(user, node, len(layer.bias))
            if constant is None:
                break
            layer.bias = layer.bias + constant
            graph.replace(user, node)
            graph.relink()


def _bias(user: Node, layer: Node, channels: int) -> Array | None:
    if user.op != "relax.add" or user.shape != layer.shape:
        return None
    constant = next((arg for arg in user.args if isinstance(arg, np.ndarray)), None)
    axis = -3 if layer.op == CONV else -1
    if constant is None or constant.size not in (1, channels):
        return None
    if constant.size > 1 and (constant.ndim < -axis or constant.shape[axis] != channels):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))


def _drop_clipping(graph: Graph) -> None:
    """Remove a ReLU or clip whose bounds lie outside the range of the quantization behind it."""
    for node in graph.nodes:
        source = node.args[0] if node.op == QUANTIZE else None
        if not isinstance(source, Node):
            continue
        low, high = representable(node)
        if source.op == "relax.nn.relu" and low >= 0.0:
            node.args = [source.args[0]]
        elif source.op == "relax.clip":
            bounds = [float(bound.value) for bound in source.args[1:3]]
            if bounds[0] <= low and bounds[1] >= high:
                node.args = [source.args[0]]


def representable(node: Node) -> tuple[float, float]:
    """Return the smallest and the largest real number that the result of a quantize node can represent."""
    scaling = node.known(Scaling)
    least, most = (0, 255) if node.dtype == "uint8" else (-128, 127)
    return (least - scaling.zero_point) * scaling.scale, (most - scaling.zero_point) * scaling.scale


def _move_bytes(graph: Graph) -> None:
    """quantize(move(dequantize(q)))  ->  move(q), for equal scale and zero point; constants are quantized likewise."""
    for node in graph.nodes:
        if node.op not in BYTE_MOVERS or node.dtype != "float32" or not node.users or graph.is_output(node):
            continue
        data, users = list(_data(node)), node.users
        sources = [each for each in data if isinstance(each, Node)]
        if not all(source.op == DEQUANTIZE for source in sources) or not all(user.op == QUANTIZE for user in users):
            continue
        known = {(source.known(Scaling), source.args[0].dtype) for source in sources}
        known |= {(user.known(Scaling), user.dtype) for user in users}
        if len(known) != 1 or not sources:
            continue
        ((scaling, node.dtype),) = known
        node.shift = users[0].shift
        integers = [e.args[0] if isinstance(e, Node) else scaling.quantize(e, node.dtype) for e in data]
        _replace_data(node, integers)
        for user in list(users):
            graph.replace(user, node)
        graph.relink()


def _data(node: Node) -> Iterator[Node | Array]:
    parts = node.args[0] if isinstance(node.args[0], list) else node.args[:1]
    yield from parts


def _replace_data(node: Node, sources: list[Node | Array]) -> None:
    node.args = [sources if isinstance(node.args[0], list) else sources[0], *node.args[1:]]


def _drop_pairs(graph: Graph) -> None:
    """quantize(dequantize(q)) with the same parameters  ->  q."""
    for node in graph.nodes:
        source = node.args[0] if node.op == QUANTIZE else None
        if not isinstance(source, Node) or source.op != DEQUANTIZE or source.args[0].dtype != node.dtype:
            continue
        if source.known(Scaling) == node.known(Scaling):
            graph.replace(node, source.args[0])
