"""Q/DQ pairs on the graph: which operators compute on the integers themselves, and how their scales combine.

`read_quantization` runs on the imported graph, before constants are folded: weights are still integers there. Operators
that neither it nor `place_integers` supports remain dequantize, float operator, quantize.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.quantization import SMALLEST_SCALE
from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import block_of, ceil_div
from edgec.targets.tvm.regions.facts import Array, Convolution, IntegerConvolution, IntegerProduct, Scaling, pair, sides
from edgec.targets.tvm.regions.graph import Graph, Node
from edgec.targets.tvm.regions.operators import CONV, DEQUANTIZE, MATMUL, QUANTIZE
from edgec.targets.tvm.regions.taps import drop_taps
from edgec.targets.tvm.regions.transposed import add_phases, is_plain

BYTES = ("int8", "uint8")
NEON_STRIDE = 2
"""NEON's kernels load four pixels at once, from two registers at most, which limits the stride."""


def read_quantization(graph: Graph, cpu: CpuModel) -> bool:
    """Rewrite Q/DQ nodes with constant parameters, in place; return whether there were any.

    Pairs with one scale become `edgec.quantize` and `edgec.dequantize`, whose facts are a `Scaling`. Convolutions and
    products of dequantized activations with dequantized int8 weights become `edgec.conv_int8` and `edgec.matmul_int8`,
    which read the integers. Other dequantized constants become float constants.
    """
    pairs = [node for node in graph.nodes if node.op in ("relax.quantize", "relax.dequantize")]
    if not pairs:
        return False
    for node in pairs:
        _read_pair(node)
    if cpu.byte_type is not None:
        _one_type(graph, cpu.byte_type)
        graph.relink()
        for node in list(graph.nodes):
            if node.op == "relax.nn.conv2d":
                _read_convolution(node, cpu)
            elif is_plain(node):
                _read_transposed(graph, node, cpu)
            elif node.op == "relax.matmul" and cpu.dot_product != "none":
                _read_product(node, cpu.byte_type)
    for node in pairs:
        if node.op == "relax.dequantize" and isinstance(node.args[0], np.ndarray):
            graph.replace(node, _dequantized(node))
    graph.relink()
    return True


def _read_pair(node: Node) -> None:
    source, scale, zero_point = node.args
    constant = isinstance(scale, np.ndarray) and isinstance(zero_point, np.ndarray)
    if not isinstance(source, Node) or not constant or scale.size != 1 or zero_point.size != 1:
        return
    integers = node.dtype if node.op == "relax.quantize" else source.dtype
    if integers not in BYTES or node.shape is None or scale.dtype != np.float32:
        return
    if not SMALLEST_SCALE <= scale.reshape(-1)[0] < np.inf:
        return  # a constant activation is sometimes exported with a scale of 0, by which the kernels cannot divide
    node.op = QUANTIZE if node.op == "relax.quantize" else DEQUANTIZE
    node.args = [source]
    node.facts = Scaling(float(scale.reshape(-1)[0]), int(zero_point.reshape(-1)[0]))


def _one_type(graph: Graph, byte_type: str) -> None:
    """Convert integers that only dequantizations read to the type that the CPU multiplies: shift q and zero point."""
    for node in graph.nodes:
        only_read_back = all(user.op == DEQUANTIZE for user in node.users) and not graph.is_output(node)
        if node.op != QUANTIZE or node.dtype == byte_type or not only_read_back:
            continue
        shift = 128 if byte_type == "uint8" else -128
        node.dtype = byte_type
        node.shift = shift
        for each in (node, *node.users):
            scaling = each.known(Scaling)
            each.facts = Scaling(scaling.scale, scaling.zero_point + shift)


