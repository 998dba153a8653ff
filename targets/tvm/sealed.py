"""Sealed folders: a list of hashes shows whether any file in them has changed since they were sealed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from edgec.plain_file import hash_file, read_plain
from edgec.whole_file import write_text

SUMS = "SHA256SUMS"
"""Name of the list: the format of sha256sum(1), after a line with the hash of the list itself."""
LONGEST_LIST = 64 << 20

Known = dict[Path, tuple[tuple[int, int, int], str]]
"""Hashes by file, kept within a process as long as the file's inode, size and time stay the same."""


def seal(folder: Path, known: Known | None = None) -> None:
    """Seal the files that are in `folder` now.

    Raises:
        OSError: A file cannot be read, or is not a regular file.
        BadOption: The list cannot be written.
    """
    lines = "".join(f"{_hash(folder / name, known)}  {name}\n" for name in sorted(_names(folder)))
    write_text(folder / SUMS, f"# {hashlib.sha256(lines.encode()).hexdigest()}\n{lines}")


def is_sealed(folder: Path, known: Known | None = None) -> bool:
    """Return whether `folder` contains exactly the files that it had when it was sealed, unchanged."""
    try:
        first, _, lines = read_plain(folder / SUMS, LONGEST_LIST).decode().partition("\n")
        if first != f"# {hashlib.sha256(lines.encode()).hexdigest()}":
            return False
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines.splitlines())}
        return _names(folder) == set(sums) and all(_hash(folder / name, known) == sums[name] for name in sums)
    except (OSError, ValueError):
        return False


def _names(folder: Path) -> set[str]:
    """Return the files of any kind in `folder`, by their paths relative to it."""
    found = set()
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found |= {(Path(place) / name).relative_to(folder).as_posix() for name in files + links}
    return found - {SUMS}


def _hash(path: Path, known: Known | None) -> str:
    if known is None:
        return hash_file(path)
    status = path.stat()
    state = (status.st_ino, status.st_size, status.st_mtime_ns)
    if path not in known or known[path][0] != state:
        known[path] = (state, hash_file(path))
    return known[path][1]
