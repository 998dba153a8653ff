"""All-or-nothing folders: built beside their place, renamed into it when complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgec.artefact.manifest import FILE_NAME
from edgec.errors import BadOption


@contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `destination` if the block ends without an error, and vanishes otherwise.

    An older artefact at `destination` is replaced; anything else there is refused.

    Raises:
        BadOption: The place is taken, cannot be written, or the disk is full.
    """
    destination = Path(os.path.realpath(destination))
    check_destination(destination)
    staging: Path | None = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=".tmp", dir=destination.parent))
        content = staging / "new"
        content.mkdir()
        yield content
        _replace(destination, content, staging / "old")
    except OSError as error:
        if error.filename is not None and staging is not None and not str(error.filename).startswith(str(staging)):
            raise  # not about the output: let it speak for itself
        remedy = "Nothing was left behind. Free space or choose another place with -o."
        raise BadOption(f"output {destination}: {error.strerror or error}", remedy=remedy) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def check_destination(destination: Path) -> None:
    """Refuse, also before long work, a place for a folder that is taken or closed.

    Raises:
        BadOption: It is.
    """
    if destination.exists() and not _replaceable(destination):
        remedy = "Choose another place with -o, or remove it."
        raise BadOption(f"output {destination} exists and is no artefact", remedy=remedy)
    there = next(each for each in destination.absolute().parents if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BadOption(f"output {destination}: {there} is closed", remedy="Choose another place with -o.")


def _replace(destination: Path, content: Path, old: Path) -> None:
    try:
        if destination.exists():
            destination.rename(old)
        content.rename(destination)
    except BaseException:
        if old.exists():
            old.rename(destination)
        raise


def _replaceable(path: Path) -> bool:
    return path.is_dir() and ((path / FILE_NAME).is_file() or not any(path.iterdir()))
