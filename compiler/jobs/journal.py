"""`Journal`: results of measurements in a file, one JSON object per line, so that an interrupted run can continue."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from edgec.errors import BadOption, reason

Record = Mapping[str, Any]
"""One result, as values that JSON can store."""


class Journal:
    """Results of one run. The first line of the file is the head, which distinguishes this run from others.

    Several processes append to the file, and any of them may be killed at any time: an incomplete or damaged line is
    ignored. Each line is read only once.

    Args:
        path: The file, which need not exist.
        head: All settings on which the results of the run depend.

    Attributes:
        path: The file.
        records: The results read so far, in their order.

    Raises:
        BadOption: The file belongs to a run with another head, or cannot be read.
    """

    def __init__(self, path: Path, head: Record) -> None:
        self.path = path
        self.records: list[Record] = []
        self._head = dict(head)
        self._read = 0  # number of bytes of the file that were read
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            return
        there = self._first_line()
        if there is None:  # the run was killed before it wrote its head
            path.unlink()
        elif there != self._head:
            different = [key for key in head if there.get(key) != head[key]]
            raise BadOption(
                f"{path} was started with another {' and '.join(different) or 'edgec'}",
                remedy="Remove it, or choose another output.",
            )
        self.refresh()

    def begin(self) -> None:
        """Write the head, if the file does not exist yet."""
        if not self.path.exists():
            append(self.path, self._head)

    def append(self, record: Record) -> None:
        """Write one result; it is in `records` after the next `refresh`."""
        self.begin()
        append(self.path, record)

    def refresh(self) -> None:
        """Read the results that any process appended since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if self._read == 0:
            lines = lines[1:]
        self._read += len(whole)
        self.records.extend(filter(None, map(_parsed, lines)))

    def _first_line(self) -> Record | None:
        try:
            with self.path.open("rb") as file:
                return _parsed(file.readline())
        except OSError as error:
            raise BadOption(
                f"journal {self.path} cannot be read: {reason(error)}", remedy="Choose another output."
            ) from error


def append(path: Path, record: Record) -> None:
    """Append one line to the journal at `path`, in a single write, because several processes may append at once."""
    with path.open("ab+") as file:
        file.seek(0, os.SEEK_END)
        # An incomplete line is ended first, so that it does not spoil the new one.
        broken = file.tell() > 0 and _last_byte(file) != b"\n"
        file.write((b"\n" if broken else b"") + json.dumps(dict(record)).encode() + b"\n")


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _parsed(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # it is not JSON or not UTF-8, or nested too deeply
        return None
    return record if isinstance(record, dict) else None
