"""Samples from .npy and .npz files: batches that are already the network's inputs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgec.data.labels import ClassLabel, Label, Mask, Text
from edgec.data.placement import Placement
from edgec.data.samples import Sample, Samples
from edgec.errors import BadOption, EdgecError
from edgec.limits import check_memory
from edgec.model.signature import TensorSpec, check_array
from edgec.preprocessing import Preprocessing
from edgec.registry import suggest

Array = np.ndarray[Any, Any]

LABELS = "labels"
"""Key of the labels in a .npz file."""


class ArraySamples(Samples):
    """The arrays in the file `path`, cut along their first axis into pieces of the network's batch size (or scalars).

    A .npy file feeds a network with one input. A .npz file has an array for each input, by its name (any name for a
    network with one input), and optionally `labels`: integers [n] (classes) or [n, height, width] (masks), or strings
    [n] (texts).

    Raises:
        BadOption: The file is unreadable or contains Python objects, or its arrays do not fit the inputs or each other.
    """

    def __init__(self, path: Path, inputs: Sequence[TensorSpec], preprocessing: Preprocessing) -> None:
        arrays = _read(path)
        self._path = path
        self._specs = tuple(inputs)
        self._labels = None if any(spec.name == LABELS for spec in inputs) else arrays.pop(LABELS, None)
        self._arrays = _by_input(arrays, self._specs, path)
        self._layout = preprocessing.layout
        self._length = self._count()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sample:
        if not -self._length <= index < self._length:
            raise IndexError(index)
        index %= self._length
        inputs = {spec.name: _piece(self._arrays[spec.name], spec, index) for spec in self._specs}
        return Sample(f"{self._path}[{index}]", inputs, self._label(index), self._placement())

    def _count(self) -> int:
        counts = {}
        for spec in self._specs:
            array = self._arrays[spec.name]
            where = f"{self._path}: array for input {spec.name!r}"
            batch = spec.shape[0] if spec.shape else 1
            if array.ndim != max(len(spec.shape), 1) or len(array) == 0 or batch == 0 or len(array) % batch:
                got = "x".join(map(str, array.shape))
                problem = f"{where} is [{got}], which is not a multiple of {spec}"
                raise BadOption(problem, remedy="Stack the inputs along axis 0.")
            check_array(_piece(array, spec, 0), spec, where)
            counts[spec.name] = len(array) // batch
        if self._labels is not None:
            counts[LABELS] = len(self._labels)
        if len(set(counts.values())) != 1:
            raise BadOption(f"{self._path}: the arrays differ in their number of samples: {counts}")
        return next(iter(counts.values()))

    def _label(self, index: int) -> Label | None:
        if self._labels is None:
            return None
        value = self._labels[index]
        if isinstance(value, str):
            return Text(str(value))
        return ClassLabel(int(value)) if np.ndim(value) == 0 else Mask(np.asarray(value, np.int64))

    def _placement(self) -> Placement | None:
        shape = self._specs[0].shape
        if len(self._specs) != 1 or len(shape) != 4:
            return None
        height, width = shape[2:] if self._layout == "NCHW" else shape[1:3]
        return Placement.identity((width, height))


def _piece(array: Array, spec: TensorSpec, index: int) -> Array:
    """Return the part of `array` for input `spec` in sample `index`: a batch, or an element for a scalar."""
    batch = spec.shape[0] if spec.shape else 1
    piece = array[index * batch : (index + 1) * batch]
    return np.ascontiguousarray(piece) if spec.shape else np.array(piece[0])


def _unpacked_size(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return sum(member.file_size for member in archive.infolist())


def _read(path: Path) -> dict[str, Array]:
    try:
        if path.suffix == ".npy":
            return {"": np.lib.format.open_memmap(path, mode="r")}  # numpy.load would accept a .npz file too
        check_memory(_unpacked_size(path), f"{path}, unpacked,")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except EdgecError:
        raise
    # Errors of zipfile and zlib have no other common base class.
    except Exception as error:
        remedy = "Write it with numpy.save or numpy.savez; arrays of Python objects are not read."
        raise BadOption(f"{path}: {error}", remedy=remedy) from error
    labels = arrays.get(LABELS)
    if labels is not None and (labels.dtype.kind not in "iuU" or labels.ndim not in (1, 3)):
        raise BadOption(f"{path}: {LABELS} is {labels.dtype}[{'x'.join(map(str, labels.shape))}]", remedy=LABEL_FORMS)
    return arrays


LABEL_FORMS = "Give labels as integers [n] or [n, height, width], or strings [n]."


def _by_input(arrays: Mapping[str, Array], specs: tuple[TensorSpec, ...], path: Path) -> dict[str, Array]:
    if len(specs) == 1 and len(arrays) == 1:
        return {specs[0].name: next(iter(arrays.values()))}
    for spec in specs:
        if spec.name not in arrays:
            raise BadOption(f"{path} has no array for input {spec.name!r}", remedy=suggest(spec.name, arrays))
    return dict(arrays)
