"""The user's cache: files by the content from which they were made. Each is checked on use, and none is required.

An entry is one file, named by its key: the SHA-256 of what follows it, a line of JSON (facts about the content), then
the content. It is written to a temporary file and renamed, so that concurrent compilations see complete entries only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from edgec.plain_file import CHUNK_BYTES, open_plain
from edgec.scratch import scratch_folder
from edgec.whole_file import flush

LIMIT_BYTES = 2 << 30
"""Maximum total size of the entries of a kind; beyond it those used longest ago are removed."""
STAGING = ".new-"
DIGEST_LINE = 65
"""Number of bytes of a SHA-256 in hexadecimal with the end of its line."""


def cache_folder() -> Path:
    """Return the folder in which compiled tools and downloaded libraries are kept between compilations."""
    return Path(platformdirs.user_cache_dir("edgec"))


class Cache:
    """The entries of one `kind`.

    Args:
        kind: Name of the folder of the entries.
        tell: Called with a sentence if the cache cannot be used; everything then works without it.
    """

    def __init__(self, kind: str, tell: Callable[[str], None] = lambda message: None) -> None:
        self._folder, self._tell = cache_folder() / kind, tell

    def take(self, key: str, destination: Path) -> dict[str, Any] | None:
        """Copy the content under `key` to the file `destination` and return the facts stored with it.

        Returns None if there is no such entry, or if it is damaged; then it is removed.
        """
        entry = self._folder / key
        try:
            with open_plain(entry, follow=False) as source:
                facts = _unpack(source, destination)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            self._tell(unusable(self._folder, error))
            return None
        except (OSError, ValueError):
            facts = None
        if facts is None:
            destination.unlink(missing_ok=True)
            remove(entry)
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)  # used now
        return facts

    def keep(self, key: str, path: Path, facts: Mapping[str, Any]) -> None:
        """Store the content of the file `path` and `facts` (JSON values) under `key`."""
        if path.stat().st_size > LIMIT_BYTES:
            return
        head = json.dumps(dict(facts)).encode() + b"\n"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with scratch_folder(self._folder, STAGING) as scratch, path.open("rb") as source:
                with (scratch / key).open("wb") as staged:
                    staged.write(b"\n".rjust(DIGEST_LINE))
                    staged.write(head)
                    digest = _copy(source, staged, hashlib.sha256(head))
                    staged.seek(0)
                    staged.write(digest.encode())
                flush(scratch / key)
                if (self._folder / key).is_dir():
                    remove(self._folder / key)
                (scratch / key).replace(self._folder / key)
            self._evict()
        except OSError as error:
            self._tell(unusable(self._folder, error))

    def _evict(self) -> None:
        """Remove the entries used longest ago until the rest are within the limit."""
        entries = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another compilation may have removed it
                status = path.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    entries.append((status.st_mtime, status.st_size, path))
        room = LIMIT_BYTES
        for _, size, path in sorted(entries, reverse=True):
            room -= size
            if room < 0:
                path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, link or folder of the cache, as far as that is allowed."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _unpack(source: BinaryIO, destination: Path) -> dict[str, Any] | None:
    """Write the content of an entry to `destination` and return its facts; None if it is damaged."""
    expected = source.read(DIGEST_LINE)
    head = source.readline()
    with destination.open("wb") as content:
        digest = _copy(source, content, hashlib.sha256(head))
    if expected != digest.encode() + b"\n":
        return None
    facts: dict[str, Any] = json.loads(head)
    return facts


def _copy(source: BinaryIO, destination: BinaryIO, digest: Any) -> str:
    """Copy the rest of `source`; return the SHA-256, in hexadecimal, of that and all that `digest` was given before."""
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        destination.write(chunk)
    text: str = digest.hexdigest()
    return text


def unusable(folder: Path, error: Exception) -> str:
    """Return the sentence for a cache that cannot be used."""
    reason = getattr(error, "strerror", None) or error
    return f"the cache {folder} cannot be used ({reason}), so edgec continues without it"
