"""The files of an artefact: they are listed with their hashes, and checked before any of them is used."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from edgec.errors import BadArtefact, reason
from edgec.plain_file import hash_file, read_plain
from edgec.scratch import is_staged_for

MANIFEST, EVIDENCE = "manifest.json", "evidence.json"
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
"""Hashes of the manifest and of all files in it, for sha256sum(1); and the signature of that file by ssh-keygen(1)."""
BESIDE = (MANIFEST, EVIDENCE, SUMS, SIGNATURE)
LONGEST_SUMS = 64 << 20


class FileEntry(BaseModel):
    """One file of the artefact; `path` is relative, with forward slashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    sha256: str
    executable: bool = False


def list_files(folder: Path) -> tuple[FileEntry, ...]:
    """Return the files that are in `folder` now, except those that describe it."""
    return tuple(_entry(folder / name, name) for name in sorted(_names(folder)) if name not in BESIDE)


def write_sums(folder: Path, entries: Sequence[FileEntry]) -> None:
    """Write the hashes of `entries` and of the manifest in `folder`."""
    (folder / SUMS).write_text(_sums(entries, hash_file(folder / MANIFEST)), encoding="utf-8")


def check_manifest(folder: Path, digest: str) -> None:
    """Raise an error unless the manifest still has the hash `digest`.

    Raises:
        BadArtefact: It was altered or damaged.
    """
    if not _read_sums(folder).endswith(_line(digest, MANIFEST)):
        remedy = "One of them was altered or damaged: copy the whole folder again, or compile again."
        raise BadArtefact(f"{folder}: {MANIFEST} does not match {SUMS}", remedy=remedy)


def check_files(folder: Path, entries: Sequence[FileEntry], later: Collection[str]) -> None:
    """Raise an error for a folder with files other than `entries`, unchanged, and those that may appear `later`.

    Raises:
        BadArtefact: The message names the file.
    """
    if _read_sums(folder) != _sums(entries, hash_file(folder / MANIFEST)):
        raise BadArtefact(f"{folder}: {SUMS} does not list what {MANIFEST} lists", remedy="Compile again.")
    listed = {entry.path for entry in entries}
    for name in (*listed, *later):
        _refuse_outside(name, folder)
    for entry in entries:
        _check_file(entry, folder)
    for name in sorted(_names(folder) - listed - set(BESIDE)):
        expected = any(PurePosixPath(name).is_relative_to(place) for place in later)
        if not expected and not is_staged_for(PurePosixPath(name).parts[0], EVIDENCE):
            remedy = "Remove it if you put it there; otherwise copy the whole folder again."
            raise BadArtefact(f"{folder}: {name} is not in the manifest", remedy=remedy)


def _sums(entries: Sequence[FileEntry], manifest: str) -> str:
    return "".join([*(_line(entry.sha256, entry.path) for entry in entries), _line(manifest, MANIFEST)])


def _line(digest: str, name: str) -> str:
    return f"{digest}  {name}\n"


def _read_sums(folder: Path) -> str:
    try:
        return read_plain(folder / SUMS, LONGEST_SUMS).decode("utf-8")
    except (OSError, ValueError) as error:
        raise BadArtefact(f"{folder}: {SUMS}: {reason(error)}", remedy="Copy the whole folder again.") from error


def _names(folder: Path) -> set[str]:
    """Return the relative paths of all files in `folder` and its subfolders."""
    return {Path(path).relative_to(folder).as_posix() for path in _walk(folder)}


def _walk(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as found:
        for entry in list(found):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield entry.path


def _entry(path: Path, name: str) -> FileEntry:
    return FileEntry(path=name, size=path.stat().st_size, sha256=hash_file(path), executable=os.access(path, os.X_OK))


def _refuse_outside(name: str, folder: Path) -> None:
    pure = PurePosixPath(name)
    plain = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and not {"\\", "\0"} & set(name)
    root = os.path.realpath(folder)
    if not plain or not Path(os.path.realpath(folder / pure)).is_relative_to(root):
        raise BadArtefact(f"{folder}: the manifest names {name!r}, which leaves the folder", remedy="Do not use it.")


def _check_file(entry: FileEntry, folder: Path) -> None:
    path = folder / entry.path
    try:
        sound = path.stat().st_size == entry.size and hash_file(path) == entry.sha256
    except FileNotFoundError:
        remedy = "Copy the whole folder, or compile again."
        raise BadArtefact(f"{folder}: {entry.path} is missing", remedy=remedy) from None
    except OSError as error:
        remedy = "Copy the whole folder again, or compile again."
        raise BadArtefact(f"{folder}: {entry.path}: {reason(error)}", remedy=remedy) from error
    if not sound:
        remedy = "It was altered or damaged: copy it again or compile again."
        raise BadArtefact(f"{folder}: {entry.path} does not match its hash in the manifest", remedy=remedy)
