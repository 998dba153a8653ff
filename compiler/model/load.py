"""Reading a trained model: any ONNX model of a user becomes a checked, self-contained `onnx_ir.Model`."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx_ir.passes.common import InlinePass, RemoveInitializersFromInputsPass

from edgec.errors import BadModel, UnsupportedModel, reason
from edgec.limits import MOST_NODES
from edgec.model import serialize
from edgec.model.check import EXPORT_AGAIN, check_kinds, check_onnx, check_versions
from edgec.model.contrib import write_contrib
from edgec.model.external import TensorReader, external_tensors, hash_files
from edgec.model.file_kind import file_kind
from edgec.model.sort import is_sorted, sort_nodes
from edgec.plain_file import read_plain

OLDEST_IR_VERSION = 4
"""First IR version in which initializers need not be inputs."""

Source = str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model


@dataclass(frozen=True)
class LoadedModel:
    """A model as read from the user: checked, its functions inlined, all its weights in memory.

    `sha256` is that of the file or bytes together with the external data; for a `ModelProto` or `ir.Model` it is
    that of its deterministic serialization. `name` is the file's stem, or derived from the graph's name.
    """

    model: ir.Model
    sha256: str
    name: str


def load(source: Source) -> LoadedModel:
    """Read and check a model; `source` itself is never modified.

    Args:
        source: Path, contents of a file, `onnx.ModelProto` or `onnx_ir.Model`.

    Raises:
        BadModel: It cannot be read, is not valid ONNX, or its external data is missing or outside its folder.
        UnsupportedModel: It is valid ONNX, but edgec does not support its version, inputs or tensors.
    """
    if isinstance(source, ir.Model):
        return _load_ir(source)
    if isinstance(source, onnx.ModelProto):
        where = f"model {source.graph.name!r}"
        model = _from_proto(source, folder=None, source=where)
        return LoadedModel(model, serialize.sha256(model), _name(source.graph.name))
    if isinstance(source, bytes):
        proto = _parse(source, "the model given as bytes")
        model = _from_proto(proto, folder=None, source="the model given as bytes")
        return LoadedModel(model, hashlib.sha256(source).hexdigest(), _name(proto.graph.name))
    return _load_file(Path(source))


def _load_file(path: Path) -> LoadedModel:
    if path.is_dir():
        raise BadModel(f"{path} is a folder", remedy="Give the path of an ONNX file.")
    try:
        if path.stat().st_size > serialize.PROTOBUF_LIMIT_BYTES:
            raise _beyond_protobuf(str(path))
        data = read_plain(path, serialize.PROTOBUF_LIMIT_BYTES)
    except OSError as error:
        raise BadModel(f"{path}: {reason(error)}", remedy="Give the path of an ONNX file.") from error
    proto = _parse(data, str(path))
    model = _from_proto(proto, folder=path.parent, source=str(path))
    digest = hashlib.sha256(data)
    hash_files(digest, path.parent, {location for location, _ in external_tensors(proto)})
    return LoadedModel(model, digest.hexdigest(), path.stem)


def _load_ir(source: ir.Model) -> LoadedModel:
    where = f"model {source.graph.name!r}"
    check_versions(source.opset_imports, source.ir_version, where)
    try:
        model = source.clone()
    except RuntimeError:  # nodes can only be copied if they are in order
        proto = ir.to_proto(source)
        sort_nodes(proto.graph, where)
        model = ir.from_proto(proto)

    reader = TensorReader(where)

    def read(tensor: ir.TensorProtocol, place: str) -> ir.TensorProtocol:
        base = tensor.base_dir if isinstance(tensor, ir.ExternalTensor) else None
        return reader.read(tensor, place, Path(base) if base else None)

    serialize.map_tensors(model, read)
    proto = serialize.skeleton(model)
    check_kinds(proto.graph, where)
    check_onnx(proto, where)
    _normalize(model, where)
    return LoadedModel(model, serialize.sha256(model), _name(source.graph.name))


def _parse(data: bytes, source: str) -> onnx.ModelProto:
    kind = file_kind(data)
    if kind is not None:
        raise BadModel(f"{source} is {kind}, not an ONNX model", remedy="Export the network to ONNX first.")
    if len(data) > serialize.PROTOBUF_LIMIT_BYTES:
        raise _beyond_protobuf(source)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise BadModel(f"{source} is truncated, or is not an ONNX model at all", remedy=EXPORT_AGAIN) from error
    if not proto.HasField("graph"):
        raise BadModel(f"{source} is not an ONNX model: it has no graph", remedy=EXPORT_AGAIN)
    return proto


def _beyond_protobuf(source: str) -> BadModel:
    return BadModel(f"{source} exceeds protobuf's limit of 2 GB", remedy="Save the model with external data.")


def _from_proto(proto: onnx.ModelProto, *, folder: Path | None, source: str) -> ir.Model:
    check_versions({item.domain: item.version for item in proto.opset_import}, proto.ir_version, source)
    check_kinds(proto.graph, source)
    if not all(map(is_sorted, (proto.graph, *proto.functions))):
        unsorted, proto = proto, onnx.ModelProto()
        proto.CopyFrom(unsorted)
        for graph in (proto.graph, *proto.functions):
            sort_nodes(graph, source)
    # The checker accepts neither files outside the model's folder nor more than 2 GB: such models are read first.
    self_contained = not external_tensors(proto) and proto.ByteSize() < serialize.PROTOBUF_LIMIT_BYTES
    if self_contained:
        check_onnx(proto, source)
    try:
        model = ir.from_proto(proto)
    except (ir.serde.SerdeError, ValueError, TypeError) as error:
        raise BadModel(f"{source} cannot be read: {error}", remedy=EXPORT_AGAIN) from error
    reader = TensorReader(source)
    serialize.map_tensors(model, lambda tensor, place: reader.read(tensor, place, folder))
    if not self_contained:
        check_onnx(serialize.skeleton(model), source)
    _normalize(model, source)
    return model


def _normalize(model: ir.Model, source: str) -> None:
    """Separate initializers from inputs, inline the functions, and write ONNX Runtime's operators as standard ones."""
    nodes = _unfolded(model, source)
    if nodes > MOST_NODES:
        raise UnsupportedModel(
            f"{source} has {nodes} nodes after its functions are inlined; edgec supports {MOST_NODES}",
            remedy="Export a smaller network.",
        )
    try:
        InlinePass()(model)
    except (ir.passes.PassError, ValueError) as error:
        raise BadModel(f"{source}: its functions cannot be inlined: {error}", remedy=EXPORT_AGAIN) from error
    RemoveInitializersFromInputsPass()(model)
    write_contrib(model)
    model.ir_version = max(model.ir_version, OLDEST_IR_VERSION)


def _unfolded(model: ir.Model, source: str) -> int:
    """Return the number of nodes after inlining all functions, without inlining them."""
    sizes: dict[ir.OperatorIdentifier, int] = {}

    def size(graph: ir.Graph, inside: tuple[ir.OperatorIdentifier, ...]) -> int:
        total = 0
        for node in graph.all_nodes():
            called = node.op_identifier()
            if called not in model.functions:
                total += 1
                continue
            if called in inside:
                raise BadModel(f"{source}: function {called[1]!r} calls itself", remedy=EXPORT_AGAIN)
            if called not in sizes:
                sizes[called] = size(model.functions[called].graph, (*inside, called))
            total += sizes[called]
        return total

    try:
        return size(model.graph, ())
    except RecursionError as error:
        raise BadModel(f"{source}: its functions are nested too deeply", remedy=EXPORT_AGAIN) from error


def _name(graph_name: str | None) -> str:
    """Return a name that is safe as a file name: dashes replace folder separators and other special characters."""
    # protobuf returns bytes if a string is not UTF-8, hence str().
    return re.sub(r"[^\w.-]+", "-", str(graph_name or "")).strip("-.") or "model"
