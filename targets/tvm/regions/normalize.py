"""Graph rewrites before region growth: equivalent forms of an operator become one, affine tails fold into weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgec.targets.tvm.regions.facts import Array, Convolution, Pool, Upsampling, pair, sides
from edgec.targets.tvm.regions.graph import Graph, Node, nodes_in
from edgec.targets.tvm.regions.recurrent import name_results
from edgec.targets.tvm.regions.reductions import align_reductions
from edgec.targets.tvm.regions.sequences import sequences_as_rows
from edgec.targets.tvm.regions.slices import name_slices
from edgec.targets.tvm.regions.taps import drop_taps
from edgec.targets.tvm.regions.transposed import transposed_to_conv

AFFINE = frozenset({"relax.add", "relax.subtract", "relax.multiply", "relax.divide"})
LARGE_POOL = 5


def normalize(graph: Graph) -> None:
    """Rewrite `graph` in place."""
    for rewrite in (
        _powers,
        _sum_of_stack,
        align_reductions,
        _flatten_concat,
        _read_weights,
        _shuffles,
        transposed_to_conv,
        _pools,
        sequences_as_rows,
        _fold_affine,
        _resize,
        name_slices,
        name_results,
    ):
        rewrite(graph)
        graph.relink()


def _powers(graph: Graph) -> None:
    """X ** 2  ->  square, x ** 0.5  ->  sqrt: a general power is a libm call per element."""
    names = {2.0: "relax.square", 0.5: "relax.sqrt"}
    for node in graph.nodes:
        if node.op != "relax.power" or node.dtype != "float32" or not isinstance(node.args[1], np.ndarray):
            continue
        exponent = node.args[1]
        same = isinstance(node.args[0], Node) and node.args[0].shape == node.shape
        if same and exponent.size == 1 and float(exponent.reshape(-1)[0]) in names:
            node.op = names[float(exponent.reshape(-1)[0])]
            node.args = node.args[:1]


def _sum_of_stack(graph: Graph) -> None:
    """sum(stack(a, b, ...), axis=0), the import of ONNX Sum  ->  a + b + ..."""
    for node in list(graph.nodes):
        if node.op != "relax.sum" or node.attrs.axis is None or node.ints("axis") != [0] or node.attrs.keepdims:
            continue
        stack = node.args[0]
        if not isinstance(stack, Node) or stack.op != "relax.stack" or int(stack.attrs.axis) != 0:
            continue
        terms = [_unbroadcast(term) for term in nodes_in(stack.args)]
        if len(terms) != len(stack.args[0]) or any(term.shape != node.shape for term in terms):
            continue
        total = terms[0]
        for index, term in enumerate(terms[1:]):
            order = node.order + 0.001 * (index + 1)
            total = Node("relax.add", [total, term], node.shape, node.dtype, order=order, call=node.call)
            graph.nodes.append(total)
        graph.replace(node, total)


def _unbroadcast(node: Node) -> Node:
    """Return the operand of a broadcast that does not change its shape."""
    source = node.args[0] if node.op == "relax.broadcast_to" else None
    return source if isinstance(source, Node) and source.shape == node.shape else node


def _flatten_concat(graph: Graph) -> None:
    """concat(concat(a, b), c) on one axis  ->  concat(a, b, c), which saves the inner copy."""
    for node in graph.nodes:
        if node.op != "relax.concat" or node.shape is None:
            continue
        parts: list[Any] = []
        for part in node.args[0] if isinstance(node.args[0], list) else node.args:
            inner = isinstance(part, Node) and part.op == "relax.concat" and _axis(part) == _axis(node)
            parts += part.args[0] if inner and len(part.users) == 1 and not graph.is_output(part) else [part]
        node.args = [parts]


def _axis(node: Node) -> int:
    axis = int(node.attrs.axis)
    return axis + len(node.shape or ()) if axis < 0 else axis


def _read_weights(graph: Graph) -> None:
    """Record weights (numpy, OIHW) and a zero bias of convolutions with constant weights."""
    for node in graph.nodes:
        if node.op != "relax.nn.conv2d" or node.dtype != "float32" or node.shape is None:
            continue
        source, weights = node.args[:2]
        if not isinstance(source, Node) or source.shape is None or not isinstance(weights, np.ndarray):
            continue
        node.facts = Convolution(
            weights=weights,
            bias=np.zeros(weights.shape[0], np.float32),
            strides=pair(node.ints("strides")),
            padding=sides(node.ints("padding")),
            dilation=pair(node.ints("dilation")),
            groups=int(node.attrs.groups),
        )
        drop_taps(node.facts, source.shape, node.shape)


def _shuffles(graph: Graph) -> None:
    """Channel shuffle (reshape, transpose, reshape), then depthwise conv  ->  depthwise conv that shuffles.

    `shuffle` is the number of groups g: output channel c reads channel (c mod g) * C/g + c div g.
    """
    for node in graph.nodes:
        layer = node.facts
        if not isinstance(layer, Convolution) or layer.weights.shape[:2] != (layer.groups, 1):
            continue
        last = node.args[0]
        swap = _source(last, "relax.reshape")
        first = _source(swap, "relax.permute_dims")
        source = _source(first, "relax.reshape")
        if swap is None or first is None or source is None or first.shape is None or source.shape is None:
            continue
        if source.shape != last.shape or len(first.shape) != 5:
            continue
        alone = all(len(step.users) == 1 and not graph.is_output(step) for step in (first, swap, last))
        whole = first.shape[0] == source.shape[0] and first.shape[3:] == source.shape[2:]
        if alone and whole and swap.attrs.axes is not None and swap.ints("axes") == [0, 2, 1, 3, 4]:
            node.args[0] = source
            layer.shuffle = first.shape[1]


def _source(node: Node | None, op: str) -> Node | None:
    """Return the first operand of `node` if that is a node and `node` is an `op`, else None."""
    source = node.args[0] if node is not None and node.op == op else None
    return source if isinstance(source, Node) else None


def _fold_affine(graph: Graph) -> None:
    """conv, then add/sub/mul/div by one constant per channel (batch norm, bias)  ->  conv with new weights and bias."""
    for node in graph.nodes:
        layer = node.facts
        if not isinstance(layer, Convolution):
            continue
        weights = layer.weights
        channels = weights.shape[0]
        scale, bias = np.ones(channels), layer.bias.astype(np.float64)
        tail = node
        while len(tail.users) == 1 and not graph.is_output(tail):
            user = tail.users[0]
            constant = _channel_constant(user, tail, channels)
            if constant is None:
                break
            match user.op:
                case "relax.add":
                    bias = bias + constant
                case "relax.subtract":
                    bias = bias - constant
                case "relax.multiply":
                    scale, bias = scale * constant, bias * constant
                case _:
                    scale, bias = scale / constant, bias / constant
            tail = user
        if tail is node or not (np.all(np.isfinite(scale)) and np.all(np.isfinite(bias))):
            continue
        layer.weights = (weights * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
        layer.bias = bias.astype(np.float32)
        graph.replace(tail, node)


def _channel_constant(user: Node, tail: Node, channels: int) -> Array | None:
    """Return the constant that `user` combines with `tail`, as [channels] doubles, if it has one value per channel."""
    if user.op not in AFFINE or len(user.args) != 2 or user.shape != tail.shape:
        return None
    first, second = user.args
    constant = second if first is tail else first
    if not isinstance(constant, np.ndarray) or constant.dtype != np.float32:
        return None
    if first is not tail and user.op in ("relax.subtract", "relax.divide"):
        return None
    per_channel = constant.ndim >= 3 and constant.shape[-3] == channels and constant.size == channels
    if constant.size != 1 and not per_channel:
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,)).astype(np.float64)


def _pools(graph: Graph) -> None:
    """Record the windows of pools, split large stride-1 max pools into rows and columns, name means over H and W."""
    for node in list(graph.nodes):
        source = node.args[0] if node.args else None
        if node.dtype != "float32" or node.shape is None or not isinstance(source, Node) or source.shape is None:
            continue
        if node.op in ("relax.nn.max_pool2d", "relax.nn.avg_pool2d"):
            _pool(graph, node, source)
        elif node.op == "relax.mean" and _is_over_pixels(node, source):
            node.op = "edgec.global_pool"


def _is_over_pixels(node: Node, source: Node) -> bool:
    if node.attrs.axis is None or len(source.shape or ()) != 4 or not node.attrs.keepdims:
        return False
    return sorted(axis % 4 for axis in node.ints("axis")) == [2, 3]


def _pool(graph: Graph, node: Node, source: Node) -> None:
    window, strides, padding = node.ints("pool_size"), node.ints("strides"), node.ints("padding")
    assert node.shape is not None and source.shape is not None
    if node.ints("dilation") != [1, 1] or len(source.shape) != 4:
        return
    maximum = node.op == "relax.nn.max_pool2d"
    whole = window == list(source.shape[2:]) and not any(padding) and node.shape[2:] == (1, 1)
    if whole and not maximum:
        node.op = "edgec.global_pool"
        return
    node.op = "edgec.max_pool" if maximum else "edgec.average_pool"
    top, left, bottom, right = padding
    pool = Pool(window=pair(window), strides=pair(strides), padding=(top, left, bottom, right))
    node.facts = pool if maximum else replace(pool, counts_padding=bool(node.attrs.count_include_pad))
    if maximum and strides == [1, 1] and min(window) >= LARGE_POOL and not node.attrs.ceil_mode:
        shape = (*source.shape[:3], node.shape[3])
        rows = Node(node.op, [source], shape, node.dtype, order=node.order - 0.001, call=node.call)
        rows.facts = replace(pool, window=(1, window[1]), padding=(0, left, 0, right))
        node.facts = replace(pool, window=(window[0], 1), padding=(top, 0, bottom, 0))
        node.args = [rows]
        graph.nodes.append(rows)


def _resize(graph: Graph) -> None:
    """Record integer factors of nearest-neighbour resizes."""
    for node in graph.nodes:
        source = node.args[0] if node.args else None
        if node.op != "relax.image.resize2d" or node.dtype != "float32" or node.shape is None:
            continue
        if not isinstance(source, Node) or source.shape is None or node.attrs.method != "nearest_neighbor":
            continue
        height, width = node.shape[2] / source.shape[2], node.shape[3] / source.shape[3]
        mode = str(node.attrs.coordinate_transformation_mode)
        floors = mode == "asymmetric" and node.attrs.rounding_method == "floor"
        if height == int(height) and width == int(width) and (floors or mode == "half_pixel"):
            node.op = "edgec.upsample"
            node.facts = Upsampling((int(height), int(width)))
