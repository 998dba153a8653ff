"""External data of a model: files are accepted only inside the model's folder, and are read into memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.errors import BadModel
from edgec.limits import check_memory

if TYPE_CHECKING:
    from hashlib import _Hash

INSIDE = "External data must lie in the model's folder or below it: move the file there and save the model again."


class TensorReader:
    """Reads the external tensors of one model into memory, up to the memory limit.

    Args:
        source: The model's name, for messages.
    """

    def __init__(self, source: str) -> None:
        self._source, self._read_bytes = source, 0

    def read(self, tensor: ir.TensorProtocol, where: str, folder: Path | None) -> ir.TensorProtocol:
        """Return `tensor` backed by a numpy array; its external file is read if it has one.

        Args:
            tensor: Any tensor; it is not modified.
            where: Its place in the model, for messages.
            folder: The model's folder; None if the model did not come from a file.

        Raises:
            BadModel: The data is missing, too short, or outside the model's folder.
            UnsupportedModel: The tensors read so far take more than the memory limit.
        """
        if isinstance(tensor, ir.StringTensor):
            return tensor
        try:
            if isinstance(tensor, ir.ExternalTensor):
                self._read_bytes += tensor.nbytes
                check_memory(self._read_bytes, f"{self._source}: the external data up to {where}")
                array = _read(tensor, where, folder=folder, source=self._source)
            else:
                array = tensor.numpy()
            if array.shape != tuple(tensor.shape):
                raise ValueError(f"{array.size} elements for shape {list(tensor.shape)}")
            return ir.Tensor(array, dtype=tensor.dtype, name=tensor.name, doc_string=tensor.doc_string)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadModel(f"{self._source}: {where} is damaged: {error}", remedy="Export the model again.") from error


def external_file(location: str | os.PathLike[str], where: str, *, folder: Path | None, source: str) -> Path:
    """Return the path of the external data file `location`, which must exist inside `folder`.

    Raises:
        BadModel: It is absolute, has `..`, leaves `folder` through a symbolic link, or does not exist.
        UnsupportedModel: It is larger than the memory limit.
    """
    text = os.fspath(location)
    problem = f"{source}: {where} has its data in {text!r}"
    if folder is None:
        raise BadModel(f"{problem}, a file beside the model", remedy="Give the path of the model file instead.")
    parts = (*PurePosixPath(text).parts, *PureWindowsPath(text).parts)
    if not text or PurePosixPath(text).is_absolute() or PureWindowsPath(text).anchor or ".." in parts:
        raise BadModel(f"{problem}, which is not a path inside the model's folder", remedy=INSIDE)
    path = Path(os.path.realpath(folder / text))  # a cycle of links is treated as a missing file
    if not path.is_relative_to(os.path.realpath(folder)):
        raise BadModel(f"{problem}, a link to {path} outside the model's folder", remedy=INSIDE)
    if not path.is_file():
        raise BadModel(
            f"{problem}, but there is no such file in {folder}", remedy=f"Copy {text} to {folder}, beside the model."
        )
    check_memory(path.stat().st_size, f"{source}: {where}: {path.name}")  # the file is also hashed as a whole
    return path


def external_tensors(proto: onnx.ModelProto) -> list[tuple[str, str]]:
    """Return (location of the file, name of the tensor) of all external tensors, including those in subgraphs."""
    graphs = [proto.graph]
    tensors: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            tensors.extend(graph.initializer)
            nodes.extend(graph.node)
            continue
        for attr in nodes.pop().attribute:
            graphs.extend(attr.graphs)
            tensors.extend(attr.tensors)
            if attr.HasField("g"):
                graphs.append(attr.g)
            if attr.HasField("t"):
                tensors.append(attr.t)
    return [
        (next((entry.value for entry in tensor.external_data if entry.key == "location"), ""), tensor.name)
        for tensor in tensors
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    ]


def hash_files(digest: _Hash, folder: Path, locations: Iterable[str]) -> None:
    """Add the names and contents of the external files to `digest`, in sorted order."""
    for location in sorted(locations):
        digest.update(location.encode())
        with (folder / location).open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)


def _read(tensor: ir.ExternalTensor, where: str, *, folder: Path | None, source: str) -> np.ndarray[Any, Any]:
    path = external_file(tensor.location, where, folder=folder, source=source)
    offset, expected = tensor.offset or 0, tensor.nbytes
    length = expected if tensor.length is None else tensor.length
    if length != expected or offset < 0:
        raise ValueError(f"offset {offset}, length {length} in {path.name}, where its shape needs {expected} bytes")
    with path.open("rb") as file:
        missing = offset + length - os.fstat(file.fileno()).st_size
        if missing > 0:
            raise ValueError(f"{path} ends {min(missing, length)} bytes early")
        file.seek(offset)
        data = file.read(length)
    # Types of less than 8 bits are packed: the decoder of ordinary tensors knows how.
    if tensor.dtype.bitwidth < 8:
        return _unpacked(tensor, data)
    return np.frombuffer(data, dtype=tensor.dtype.numpy()).reshape(tensor.shape.numpy())


def _unpacked(tensor: ir.ExternalTensor, data: bytes) -> np.ndarray[Any, Any]:
    proto = onnx.TensorProto(data_type=tensor.dtype, dims=tensor.shape.numpy(), raw_data=data)
    return ir.serde.deserialize_tensor(proto).numpy()
