"""manifest.json: everything that a reader, a runner or a later edgec needs to know about an artefact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from edgec import registry
from edgec.application.record import Application
from edgec.artefact.files import MANIFEST, FileEntry, check_files, check_manifest, list_files, write_sums
from edgec.errors import BadArtefact, InternalError, first_problem, reason
from edgec.model.signature import TensorSpec
from edgec.model.true_sizes import TrueSizes
from edgec.options import MOST_THREADS, CompileOptions
from edgec.plain_file import LONGEST_JSON, parse, read_plain
from edgec.record import Compression, PassEntry, Refusal
from edgec.reference.compare import Noise
from edgec.reference.rows import Rows
from edgec.targets.base import Target
from edgec.targets.board import Board

SCHEMA_VERSION = 2
Dtype = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
]
FORBID = ConfigDict(frozen=True, extra="forbid")


class Source(BaseModel):
    """The model that was compiled."""

    model_config = FORBID

    name: str
    sha256: str


class Port(TensorSpec):
    """An input or output with its layout (`NCHW` for pictures, empty if unknown) and golden data."""

    shape: tuple[NonNegativeInt, ...]
    dtype: Dtype
    layout: str = ""
    golden: str
    """Path of its golden .npy, relative to the folder."""
    sizes: tuple[int, ...] = ()
    """For an output with data-dependent sizes: for each axis, the index of the manifest's count that holds its size, or
    -1. `shape` then contains the maximum sizes."""
    more: tuple[str, ...] = ()
    """Paths of further golden data, one per sample."""
    accepted: float | None = None
    """Accepted error of an output, relative to its range; for integers the fraction that may differ."""
    noise: Noise | None = None
    """Change of a reference output by rounding alone."""
    rows: Rows | None = None
    """For an output whose rows are in the order of a ranking: the ranking and the axis."""

    @property
    def samples(self) -> tuple[str, ...]:
        """Paths of all golden data."""
        return (self.golden, *self.more)

    @property
    def spec(self) -> TensorSpec:
        """Only name, shape and dtype."""
        return TensorSpec(name=self.name, shape=self.shape, dtype=self.dtype)

    def spec_of(self, array: np.ndarray[Any, Any]) -> TensorSpec:
        """Return the spec with the sizes of `array` on axes whose size depends on the data, up to the maximum."""
        sizes = self.sizes if len(self.sizes) == array.ndim else [-1] * len(self.shape)
        shape = [min(array.shape[axis], n) if sizes[axis] >= 0 else n for axis, n in enumerate(self.shape)]
        return self.spec.model_copy(update={"shape": tuple(shape)})


class InnerValue(BaseModel):
    """A value inside the network of which a sketch is stored: some elements, and their change by rounding alone."""

    model_config = FORBID

    name: str
    elements: NonNegativeInt
    noise: Noise


class Manifest(BaseModel):
    """The artefact's description. It contains nothing that differs between two compilations of the same model."""

    model_config = FORBID

    schema_version: int
    edgec: str
    source: Source
    options: CompileOptions
    board: Board
    threads: int = Field(ge=1, le=MOST_THREADS)
    tolerance: float = Field(ge=0, allow_inf_nan=False)
    """Accepted error of each output against the golden one, relative to its range; see also `Port.accepted`."""
    exact: bool = False
    """Whether the golden outputs are computed in the artefact's own precision."""
    precision_error: float | None = None
    """Change of the outputs by that precision alone: largest error against single precision, relative to the range."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    inner: tuple[InnerValue, ...] = ()
    passes: tuple[PassEntry, ...]
    refusals: tuple[Refusal, ...]
    compression: Compression | None = None
    application: Application | None = None
    """The meaning of the outputs; None if it is unknown."""
    counts: tuple[str, ...] = ()
    """Further results of the compiled network, after its outputs: sizes that depend on the data, each an int64 [1]."""
    runtime: dict[str, Any]
    """Data for the back end's own loader."""
    commands: dict[str, str] = {}
    """Uses of the artefact on its board: purpose -> command line in its folder, in the order of use."""
    files: tuple[FileEntry, ...] = ()
    later: tuple[str, ...] = ()
    """Files and folders that may appear when it is built or run; all others that are not in `files` are refused."""

    @model_validator(mode="after")
    def _has_counts(self) -> Manifest:
        for port in self.outputs:
            if port.sizes and (len(port.sizes) != len(port.shape) or max(port.sizes) >= len(self.counts)):
                raise ValueError(f"output {port.name!r} has sizes without a count")
        return self

    @property
    def true_sizes(self) -> TrueSizes:
        """The count that belongs to each axis of each output."""
        axes = {
            port.name: {axis: self.counts[at] for axis, at in enumerate(port.sizes) if at >= 0}
            for port in self.outputs
            if port.sizes
        }
        return TrueSizes(counts=self.counts, axes=axes)


def write_manifest(manifest: Manifest, folder: Path) -> Manifest:
    """Complete `manifest` with the files now in `folder` and write it there; returns the completed one.

    Raises:
        InternalError: The back end wrote a `runtime` that it cannot read.
    """
    complete = manifest.model_copy(update={"files": list_files(folder)})
    try:
        _check_runtime(complete)
    except ValidationError as error:
        raise InternalError(f"the runtime record of {manifest.board.backend}: {first_problem(error)}") from error
    text = json.dumps(complete.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    write_sums(folder, complete.files)
    return Manifest.model_validate_json(text)  # read back, because JSON has lists instead of tuples


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the artefact in `folder` and check that all its files exist unchanged.

    Raises:
        BadArtefact: It is not an artefact, or from a newer edgec; a file is missing, altered or not listed; a path
            leaves the folder; or its back end is not registered.
    """
    path = folder / MANIFEST
    if folder.is_file():
        raise BadArtefact(
            f"{folder} is a file, not an artefact", remedy="Compile a model first: edgec compile MODEL.onnx."
        )
    try:
        content = read_plain(path, LONGEST_JSON)
        data = parse("json", content.decode())
    except (OSError, ValueError) as error:
        remedy = "Give a folder written by `edgec compile`."
        raise BadArtefact(f"{folder} is not an artefact: {MANIFEST}: {reason(error)}", remedy=remedy) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        remedy = "Compile again with this edgec, or use the edgec that wrote it."
        raise BadArtefact(
            f"{path} has schema version {version!r}, but this edgec reads {SCHEMA_VERSION}", remedy=remedy
        )
    check_manifest(folder, hashlib.sha256(content).hexdigest())
    try:
        manifest = Manifest.model_validate(data)
        if ":" in manifest.board.backend:
            problem = (
                f"{path}: back end {manifest.board.backend!r} is not one that is installed, but names code to be run"
            )
            raise BadArtefact(problem, remedy="Do not use it.")
        used = _check_runtime(manifest)
    except ValidationError as error:
        raise BadArtefact(f"{path}: {first_problem(error)}", remedy="Compile again.") from error
    check_files(folder, manifest.files, manifest.later)
    listed = {entry.path for entry in manifest.files}
    golden = [path for port in manifest.inputs + manifest.outputs for path in port.samples]
    for name in (*used, *golden):
        if name not in listed:
            raise BadArtefact(f"{path}: {name!r} is not one of its files", remedy="Compile again.")
    return manifest


def _check_runtime(manifest: Manifest) -> tuple[str, ...]:
    """Return the files that the back end's loader reads, according to its `runtime` record."""
    target: Target = registry.load("targets", manifest.board.backend)()
    return target.runtime.model_validate(manifest.runtime).files()
