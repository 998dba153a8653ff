"""Shapes of the outputs of a single node whose inputs have static shapes, by ONNX's own inference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.bound_sizes.facts import bounds_of
from edgec.passes.bound_sizes.site import Site, Unbounded


def infer_outputs(site: Site) -> list[tuple[int, ...]]:
    """Return the shape of each output of the node, from the shapes of its inputs, padding included.

    Inputs whose numbers are known count as constants. Types that are not known yet are noted.

    Raises:
        Unbounded: ONNX cannot infer a shape; says what ONNX says, if anything.
    """
    node = site.node
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for index, value in enumerate(node.inputs):
        if value is None or value.dtype is None:
            continue
        name = value.name or ""
        types[name] = onnx.helper.make_tensor_type_proto(int(value.dtype), bounds_of(value))
        array = constant(value)
        if array is None and (elements := site.fact(index).elements) is not None:
            found = [size.known for size in elements.flat]
            array = None if None in found else _array(found, elements.shape, value)
        if array is not None and array.size <= 1024:
            data[name] = onnx.numpy_helper.from_array(array, name)
    try:
        schema = onnx.defs.get_schema(node.op_type, site.bounding.opset, node.domain)
        inferred = onnx.shape_inference.infer_node_outputs(
            schema, ir.to_proto(node), types, data, opset_imports=[onnx.helper.make_opsetid("", site.bounding.opset)]
        )
    except onnx.defs.SchemaError as error:
        raise Unbounded(f"is an operator of the domain {node.domain!r} that edgec does not know") from error
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        message = " ".join(str(error).split()).removeprefix("[ShapeInferenceError] ")
        raise Unbounded(f"has no shape that could be inferred: {message}") from error
    return [_shape(inferred.get(value.name or ""), value) for value in node.outputs]


def _array(numbers: list[int | None], shape: tuple[int, ...], value: ir.Value) -> np.ndarray[Any, Any]:
    assert value.dtype is not None
    return np.array(numbers, value.dtype.numpy()).reshape(shape)


def _shape(proto: onnx.TypeProto | None, value: ir.Value) -> tuple[int, ...]:
    if value.name == "":
        return ()
    if proto is None or not proto.tensor_type.HasField("shape"):
        raise Unbounded(f"has an output {value.name!r} of which not even the number of axes is known")
    if value.type is None:
        value.type = ir.TensorType(ir.DataType(proto.tensor_type.elem_type))
    dims = proto.tensor_type.shape.dim
    if any(not dim.HasField("dim_value") for dim in dims):
        raise Unbounded(f"has an output {value.name!r} whose size depends on the data")
    return tuple(dim.dim_value for dim in dims)
