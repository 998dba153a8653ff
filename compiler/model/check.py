"""Checks on a model that was just read: versions, kinds of values, and ONNX's own checker."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from edgec.errors import BadModel, UnsupportedModel

OLDEST_OPSET = 7
"""Oldest supported opset: since then, broadcasting and BatchNormalization have their present meaning."""
EXPORT_AGAIN = "Export the model again; a viewer such as netron.app shows what is in it."
NETWORK_ONLY = "Export the network alone, without the pre- or post-processing around it."


def check_versions(opsets: Mapping[str, int], ir_version: int, source: str) -> None:
    """Raise an error for opsets and file format versions that edgec, or the installed `onnx`, does not support.

    Args:
        opsets: Domain -> version, as the model imports them.
        ir_version: Version of the file format.
        source: The model's name, for messages.

    Raises:
        BadModel: The model does not give a version of the standard operator set.
        UnsupportedModel: A version is too old or too new.
    """
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("", opsets.get("ai.onnx"))
    if version is None:
        raise BadModel(f"{source} does not say which ONNX opset it uses", remedy=EXPORT_AGAIN)
    if version < OLDEST_OPSET:
        raise UnsupportedModel(
            f"{source} uses opset {version}; edgec supports {OLDEST_OPSET} to {newest}",
            remedy=f"Export it again, or use onnx.version_converter.convert_version(model, {OLDEST_OPSET}).",
        )
    if version > newest or ir_version > onnx.IR_VERSION:
        raise UnsupportedModel(
            f"{source} uses opset {version} and IR version {ir_version}; the installed onnx {onnx.__version__} "
            f"supports them up to {newest} and {onnx.IR_VERSION}",
            remedy="Run `pip install -U onnx`, or export the model with an older opset.",
        )


def check_kinds(graph: onnx.GraphProto, source: str) -> None:
    """Raise an error for values that no target supports: sparse or string tensors, inputs or outputs but tensors.

    Raises:
        UnsupportedModel: There is such a value; the message names the initializer, input or output.
        BadModel: The graph has no outputs, or an input has no type.
    """
    if not graph.output:
        raise BadModel(f"{source} has no outputs", remedy=EXPORT_AGAIN)
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise UnsupportedModel(
            f"{source}: initializer {name!r} is sparse", remedy="Store it as a dense tensor and export again."
        )
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.STRING:
            raise UnsupportedModel(f"{source}: initializer {tensor.name!r} holds strings", remedy=NETWORK_ONLY)
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            which = value.type.WhichOneof("value") or "tensor_type"
            if which != "tensor_type":
                what = which.removesuffix("_type").replace("_", " ")
                raise UnsupportedModel(
                    f"{source}: {kind} {value.name!r} is a {what}, not a dense tensor", remedy=NETWORK_ONLY
                )
            if value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
                raise UnsupportedModel(f"{source}: {kind} {value.name!r} holds strings", remedy=NETWORK_ONLY)
            if kind == "input" and not value.type.tensor_type.elem_type:
                raise BadModel(f"{source}: {kind} {value.name!r} has no element type", remedy=EXPORT_AGAIN)


def check_onnx(proto: onnx.ModelProto, source: str) -> None:
    """Run `onnx.checker` on `proto`, which is under 2 GB and has no external data; shapes may be missing.

    Raises:
        BadModel: The model is invalid; contains the checker's own message.
    """
    if not all(map(_is_described, (*proto.graph.input, *proto.graph.output))):
        described = onnx.ModelProto()
        described.CopyFrom(proto)
        for value in (*described.graph.input, *described.graph.output):
            kind = value.type.tensor_type
            kind.elem_type = kind.elem_type or onnx.TensorProto.FLOAT
            kind.shape.SetInParent()
        proto = described
    try:
        onnx.checker.check_model(proto)
    except UnicodeDecodeError as error:
        raise BadModel(f"{source} is damaged: a name in it is not UTF-8 text", remedy=EXPORT_AGAIN) from error
    except onnx.checker.ValidationError as error:
        message = " ".join(str(error).split()).replace(" ==> Context:", ";")
        raise BadModel(f"{source} is not valid ONNX: {message}", remedy=EXPORT_AGAIN) from error


def _is_described(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type and value.type.tensor_type.HasField("shape"))
