"""ONNX's own definitions of operators in terms of others; some depend on the types of the inputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import onnx
import onnx_ir as ir


def is_expressible(op_type: str, version: int, operators: Collection[str]) -> bool:
    """Return whether the operator is in `operators` or is defined in terms of these, in operator set `version`.

    A definition that depends on the types of the inputs counts as well: its operators are known only with the types.
    """
    if op_type in operators:
        return True
    schema = _schema(op_type, version)
    if schema is None or not schema.has_function:
        return schema is not None and bool(schema.has_context_dependent_function)
    proto = onnx.FunctionProto.FromString(schema.get_function_with_opset_version(version))
    return all(is_expressible(node.op_type, version, operators) for node in proto.node)


def definition_of(node: ir.Node, version: int) -> ir.Function | None:
    """Return the definition of the operator of `node` in operator set `version`, with all attributes that it reads.

    None if ONNX has none for these inputs, or has one only in the form of an older operator set.
    """
    schema = _schema(node.op_type, version)
    if schema is None or not (schema.has_function or schema.has_context_dependent_function):
        return None
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            node.attributes.add(ir.serde.deserialize_attribute(attribute.default_value))
    if schema.has_function:
        data = schema.get_function_with_opset_version(version)
    else:
        newest = max(each for each in schema.context_dependent_function_opset_versions if each <= version)
        arguments = ir.to_proto(node).SerializeToString(), [_type(value) for value in node.inputs]
        data = schema.get_context_dependent_function_with_opset_version(newest, *arguments)
    proto = onnx.FunctionProto.FromString(data)
    if not proto.input:  # for some definitions only the schema names the inputs
        proto.input.extend(each.name for each in schema.inputs)
        proto.output.extend(each.name for each in schema.outputs)
    del proto.output[len(node.outputs) :]  # optional outputs may not be computed at all
    made = {name for inner in proto.node for name in inner.output}
    if not made.issuperset(proto.output) or not all(_fits(inner, version) for inner in proto.node):
        return None
    return ir.serde.deserialize_function(proto)


def _schema(op_type: str, version: int) -> Any:  # the type that ONNX declares does not include definitions
    try:
        return onnx.defs.get_schema(op_type, version, "")
    except onnx.defs.SchemaError:
        return None


def _type(value: ir.Value | None) -> bytes:
    """Return the type of an input in ONNX's serialized form; empty if the input is left out."""
    if value is None or value.type is None:
        return bytes(onnx.TypeProto().SerializeToString())
    return bytes(ir.serde.serialize_value(value).type.SerializeToString())


def _fits(node: onnx.NodeProto, version: int) -> bool:
    """Whether operator set `version` has the operator of `node`, with its attributes and its number of inputs."""
    schema = _schema(node.op_type, version)
    if schema is None or schema.deprecated or not {each.name for each in node.attribute} <= set(schema.attributes):
        return False
    return bool(schema.min_input <= len(node.input) <= schema.max_input)
