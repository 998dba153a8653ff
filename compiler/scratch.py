"""Scratch folders, which are removed when their block ends, or by the next run if their process was killed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgec.errors import BadOption, reason

PREFIX = "edgec-"
SUFFIX = ".tmp"
RANDOM = "[a-z0-9_]{8}"
"""The characters that `tempfile.mkdtemp` inserts between prefix and suffix."""
LONGEST_NAME = 150
"""Maximum number of bytes of the destination's name in the name of its staging folder; names have at most 255."""


@contextmanager
def scratch_folder(place: Path, prefix: str, rescue: Callable[[Path], None] = lambda abandoned: None) -> Iterator[Path]:
    """Yield a new folder in `place`, which is removed after the block; first remove those that killed processes left.

    A folder is locked as long as its process runs. The lock, unlike a process number, is valid across containers, and
    is released however the process ends. On file systems without locks nothing is removed.

    Args:
        place: An existing folder.
        prefix: Prefix of the new folder's name; folders with other prefixes are left alone.
        rescue: Called with each abandoned folder before it is removed.

    Raises:
        OSError: The folder cannot be created in `place`.
    """
    _remove_abandoned(place, prefix, rescue)
    folder, lock = _locked_folder(place, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a scratch folder in the system's folder for temporary files.

    Raises:
        BadOption: That folder is not writable, or the disk is full.
    """
    folder: Path | None = None
    try:
        with scratch_folder(Path(tempfile.gettempdir()), PREFIX) as folder:
            yield folder
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None
        if folder is not None and not full and not is_inside(error, folder):
            raise
        problem = f"temporary files cannot be written in {tempfile.gettempdir()}: {reason(error)}"
        raise BadOption(problem, remedy="Free space there, or name another folder in TMPDIR.") from error


def is_staged_for(name: str, destination: str) -> bool:
    """Whether `name` is a scratch folder in which the next content of `destination`, beside it, is prepared."""
    return re.fullmatch(re.escape(staging_prefix(Path(destination))) + RANDOM + re.escape(SUFFIX), name) is not None


def is_inside(error: OSError, folder: Path) -> bool:
    """Whether `error` says that a file in `folder` could not be written or read; for a copy, its destination counts."""
    path = error.filename if error.filename2 is None else error.filename2
    return isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(folder)


def staging_prefix(destination: Path) -> str:
    """Return the `prefix` of scratch folders beside `destination` in which its next content is prepared."""
    return f".{os.fsdecode(os.fsencode(destination.name)[:LONGEST_NAME])}."


def _locked_folder(place: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=SUFFIX, dir=place))
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another process took it for abandoned and removed it
            continue
        with suppress(OSError):  # the file system has no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if folder.exists():
            return folder, handle
        os.close(handle)  # it was removed before it was locked


def _remove_abandoned(place: Path, prefix: str, rescue: Callable[[Path], None]) -> None:
    pattern = re.compile(re.escape(prefix) + RANDOM + re.escape(SUFFIX))
    with suppress(OSError), os.scandir(place) as entries:
        for path in [Path(entry) for entry in entries if pattern.fullmatch(entry.name)]:
            with suppress(OSError):  # it belongs to another user, or is gone
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    if os.fstat(handle).st_uid == os.geteuid():
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        rescue(path)
                        shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(handle)
