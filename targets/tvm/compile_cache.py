"""Compiled libraries by the content they were made from: what was compiled before is copied from the user's cache.

An entry is one file, named by its key: a line of JSON (the library's hash and facts about it), then the library. It is
written beside and renamed, so that concurrent compilations see whole entries only; it is hashed when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import onnx_ir as ir

from edgec.model.serialize import sha256
from edgec.options import CompileOptions
from edgec.targets.board import Board
from edgec.targets.tvm.cpu_flags import machine_identity
from edgec.targets.tvm.zig import cache_folder

Tuned = Mapping[str, Sequence[Mapping[str, Any]]]

LIMIT_BYTES = 2 << 30
"""Size of the cache; beyond it the entries used longest ago go."""
CHUNK_BYTES = 1 << 20
LONGEST_HEADER = 1 << 16
COMPILERS = ("edgec", "apache-tvm", "apache-tvm-ffi", "ziglang")
SOURCES = ("edgec.targets.tvm", "edgec.model")
"""Packages that decide what is generated: their code is part of the key."""


def key_of(model: ir.Model, board: Board, options: CompileOptions, tuned: Tuned | None = None) -> str:
    """Return the key of compiling canonical `model` for `board`: equal only where the library would be.

    Of `options`, those that the lowering reads count; a board called `host` stands for this machine.
    `tuned` are the choices of a tuning run.
    """
    parts = {
        "model": sha256(model),
        "board": board.model_dump(mode="json", exclude={"title", "notes"}),
        "machine": machine_identity() if board.cpu == "host" else "",
        "precision": options.precision,
        "tuned": dict(tuned or {}),
        "compilers": {name: version(name) for name in COMPILERS},
        "sources": _sources_hash(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def take(key: str, library: Path) -> dict[str, Any] | None:
    """Copy the library kept under `key` to the file `library` and return the facts kept with it.

    Returns None where there is no such entry, or a damaged one, which is removed.
    """
    entry = _folder() / key
    try:
        with entry.open("rb") as source, library.open("wb") as destination:
            header = json.loads(source.readline(LONGEST_HEADER))
            sound = _copy(source, destination) == header["sha256"]
            facts: dict[str, Any] = header["facts"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        library.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            entry.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(entry)  # used now
    return facts


def keep(key: str, library: Path, facts: Mapping[str, Any]) -> None:
    """Keep the file `library` and `facts` (JSON values) under `key`; where the cache cannot be written, do nothing."""
    if library.stat().st_size > LIMIT_BYTES:
        return
    with contextlib.suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        with library.open("rb") as source, tempfile.NamedTemporaryFile(dir=_folder(), delete=False) as staged:
            try:
                digest = hashlib.sha256()
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                header = {"sha256": digest.hexdigest(), "facts": dict(facts)}
                staged.write(json.dumps(header).encode() + b"\n")
                source.seek(0)
                _copy(source, staged)
                staged.close()
                Path(staged.name).replace(_folder() / key)
            except BaseException:
                Path(staged.name).unlink(missing_ok=True)
                raise
        _evict()


def _folder() -> Path:
    return cache_folder() / "compiled"


def _copy(source: BinaryIO, destination: Any) -> str:
    """Copy what remains of `source`; return its SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        destination.write(chunk)
    return digest.hexdigest()


def _evict() -> None:
    """Remove the entries used longest ago until the rest are within the limit."""
    entries = []
    for path in _folder().iterdir():
        with contextlib.suppress(FileNotFoundError):  # another compilation evicts too
            status = path.stat()
            entries.append((status.st_mtime, status.st_size, path))
    room = LIMIT_BYTES
    for _, size, path in sorted(entries, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)


@cache
def _sources_hash() -> str:
    digest = hashlib.sha256()
    for package in SOURCES:
        root = Path(str(resources.files(package)))
        for path in sorted(root.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return digest.hexdigest()
