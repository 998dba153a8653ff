"""Rewrites before import of what TVM's importer would refuse or, worse, take for something else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import Array, add_constant, attribute, constant, opset, replace_uses
from edgec.reference.session import Reference
from edgec.targets.tvm.legalize_operators import legalize_operator

COORDINATES_BY_SIZE = ("align_corners", "tf_crop_and_resize")
"""Coordinate modes that do not look at the scale factors."""


def legalize(model: ir.Model) -> ir.Model:
    """Return a copy of `model` (canonical, static shapes) with the same results, for TVM's importer.

    Raises:
        UnsupportedModel: A Resize cannot be expressed; names the node.
    """
    model = model.clone()
    for node in list(model.graph):
        if node.op_type == "Resize":
            _legalize_resize(node, model)
        else:
            legalize_operator(node)
    return model


def _legalize_resize(node: ir.Node, model: ir.Model) -> None:
    """Turn a Resize whose scale factors do not give whole sizes into products with interpolation matrices.

    The importer computes the factors anew from the sizes: 9 * 0.5 becomes 4, and the factor 4/9. It also ignores
    `antialias` and misreads `axes`.
    """
    x, y = _shape(node.inputs[0]), _shape(node.outputs[0])
    given = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    scales = None if given is None or given.size == 0 else _spread(given, attribute(node, "axes"), len(x))
    by_size = attribute(node, "coordinate_transformation_mode", "half_pixel") in COORDINATES_BY_SIZE
    whole = scales is None or by_size or all(n * s == m for n, s, m in zip(x, scales, y, strict=True))
    # Of a single element TVM asks how far it is from the next.
    whole = whole and not any(m == 1 < n for n, m in zip(x, y, strict=True))
    if whole and not attribute(node, "antialias", 0) and "axes" not in node.attributes:
        return
    result = node.inputs[0]
    assert result is not None
    for axis in range(len(x)):
        if x[axis] == y[axis] and (scales is None or scales[axis] == 1):
            continue
        if by_size and attribute(node, "coordinate_transformation_mode") == "tf_crop_and_resize":
            raise UnsupportedModel(f"Resize (node {node.name!r}) crops in a way the TVM back end cannot express")
        factor = None if scales is None else float(scales[axis])
        matrix = _interpolation(node, opset(model), x[axis], y[axis], factor)
        result = _apply(node, model.graph, result, matrix, axis, len(x))
    replace_uses(node.outputs[0], result)
    node.graph.remove(node, safe=True)  # type: ignore[union-attr]


def _spread(values: Array, axes: tuple[int, ...] | None, rank: int) -> list[float]:
    """Return one scale factor per axis; those of axes left out are 1."""
    if axes is None:
        return [float(value) for value in values]
    factors = [1.0] * rank
    for axis, value in zip(axes, values, strict=True):
        factors[axis] = float(value)
    return factors


def _interpolation(node: ir.Node, version: int, size: int, resized: int, factor: float | None) -> Array:
    """Return the matrix [resized, size] by which the Resize `node` maps one axis.

    It is what ONNX Runtime makes of the unit matrix, so that coordinates half-way are rounded as the reference does.
    """
    kept = [a for a in node.attributes.values() if a.name not in ("axes", "keep_aspect_ratio_policy")]
    x = ir.val("x", ir.DataType.FLOAT, [size, size])
    sizes, scales = ir.val("sizes", ir.DataType.INT64, [2]), ir.val("scales", ir.DataType.FLOAT, [2])
    inputs = [x, None, None, sizes] if factor is None else [x, None, scales]
    single = ir.Node("", "Resize", inputs, kept, outputs=[ir.val("y", ir.DataType.FLOAT, [size, resized])])
    values = [value for value in inputs if value is not None]
    graph = ir.Graph(values, single.outputs, nodes=[single], opset_imports={"": version}, name="axis")
    proto = ir.to_proto(ir.Model(graph, ir_version=8))
    feeds: dict[str, Array] = {
        "x": np.eye(size, dtype=np.float32),
        "scales": np.array([1.0, factor or 1.0], np.float32),
        "sizes": np.array([size, resized], np.int64),
    }
    reference = Reference(proto.SerializeToString())
    columns = reference.run({name: feeds[name] for name in reference.input_names})["y"]
    return np.ascontiguousarray(np.asarray(columns, np.float32).T)


def _apply(node: ir.Node, graph: ir.Graph, x: ir.Value, matrix: Array, axis: int, rank: int) -> ir.Value:
    """Insert the product of `matrix` with `x` along `axis` before `node`; a choice of elements if it is one."""
    stem = f"{node.name}_axis{axis}"
    if attribute(node, "mode", "nearest") == "nearest":
        indices = add_constant(graph, stem, matrix.argmax(axis=1).astype(np.int64))
        made = ir.node("Gather", [x, indices], {"axis": axis}, name=stem)
    elif axis == rank - 1:
        made = ir.node("MatMul", [x, add_constant(graph, stem, matrix.T)], name=stem)
    elif axis == rank - 2:
        made = ir.node("MatMul", [add_constant(graph, stem, matrix), x], name=stem)
    else:
        problem = f"Resize (node {node.name!r}) interpolates axis {axis}: the TVM back end does the last two only"
        raise UnsupportedModel(problem)
    shape = list(_shape(x))
    shape[axis] = matrix.shape[0]
    made.outputs[0].shape, made.outputs[0].type = ir.Shape(shape), x.type
    graph.insert_before(node, made)
    return made.outputs[0]


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    if value is None or value.shape is None:
        raise UnsupportedModel(f"value {value!r} has no static shape")
    return tuple(value.shape.numpy())
