"""`store_codes`: stores weights as packed indices into a codebook, which a few standard ONNX operators decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import add_constant, unique_name
from edgec.passes.quantize.codecs.base import Levels

Array = np.ndarray[Any, Any]

BYTE = 8
WIDTHS = (1, 2, 4, 8)
"""Number of bits of a stored index; a byte contains whole indices."""


@dataclass(frozen=True, eq=False)
class CodedWeights:
    """A layer's weights: float32 = levels[codes] * steps of their channel.

    Attributes:
        levels: Value of each index.
        codes: uint8, of the shape of the weights.
        steps: float32 [channels].
        axis: Axis of the channels.
    """

    levels: Levels
    codes: Array
    steps: Array
    axis: int

    @property
    def width(self) -> int:
        """Number of bits of a stored index."""
        return next(width for width in WIDTHS if width >= self.levels.bits)

    def decoded(self) -> Array:
        """Return the float32 weights."""
        shape = [-1 if axis == self.axis else 1 for axis in range(self.codes.ndim)]
        return np.asarray(self.levels.levels.astype(np.float32)[self.codes] * self.steps.reshape(shape))

    def packed(self) -> Array:
        """Return the indices, the first one in the lowest bits; uint8 [ceil(n * width / 8)]."""
        per_byte = BYTE // self.width
        flat = np.zeros(-(-self.codes.size // per_byte) * per_byte, np.uint8)
        flat[: self.codes.size] = self.codes.ravel()
        parts = flat.reshape(-1, per_byte) << (np.arange(per_byte, dtype=np.uint8) * self.width)
        return np.asarray(np.bitwise_or.reduce(parts, axis=1), np.uint8)


def _indices_of_bytes(graph: ir.Graph, width: int) -> ir.Value:
    """Return the constant uint8 [256, indices per byte] that unpacks a byte; all layers share it."""
    name = f"indices_of_{width}_bits"
    if name in graph.initializers:
        return graph.initializers[name]
    shifts = np.arange(BYTE // width) * width
    return add_constant(graph, name, ((np.arange(256)[:, None] >> shifts) & (2**width - 1)).astype(np.uint8))


def store_codes(model: ir.Model, stem: str, coded: CodedWeights) -> ir.Value:
    """Add the packed weights and their decoding to `model`; return the decoded value, float32.

    The decoding reads only constants, so a runtime does it once, when it loads the network.
    """
    graph, shape = model.graph, coded.codes.shape
    nodes: list[ir.Node] = []

    def apply(op: str, operands: list[ir.Value], suffix: str) -> ir.Value:
        node = ir.node(op, operands, name=unique_name(graph, f"{stem}_{suffix}"))
        node.outputs[0].name, node.outputs[0].type = node.name, ir.TensorType(ir.DataType.FLOAT)
        nodes.append(node)
        return node.outputs[0]

    def integers(value: ir.Value, suffix: str) -> ir.Value:
        wide = apply("Cast", [value], suffix)
        nodes[-1].attributes["to"] = ir.AttrInt64("to", int(ir.DataType.INT32))
        wide.type = ir.TensorType(ir.DataType.INT32)
        return wide

    def number(values: Any, suffix: str) -> ir.Value:
        return add_constant(graph, f"{stem}_{suffix}", np.array(values, np.int64))

    packed = add_constant(graph, f"{stem}_packed", coded.packed())
    values = packed
    if coded.width < BYTE:
        values = apply("Gather", [_indices_of_bytes(graph, coded.width), integers(packed, "bytes")], "unpacked")
        values.type = ir.TensorType(ir.DataType.UINT8)
    levels = add_constant(graph, f"{stem}_levels", coded.levels.levels.astype(np.float32))
    values = apply("Gather", [levels, integers(values, "indices")], "values")
    if coded.packed().size * (BYTE // coded.width) != coded.codes.size:
        flat = apply("Reshape", [values, number([-1], "flat_shape")], "flat")
        values = apply("Slice", [flat, number([0], "start"), number([coded.codes.size], "end")], "cut")
    values = apply("Reshape", [values, number(shape, "shape")], "shaped")
    spread = [-1 if axis == coded.axis else 1 for axis in range(len(shape))]
    steps = add_constant(graph, f"{stem}_steps", coded.steps.astype(np.float32).reshape(spread))
    result = apply("Mul", [values, steps], "decoded")
    result.shape = ir.Shape(shape)
    graph.insert_before(next(iter(graph)), nodes)
    return result
