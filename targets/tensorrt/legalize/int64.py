"""INT64 before TensorRT 10: the parser reads it as INT32 and clamps, which must not change the results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder, rewrite
from edgec.model.graph import constant
from edgec.targets.tensorrt.limits import Limits

INT32 = np.iinfo(np.int32)


def slice_bounds(node: ir.Node, limits: Limits) -> str | None:
    """Bring bounds such as INT64_MAX ("to the end") into the range of INT32, where they have the same effect."""
    if limits.has_int64:
        return None
    inputs, changed = list(node.inputs), False
    for index in (1, 2):
        bound = constant(inputs[index])
        if bound is not None and not fits(bound):
            inputs[index] = Builder(node).constant(np.clip(bound, INT32.min, INT32.max))
            changed = True
    if not changed:
        return None
    rewrite(node, inputs, {})
    return "bounds of Slice brought into the range of INT32"


def narrowed(model: ir.Model) -> list[ir.Value]:
    """Return the INT64 constants of `model` that are read as INT32."""
    values = [value for graph in model.graphs() for value in graph.initializers.values()]
    values += [node.outputs[0] for node in model.graph.all_nodes() if node.op_type == "Constant"]
    return [value for value in values if (array := constant(value)) is not None and array.dtype == np.int64]


def fits(array: np.ndarray[Any, Any]) -> bool:
    """Return whether every element of `array` is in the range of INT32."""
    return not array.size or bool(INT32.min <= array.min() and array.max() <= INT32.max)
