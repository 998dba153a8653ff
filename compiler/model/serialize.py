"""Writes models as bytes and files, deterministically; weights go to a second file above protobuf's size limit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir

from edgec.errors import BadOption, reason
from edgec.model.graph import free_name
from edgec.scratch import scratch_folder, staging_prefix
from edgec.whole_file import flush, whole_file

PROTOBUF_LIMIT_BYTES = (1 << 31) - 1
"""Size in bytes of the largest message that protobuf writes or reads."""
ROOM_FOR_GRAPH_BYTES = 64 << 20
"""Number of bytes below the limit that are reserved for everything but the weights."""
LARGE_CONSTANT = "large constant"
"""Key in `ir.Value.meta` that marks an input which stands in for a large tensor."""
SMALL_TENSOR_BYTES = 1024
"""Tensors up to this size stay in the skeleton: they are shapes, axes and scales that shape inference reads."""


def weight_bytes(model: ir.Model) -> int:
    """Return the number of bytes of all initializers and tensor attributes, including those of subgraphs."""
    total = 0
    for graph in model.graphs():
        total += sum(value.const_value.nbytes for value in graph.initializers.values() if value.const_value is not None)
        for node in graph:
            for attr in node.attributes.values():
                if attr.type == ir.AttributeType.TENSOR:
                    total += attr.as_tensor().nbytes
    return total


def fits_one_file(model: ir.Model) -> bool:
    """Return whether `model` can be one protobuf message."""
    return weight_bytes(model) < PROTOBUF_LIMIT_BYTES - ROOM_FOR_GRAPH_BYTES


def to_bytes(model: ir.Model) -> bytes:
    """Return `model` as an ONNX file; equal models give equal bytes.

    Raises:
        ValueError: The model exceeds protobuf's 2 GB limit; use `save`.
    """
    if not fits_one_file(model):
        raise ValueError(f"{weight_bytes(model)} bytes of weights exceed protobuf's limit of 2 GB")
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def save(model: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to `path`, as a whole or not at all.

    Weights go to `<name>.data` beside it if they exceed protobuf's limit of 2 GB.

    Raises:
        BadOption: The path cannot be written.
    """
    path = Path(path)
    if fits_one_file(model):
        with whole_file(path) as staged:
            staged.write_bytes(to_bytes(model))
        return
    data = f"{path.name}.data"
    try:
        with scratch_folder(path.parent, staging_prefix(path)) as folder:
            # ir.save replaces the model's tensors by external ones while it writes, so it gets a copy.
            ir.save(model.clone(), folder / path.name, external_data=data)
            for name in (data, path.name):
                flush(folder / name)
                (folder / name).replace(path.with_name(name))
    except OSError as error:
        raise BadOption(f"cannot write {path}: {reason(error)}", remedy="Choose a place that is writable.") from error


def sha256(model: ir.Model) -> str:
    """Return the SHA-256 of `model`: of its bytes or, above 2 GB, of its skeleton and its weights."""
    if fits_one_file(model):
        return hashlib.sha256(to_bytes(model)).hexdigest()
    digest = hashlib.sha256(skeleton(model).SerializeToString(deterministic=True))
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            digest.update(value.const_value.tobytes())
    return digest.hexdigest()


def skeleton(model: ir.Model) -> onnx.ModelProto:
    """Return `bare_copy(model)` as a protobuf message, for ONNX's own checker and shape inference."""
    return ir.to_proto(bare_copy(model))


def bare_copy(model: ir.Model) -> ir.Model:
    """Return a copy of `model` whose large tensors are graph inputs of the same name, type and shape.

    The copy is small however large the weights are.
    """
    bare = model.clone()
    taken: set[str | None] = {value.name for value in bare.graph.inputs}
    for graph in list(bare.graphs()):
        for value in list(graph.initializers.values()):
            tensor = value.const_value
            if tensor is not None and tensor.nbytes > SMALL_TENSOR_BYTES and not value.is_graph_output():
                del graph.initializers[value.name or ""]
                _input_instead(bare.graph, value, tensor, taken)
        for node in list(graph):
            attr = node.attributes.get("value")
            if node.op_type != "Constant" or node.domain or attr is None or attr.type != ir.AttributeType.TENSOR:
                continue
            tensor, output = attr.as_tensor(), node.outputs[0]
            if tensor.nbytes > SMALL_TENSOR_BYTES and not output.is_graph_output():
                _input_instead(bare.graph, output, tensor, taken)
                graph.remove(node)
    return bare


def _input_instead(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol, taken: set[str | None]) -> None:
    name = free_name(value.name or "", taken)  # two branches may use the same name
    taken.add(name)
    stand_in = ir.val(name, dtype=tensor.dtype, shape=ir.Shape(tensor.shape.numpy()))
    stand_in.meta[LARGE_CONSTANT] = True
    value.replace_all_uses_with(stand_in)
    graph.inputs.append(stand_in)


def map_tensors(model: ir.Model, change: Callable[[ir.TensorProtocol, str], ir.TensorProtocol]) -> None:
    """Replace every tensor of `model`, functions included, by `change(tensor, where)`; `where` is for messages."""
    functions = [function.graph for function in model.functions.values()]
    for graph in [*model.graphs(), *functions, *(inner for function in functions for inner in function.subgraphs())]:
        for value in graph.initializers.values():
            if value.const_value is not None:
                value.const_value = change(value.const_value, f"initializer {value.name!r}")
        for node in graph:
            _map_attributes(node, change)


def _map_attributes(node: ir.Node, change: Callable[[ir.TensorProtocol, str], ir.TensorProtocol]) -> None:
    for attr in list(node.attributes.values()):
        where = f"attribute {attr.name!r} of {node.op_type} node {node.name!r}"
        if attr.is_ref() or attr.value is None:
            continue
        if attr.type == ir.AttributeType.TENSOR:
            node.attributes.add(ir.AttrTensor(attr.name, change(attr.as_tensor(), where)))
        elif attr.type == ir.AttributeType.TENSORS:
            node.attributes.add(ir.AttrTensors(attr.name, [change(tensor, where) for tensor in attr.as_tensors()]))