def _read_convolution(node: Node, cpu: CpuModel) -> None:
    (source, weights), shape, byte_type = node.args[:2], node.shape, cpu.byte_type or ""
    if shape is None or len(shape) != 4 or node.dtype != "float32" or not _dequantized_activation(source, byte_type):
        return
    if cpu.isa == "neon" and node.ints("strides")[1] > NEON_STRIDE:
        return
    read = _integer_weights(weights, axis=0)
    if read is None:
        return
    integers, scales = read
    groups = int(node.attrs.groups)
    depthwise = integers.shape[:2] == (groups, 1) and source.shape[1] == groups
    if groups > 1 and not depthwise and integers.shape[1] % 4:
        return  # otherwise a group of channels would not begin at a multiple of four
    if depthwise and node.ints("dilation") != [1, 1] and cpu.isa != "neon":
        return
    node.op = CONV
    node.args = [source.args[0]]
    node.facts = IntegerConvolution(
        weights=integers,
        scales=scales * source.known(Scaling).scale,
        bias=np.zeros(len(integers)),
        scaling=source.known(Scaling),
        strides=pair(node.ints("strides")),
        padding=sides(node.ints("padding")),
        dilation=pair(node.ints("dilation")),
        groups=groups,
        depthwise=depthwise and groups > 1,
    )
    drop_taps(node.facts, source.shape, shape)


def _read_transposed(graph: Graph, node: Node, cpu: CpuModel) -> None:
    """Rewrite a transposed convolution; phases with a block of channels or more have whole blocks, moved as such."""
    source, weights = node.args
    read = _integer_weights(weights, axis=1) if _dequantized_activation(source, cpu.byte_type or "") else None
    if read is None:
        return
    integers, scales = read
    block = block_of(integers.shape[1], cpu)
    channels = ceil_div(len(scales), block) * block if len(scales) > block else len(scales)
    node.args[0] = source.args[0]
    conv = add_phases(graph, node, integers, channels)
    phases, scaling = conv.known(Convolution), source.known(Scaling)
    count = len(phases.weights)
    each = np.pad(scales, (0, channels - len(scales)), mode="edge")
    conv.op = CONV
    conv.facts = IntegerConvolution(
        weights=phases.weights,
        scales=np.tile(each, count // channels) * scaling.scale,
        bias=np.zeros(count),
        scaling=scaling,
        strides=phases.strides,
        padding=phases.padding,
        dilation=phases.dilation,
        groups=phases.groups,
        depthwise=False,
    )


def _read_product(node: Node, byte_type: str) -> None:
    source, weights = node.args
    transposed = isinstance(weights, Node) and weights.op == "relax.permute_dims"
    if transposed:
        weights = weights.args[0]
    if not _dequantized_activation(source, byte_type) or node.shape is None or node.dtype != "float32":
        return
    read = _integer_weights(weights, axis=0 if transposed else 1)
    if read is None or read[0].ndim != 2 or len(source.shape) < 2:
        return
    integers, scales = read
    node.op = MATMUL
    node.args = [source.args[0]]
    node.facts = IntegerProduct(
        weights=integers if transposed else np.ascontiguousarray(integers.T),
        scales=scales * source.known(Scaling).scale,
        bias=np.zeros(len(scales)),
        scaling=source.known(Scaling),
    )


def _dequantized_activation(source: Any, byte_type: str) -> bool:
    return isinstance(source, Node) and source.op == DEQUANTIZE and source.args[0].dtype == byte_type


def _integer_weights(weights: Any, axis: int) -> tuple[Array, Array] | None:
    """Return int8 weights and a double scale for each index along `axis`, if they are stored so and symmetric."""
    if not isinstance(weights, Node) or weights.op != "relax.dequantize":
        return None
    integers, scales, zero_points = weights.args
    constant = all(isinstance(each, np.ndarray) for each in weights.args)
    if not constant or integers.dtype != np.int8 or zero_points.any():
        return None
    channels = integers.shape[axis]
    if scales.size not in (1, channels) or (scales.size > 1 and _axis(weights, integers.ndim) != axis):
        return None
    return integers, np.broadcast_to(scales.reshape(-1).astype(np.float64), (channels,))


def _axis(node: Node, rank: int) -> int:
    return int(node.attrs.axis) % rank


def _dequantized(node: Node) -> Array:
    """Return the float constant that a dequantize of constants computes."""
    integers, scales, zero_points = node.args
    shape = [1] * integers.ndim
    if scales.size > 1:
        shape[_axis(node, integers.ndim)] = scales.size
    steps = integers.astype(np.float64) - np.asarray(zero_points.reshape(shape if zero_points.size > 1 else -1)[...])
    return np.asarray((steps * scales.astype(np.float64).reshape(shape)).reshape(integers.shape), np.float32)
