"""Reads text files, with errors that name the file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgec.errors import BadOption, reason


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without byte order mark.

    Raises:
        BadOption: It cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadOption(f"{path}: {reason(error)}", remedy="Give a readable file in UTF-8.") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line) for each line that is not blank; only newlines end a line, because texts may contain others.

    Raises:
        BadOption: The file cannot be read.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def read_names(path: Path) -> tuple[str, ...]:
    """Read class names, one per line.

    Raises:
        BadOption: The file cannot be read, or a name occurs twice.
    """
    names: list[str] = []
    for number, line in numbered_lines(path):
        name = line.strip()
        if name in names:
            raise BadOption(f"{path}: line {number}: class {name!r} occurs twice")
        names.append(name)
    return tuple(names)
