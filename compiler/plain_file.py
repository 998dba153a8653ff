"""Files that may be anything: only plain ones are read, no more of them than is sensible, and no deeper."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import tomllib

CHUNK_BYTES = 1 << 20
LONGEST_JSON = 64 << 20
"""Bytes of a JSON file of edgec: manifests, findings and evidence of real networks have some hundred thousand."""


def open_plain(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a plain file; what else may lie there (a pipe, a device) could be waited for without end.

    Raises:
        OSError: It is none, or cannot be read; or it is a link that is not to be followed.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is no plain file")
    return os.fdopen(handle, "rb")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a plain file, hexadecimal.

    Raises:
        OSError: It is none, or cannot be read.
    """
    digest = hashlib.sha256()
    with open_plain(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_plain(path: Path, limit: int) -> bytes:
    """Return the content of a plain file.

    Raises:
        OSError: It is none, or cannot be read.
        ValueError: It has more than `limit` bytes.
    """
    with open_plain(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit >> 20} MiB")
    return content


def read_json(path: Path, limit: int = LONGEST_JSON) -> Any:
    """Return what a JSON file holds.

    Raises:
        OSError: It is no plain file, or cannot be read.
        ValueError: It is no JSON in UTF-8, has more than `limit` bytes, or is nested too deeply.
    """
    return parse_json(read_plain(path, limit))


def parse_json(text: str | bytes) -> Any:
    """Return what JSON in UTF-8 says.

    Raises:
        ValueError: It is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return what TOML says.

    Raises:
        ValueError: It is none, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
