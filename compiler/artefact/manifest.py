"""manifest.json: everything about an artefact that a reader, a runner or a later edgec needs."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from edgec.errors import BadArtefact, first_problem
from edgec.model.signature import TensorSpec
from edgec.model.true_sizes import TrueSizes
from edgec.options import CompileOptions
from edgec.plain_file import hash_file
from edgec.record import Compression, PassEntry, Refusal
from edgec.targets.board import Board

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"
FORBID = ConfigDict(frozen=True, extra="forbid")


class Source(BaseModel):
    """The model that was compiled."""

    model_config = FORBID

    name: str
    sha256: str


class Port(TensorSpec):
    """An input or output with its layout (`NCHW` for pictures, empty where none is known) and golden data."""

    layout: str = ""
    golden: str
    """Path of its golden .npy, relative to the folder."""
    sizes: tuple[int, ...] = ()
    """Of an output with axes whose size depends on the data: of each axis, which of the manifest's `counts` holds its
    size, or -1. `shape` then has the largest sizes."""

    @property
    def spec(self) -> TensorSpec:
        """Name, shape and dtype alone."""
        return TensorSpec(name=self.name, shape=self.shape, dtype=self.dtype)

    def spec_of(self, array: np.ndarray[Any, Any]) -> TensorSpec:
        """Return the same with the sizes of `array` on the axes whose size depends on the data, up to the largest."""
        sizes = self.sizes if len(self.sizes) == array.ndim else [-1] * len(self.shape)
        shape = [min(array.shape[axis], n) if sizes[axis] >= 0 else n for axis, n in enumerate(self.shape)]
        return self.spec.model_copy(update={"shape": tuple(shape)})


class FileEntry(BaseModel):
    """One file of the artefact; `path` is relative, with forward slashes."""

    model_config = FORBID

    path: str
    size: int
    sha256: str
    executable: bool = False


class Manifest(BaseModel):
    """The artefact's description. Holds nothing that differs between two compilations of the same thing."""

    model_config = FORBID

    schema_version: int
    edgec: str
    source: Source
    options: CompileOptions
    board: Board
    threads: int
    tolerance: float
    """Accepted error of each output against the golden one, relative to its range."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    passes: tuple[PassEntry, ...]
    refusals: tuple[Refusal, ...]
    compression: Compression | None = None
    counts: tuple[str, ...] = ()
    """Further results of the compiled network, behind its outputs: sizes that depend on the data, each an int64 [1]."""
    runtime: dict[str, Any]
    """What the back end's own loader needs."""
    files: tuple[FileEntry, ...] = ()

    @property
    def true_sizes(self) -> TrueSizes:
        """Which of the counts belongs to which axis of which output."""
        axes = {
            port.name: {axis: self.counts[at] for axis, at in enumerate(port.sizes) if at >= 0}
            for port in self.outputs
            if port.sizes
        }
        return TrueSizes(counts=self.counts, axes=axes)


def write_manifest(manifest: Manifest, folder: Path) -> Manifest:
    """Complete `manifest` with the files now in `folder` and write it there; returns the completed one."""
    entries = tuple(_entry(path, folder) for path in sorted(folder.rglob("*")) if path.is_file())
    complete = manifest.model_copy(update={"files": entries})
    text = json.dumps(complete.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")
    return complete


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the artefact in `folder` and check that each file it lists is there and unchanged.

    Raises:
        BadArtefact: No artefact, written by a newer edgec, a file is missing or altered, or a path leaves the folder or
            its back end is no registered one.
    """
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadArtefact(
            f"{folder} is no artefact: {FILE_NAME}: {error}", remedy="Give a folder written by `edgec compile`."
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        remedy = "Compile again with this edgec, or use the edgec that wrote it."
        raise BadArtefact(f"{path}: schema version {version!r}, this edgec reads {SCHEMA_VERSION}", remedy=remedy)
    try:
        manifest = Manifest.model_validate(data)
    except ValidationError as error:
        raise BadArtefact(f"{path}: {first_problem(error)}", remedy="Compile again.") from error
    if ":" in manifest.board.backend:
        problem = f"{path}: back end {manifest.board.backend!r} is none that is installed, but any code"
        raise BadArtefact(problem, remedy="Do not use it.")
    for name in [entry.path for entry in manifest.files] + [port.golden for port in manifest.inputs + manifest.outputs]:
        _refuse_outside(name, folder)
    for entry in manifest.files:
        _check_file(entry, folder)
    return manifest


def _entry(path: Path, folder: Path) -> FileEntry:
    return FileEntry(
        path=path.relative_to(folder).as_posix(),
        size=path.stat().st_size,
        sha256=hash_file(path),
        executable=os.access(path, os.X_OK),
    )


def _refuse_outside(name: str, folder: Path) -> None:
    pure = PurePosixPath(name)
    inside = (folder / pure).resolve().is_relative_to(folder.resolve())
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not inside:
        raise BadArtefact(f"{folder}: the manifest names {name!r}, which leaves the folder", remedy="Do not use it.")


def _check_file(entry: FileEntry, folder: Path) -> None:
    path = folder / entry.path
    if not path.is_file():
        raise BadArtefact(f"{folder}: {entry.path} is missing", remedy="Copy the whole folder, or compile again.")
    if path.stat().st_size != entry.size or hash_file(path) != entry.sha256:
        remedy = "It was altered or damaged: copy it again or compile again."
        raise BadArtefact(f"{folder}: {entry.path} does not match its hash in the manifest", remedy=remedy)
