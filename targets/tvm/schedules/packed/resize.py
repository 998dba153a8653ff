"""Resizing of packed tensors to any size, by linear interpolation or to the nearest pixel by rounding down.

Each output row lies between two input rows, each column between two columns; their indices and distances are constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.packed_layout import packed_shape
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.regions.graph import Node
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region, Rule
from edgec.targets.tvm.schedules.common.kernel import widened
from edgec.targets.tvm.schedules.common.packed_expression import PackedExpression
from edgec.targets.tvm.schedules.packed.injective import injective_kernel

COORDINATES: dict[str, Callable[[Array, int, int], Array]] = {
    "half_pixel": lambda at, size, resized: (at + 0.5) * size / resized - 0.5,
    "pytorch_half_pixel": lambda at, size, resized: (at + 0.5) * size / resized - 0.5 if resized > 1 else at * 0.0,
    "align_corners": lambda at, size, resized: at * (size - 1) / max(resized - 1, 1),
    "asymmetric": lambda at, size, resized: at * size / resized,
}
"""Input position of output position `at` of an axis, by coordinate transformation mode (ONNX Resize-19)."""


def match(node: Node, _cpu: CpuModel) -> bool:
    """Return whether `node` resizes H and W of a packed tensor in a supported way."""
    source = node.args[0] if node.args else None
    if node.op != "relax.image.resize2d" or node.dtype != "float32" or node.shape is None:
        return False
    if not isinstance(source, Node) or not source.packed or node.attrs.layout != "NCHW":
        return False
    mode = str(node.attrs.coordinate_transformation_mode)
    if node.attrs.method == "linear":
        return mode in COORDINATES
    floors = node.attrs.method == "nearest_neighbor" and node.attrs.rounding_method == "floor"
    return floors and mode == "asymmetric"


def neighbours(size: int, resized: int, mode: str, *, linear: bool) -> tuple[Array, Array, Array]:
    """Return, for each position of a resized axis, the two input positions beside it and its distance to the first."""
    at = np.arange(resized)
    if not linear:
        nearest = (at * size // resized).astype(np.int32)
        return nearest, nearest, np.zeros(resized, np.float32)
    where = np.clip(COORDINATES[mode](at.astype(np.float64), size, resized), 0, size - 1)
    first: Array = np.floor(where).astype(np.int32)
    return first, np.minimum(first + 1, size - 1).astype(np.int32), (where - first).astype(np.float32)


def lower(region: Region, cpu: CpuModel) -> Kernel:
    """Return the kernel of a resize region."""
    node = region.anchor
    shape, linear = node.args[0].shape, node.attrs.method == "linear"
    assert node.shape is not None
    mode = str(node.attrs.coordinate_transformation_mode)
    expression = PackedExpression(region.members, cpu)
    source = te.placeholder(packed_shape(shape, expression.block), cpu.storage, name="source")
    arrays = [
        array
        for size, resized in zip(shape[2:], node.shape[2:], strict=True)
        for array in neighbours(size, resized, mode, linear=linear)[: 3 if linear else 1]
    ]
    tables = [te.placeholder(array.shape, str(array.dtype), name=f"table{at}") for at, array in enumerate(arrays)]

    def element(n: Any, c: Any, h: Any, w: Any, b: Any) -> Any:
        if not linear:
            return source[n, c, tables[0][h], tables[1][w], b]
        upper, lower_row, down, left, right, along = tables

        def row(at: Any) -> Any:
            first, second = (widened(source[n, c, at, side[w], b]) for side in (left, right))
            return first + (second - first) * along[w]

        top, bottom = row(upper[h]), row(lower_row[h])
        return top + (bottom - top) * down[h]

    operands = [Operand(node.args[0], packed=True), *(Operand(array) for array in arrays)]
    return injective_kernel(
        expression,
        [source, *tables],
        operands,
        lambda *index: expression.at(index, element(*index)),
        None,
        cpu,
    )


RULE = Rule("resize", "packed", match, lower)
