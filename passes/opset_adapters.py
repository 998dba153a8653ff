"""Adapts nodes written for an older operator set to opset 18: one small function per operator that changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.edit import graph_of, insert_before, substitute
from edgec.model.graph import add_constant, attribute, constant

Adapter = Callable[[ir.Node], ir.Node]

REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSumSquare",
)  # fmt: skip


def refuse(node: ir.Node, reason: str) -> UnsupportedModel:
    """Return the error for a node without an equivalent in the newer operator set."""
    return UnsupportedModel(
        f"node {node.name or node.outputs[0].name!r} ({node.op_type}): {reason}",
        remedy="Export the model with opset 13 or newer.",
    )


def keep(node: ir.Node, **changed: Any) -> dict[str, Any]:
    """Return the attributes of `node`, with those in `changed` replaced; None removes one."""
    return dict(node.attributes) | changed


def ints_to_input(*names: str) -> Adapter:
    """Return an adapter that turns the integer attributes `names` into trailing int64 inputs, if present."""

    def adapt(node: ir.Node) -> ir.Node:
        inputs: list[ir.Value | None] = list(node.inputs[:1])
        for name in names:
            value = attribute(node, name)
            inputs.append(None if value is None else _add(node, name, np.array(value, np.int64)))
        return substitute(node, node.op_type, inputs, keep(node, **dict.fromkeys(names)))

    return adapt


def batch_normalization_9(node: ir.Node) -> ir.Node:
    """Per-element statistics (`spatial=0`) become arithmetic; later versions always behave like `spatial=1`.

    y = (x - mean) * (scale / sqrt(var + epsilon)) + bias
    """
    if attribute(node, "spatial", 1):
        return substitute(node, node.op_type, node.inputs, keep(node, spatial=None))
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        raise refuse(node, "its statistics are outputs that are used, so it is in training mode")
    x, scale, bias, mean, var = node.inputs
    dtype = x.dtype.numpy() if x is not None and x.dtype is not None else np.dtype(np.float32)
    stem = node.outputs[0].name or "batch_norm"
    epsilon = _add(node, "epsilon", np.array(attribute(node, "epsilon", 1e-5), dtype))
    shifted = insert_before(node, "Add", [var, epsilon], stem=f"{stem}_var")
    deviation = insert_before(node, "Sqrt", [shifted], stem=f"{stem}_deviation")
    factor = insert_before(node, "Div", [scale, deviation], stem=f"{stem}_factor")
    centred = insert_before(node, "Sub", [x, mean], stem=f"{stem}_centred")
    product = insert_before(node, "Mul", [centred, factor], stem=f"{stem}_scaled")
    return _with_first_output(node, "Add", [product, bias])


def batch_normalization_14(node: ir.Node) -> ir.Node:
    """Up to version 9 extra outputs indicate training mode; later versions have an attribute for it."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        raise refuse(node, "its statistics are outputs that are used, so it is in training mode")
    return node if len(node.outputs) == 1 else _with_first_output(node, node.op_type, node.inputs, keep(node))


