"""Folders that are written as a whole or not at all: built beside their place, then moved by one rename."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgec.artefact.files import MANIFEST
from edgec.errors import BadOption, reason
from edgec.scratch import is_inside, scratch_folder, staging_prefix
from edgec.whole_file import flush

NEW, OLD = "new", "old"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Constants of Linux: fcntl.h and linux/fs.h."""
WITHOUT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
ATTEMPTS = 5


@contextmanager
def staged_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `destination` if the block succeeds, and is removed otherwise.

    An older artefact at `destination` is replaced; anything else there is refused. All files are on the disk before
    they appear there, and at every moment either the older or the new artefact exists.

    Raises:
        BadOption: The place is in use, cannot be written, or the disk is full.
    """
    destination = Path(os.path.realpath(destination))
    check_destination(destination)
    staging: Path | None = None
    made = False

    def put_back(abandoned: Path) -> None:
        if (abandoned / OLD).exists() and not destination.exists():
            (abandoned / OLD).rename(destination)

    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(destination.parent, staging_prefix(destination), put_back) as staging:
            content = staging / NEW
            content.mkdir()
            yield content
            made = True
            _flush_all(content)
            _replace(destination, content, staging / OLD)
            flush(destination.parent)
    except OSError as error:
        if not made and error.filename is not None and staging is not None and not is_inside(error, staging):
            raise  # the error is not about the output, so its own message is better
        remedy = "Nothing was left behind. Free space or choose another place with -o."
        raise BadOption(f"output {destination}: {reason(error)}", remedy=remedy) from error


def check_destination(destination: Path) -> None:
    """Raise an error, also before any long work, for a folder whose place is in use or not writable.

    Raises:
        BadOption: It is.
    """
    if destination.exists() and not _replaceable(destination):
        remedy = "Choose another place with -o, or remove it."
        raise BadOption(f"output {destination} exists and is not an artefact", remedy=remedy)
    there = next(each for each in destination.absolute().parents if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise BadOption(f"output {destination}: {there} is not writable", remedy="Choose another place with -o.")


def _replace(destination: Path, content: Path, old: Path) -> None:
    for attempt in range(ATTEMPTS):
        check_destination(destination)  # again, because other compilations may have written there
        try:
            if not destination.exists():
                content.rename(destination)
            elif not _exchange(content, destination):
                _by_turns(destination, content, old)
            return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST) or attempt == ATTEMPTS - 1:
                raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False if the system or the file system cannot do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in WITHOUT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one))


def _by_turns(destination: Path, content: Path, old: Path) -> None:
    destination.rename(old)
    try:
        content.rename(destination)
    except BaseException:
        old.rename(destination)
        raise


def _flush_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_file() or path.is_dir():
            flush(path)


def _replaceable(path: Path) -> bool:
    return path.is_dir() and ((path / MANIFEST).is_file() or not any(path.iterdir()))
