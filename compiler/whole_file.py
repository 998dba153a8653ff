"""Files written whole or not at all: beside their place first, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgec.errors import BadOption
from edgec.scratch import scratch_folder, staging_prefix


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the place to write what shall become `path`; it is there, and on the disk, when the block ends well.

    A block that fails, or a process that is killed, leaves what was at `path`. Links stay links; what is no plain file
    (a pipe, /dev/stdout) is written to directly.

    Raises:
        BadOption: The path cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    place = Path(os.path.realpath(path))
    try:
        with scratch_folder(place.parent, staging_prefix(place)) as folder:
            staged = folder / place.name
            yield staged
            flush(staged)
            staged.replace(place)
            flush(place.parent)
    except OSError as error:
        raise BadOption(f"cannot write {path}: {error}", remedy="Choose a place that is writable.") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8; as `whole_file`."""
    with whole_file(path) as staged:
        staged.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Return when the file at `path`, or the entries of the folder there, are on the disk.

    Raises:
        OSError: They cannot be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing for folders
            raise
    finally:
        os.close(handle)