def dropout_12(node: ir.Node) -> ir.Node:
    """The ratio, which matters in training only, is dropped, and so is a mask that is not read (a float before 10)."""
    if len(node.outputs) > 1 and not (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return _with_first_output(node, node.op_type, node.inputs[:1])
    return substitute(node, node.op_type, node.inputs, keep(node, ratio=None))


def clip_11(node: ir.Node) -> ir.Node:
    """Bounds become inputs of the dtype of x."""
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    bounds = [
        None if (bound := attribute(node, name)) is None else _add(node, name, np.array(bound, _numpy(dtype)))
        for name in ("min", "max")
    ]
    return substitute(node, node.op_type, [node.inputs[0], *bounds], keep(node, min=None, max=None))


def pad_11(node: ir.Node) -> ir.Node:
    """Widths and value become inputs."""
    x = node.inputs[0]
    pads = _add(node, "pads", np.array(attribute(node, "pads"), np.int64))
    value = attribute(node, "value", 0.0)
    fill = _add(node, "value", np.array(value, _numpy(x.dtype if x is not None else None))) if value else None
    return substitute(node, node.op_type, [x, pads, fill], keep(node, pads=None, value=None))


def upsample_9(node: ir.Node) -> ir.Node:
    """The scales become an input."""
    scales = _add(node, "scales", np.array(attribute(node, "scales"), np.float32))
    return substitute(node, node.op_type, [node.inputs[0], scales], keep(node, scales=None))


def upsample_10(node: ir.Node) -> ir.Node:
    """Upsample is Resize with asymmetric coordinates, nearest rounded down (as in ONNX Runtime)."""
    mode = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return substitute(node, "Resize", [node.inputs[0], None, node.inputs[1]], keep(node, **mode))


def resize_11(node: ir.Node) -> ir.Node:
    """Resize-10 has asymmetric coordinates; nearest rounds down when enlarging and up when reducing (ONNX Runtime)."""
    scales = constant(node.inputs[1])
    nearest = attribute(node, "mode", "nearest") == "nearest"
    if nearest and (scales is None or (scales.min() < 1 < scales.max())):
        raise refuse(node, "nearest Resize of opset 10 needs constant scales that all enlarge or all reduce")
    rounding = "floor" if scales is None or scales.min() >= 1 else "ceil"
    mode = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": rounding if nearest else None}
    return substitute(node, node.op_type, [node.inputs[0], None, node.inputs[1]], keep(node, **mode))


def scan_9(node: ir.Node) -> ir.Node:
    """Scan-8 has a batch axis, which Scan-9 does not have."""
    raise refuse(node, "Scan of opset 8 has no equivalent in newer operator sets")


def scatter_11(node: ir.Node) -> ir.Node:
    """Scatter has another name."""
    return substitute(node, "ScatterElements", node.inputs, keep(node))


def softmax_13(node: ir.Node) -> ir.Node:
    """Before version 13 all axes from `axis` on are flattened into one; afterwards `axis` is a single axis."""
    x = node.inputs[0]
    axis = attribute(node, "axis", 1)
    if x is None or x.shape is None:
        raise refuse(node, f"the rank of {x.name if x is not None else 'its input'!r} is unknown")
    rank = len(x.shape)
    axis = axis + rank if axis < 0 else axis
    dims = list(x.shape)
    if all(dim == 1 for dim in dims[axis + 1 :]):
        return substitute(node, node.op_type, [x], {"axis": axis if axis < rank else -1})
    stem = node.outputs[0].name or "softmax"
    shape = insert_before(node, "Shape", [x], stem=f"{stem}_shape")
    shape.type = ir.TensorType(ir.DataType.INT64)
    flat = insert_before(node, "Flatten", [x], {"axis": axis}, stem=f"{stem}_flat")
    soft = insert_before(node, node.op_type, [flat], {"axis": 1}, stem=f"{stem}_2d")
    return substitute(node, "Reshape", [soft, shape])


def split_18(node: ir.Node) -> ir.Node:
    """An equal split needs the number of its outputs as an attribute."""
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return node
    return substitute(node, node.op_type, node.inputs, keep(node, num_outputs=len(node.outputs)))


def roi_align_16(node: ir.Node) -> ir.Node:
    """The default of the coordinate mode has changed."""
    mode = attribute(node, "coordinate_transformation_mode", "output_half_pixel")
    return substitute(node, node.op_type, node.inputs, keep(node, coordinate_transformation_mode=mode))


def top_k_10(node: ir.Node) -> ir.Node:
    """The count becomes an input, a vector of one element."""
    count = _add(node, "k", np.array([attribute(node, "k")], np.int64))
    return substitute(node, node.op_type, [node.inputs[0], count], keep(node, k=None))


# Operator -> the versions that changed its meaning or form, oldest first. Versions that only allow more dtypes, more
# inputs or a new attribute whose default is the old behaviour need no entry.
ADAPTERS: dict[str, tuple[tuple[int, Adapter], ...]] = {
    "BatchNormalization": ((9, batch_normalization_9), (14, batch_normalization_14)),
    "Clip": ((11, clip_11),),
    "Dropout": ((12, dropout_12),),
    "Hardmax": ((13, softmax_13),),
    "LogSoftmax": ((13, softmax_13),),
    "Pad": ((11, pad_11),),
    "ReduceSum": ((13, ints_to_input("axes")),),
    "Resize": ((11, resize_11),),
    "RoiAlign": ((16, roi_align_16),),
    "Scan": ((9, scan_9),),
    "Scatter": ((11, scatter_11),),
    "Slice": ((10, ints_to_input("starts", "ends", "axes")),),
    "Softmax": ((13, softmax_13),),
    "Split": ((13, ints_to_input("split")), (18, split_18)),
    "Squeeze": ((13, ints_to_input("axes")),),
    "TopK": ((10, top_k_10),),
    "Unsqueeze": ((13, ints_to_input("axes")),),
    "Upsample": ((9, upsample_9), (10, upsample_10)),
} | {name: ((18, ints_to_input("axes")),) for name in REDUCTIONS}


def _add(node: ir.Node, what: str, array: np.ndarray[Any, Any]) -> ir.Value:
    return add_constant(graph_of(node), f"{node.outputs[0].name or node.op_type}_{what}", array)


def _numpy(dtype: ir.DataType | None) -> np.dtype[Any]:
    return np.dtype(np.float32) if dtype is None else dtype.numpy()


def _with_first_output(node: ir.Node, op_type: str, inputs: Any, attributes: dict[str, Any] | None = None) -> ir.Node:
    """Replace `node` by one that has only its first output; the others have no readers."""
    graph = graph_of(node)
    new = ir.node(op_type, list(inputs), attributes or {}, name=node.name)
    ir.convenience.replace_nodes_and_values(graph, node, [node], [new], node.outputs[:1], new.outputs)
    return new
