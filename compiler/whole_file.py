"""Files that are written as a whole or not at all: first beside their place, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgec.errors import BadOption, reason
from edgec.scratch import scratch_folder, staging_prefix


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; what was written becomes `path`, flushed to the disk, if the block succeeds.

    If the block fails or the process is killed, `path` keeps its content. Symbolic links stay links. Anything but a
    regular file (a pipe, /dev/stdout) is written to directly.

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
        raise BadOption(f"cannot write {path}: {reason(error)}", remedy="Choose a place that is writable.") from error


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, in the way of `whole_file`."""
    with whole_file(path) as staged:
        staged.write_text(text, encoding="utf-8")


def flush(path: Path) -> None:
    """Return when the file at `path`, or the entries of the folder `path`, are stored on the disk.

    Raises:
        OSError: They cannot be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the file system cannot flush folders
            raise
    finally:
        os.close(handle)
