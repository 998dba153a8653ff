"""Files written whole or not at all: beside their place first, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgec.errors import BadOption


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
    staged = place.with_name(f".{place.stem}.{os.getpid()}{place.suffix}")
    try:
        yield staged
        with staged.open("rb") as file:
            os.fsync(file.fileno())
        staged.replace(place)
    except OSError as error:
        raise BadOption(f"cannot write {path}: {error}", remedy="Choose a place that is writable.") from error
    finally:
        with suppress(OSError):  # it is not there, or its folder is none: what went wrong has been said
            staged.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8; as `whole_file`."""
    with whole_file(path) as staged:
        staged.write_text(text, encoding="utf-8")
