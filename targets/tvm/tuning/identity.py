"""For what a measurement is valid: the code that generates kernels, and the CPU that runs them. Needs no TVM."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgec.options import Precision
from edgec.targets.board import Board
from edgec.targets.tvm.cpu_flags import machine_identity

ROOM = "edgec.targets.tvm"
SOURCES = ("schedules", "regions", "intrinsics.py")
"""Folders and files of `ROOM` that generate kernels."""
COMPILERS = ("apache-tvm", "apache-tvm-ffi")
RELEVANT = {"triple", "cpu", "features", "cache"}
"""Fields of a board's record that determine the code generated for it."""
DIGITS = 12


@cache
def schedule_version() -> str:
    """Return a hash of the code that generates kernels.

    It does not depend on comments, docstrings, line breaks, or the names and places of files.
    """
    return hash_of(Path(str(resources.files(ROOM))) / name for name in SOURCES)


def hash_of(sources: Iterable[Path]) -> str:
    """Return a hash of the Python code in `sources`: files, and folders with their subfolders."""
    digest = hashlib.sha256(json.dumps([version(name) for name in COMPILERS]).encode())
    files = (path for source in sources for path in (source.rglob("*.py") if source.is_dir() else [source]))
    for code in sorted({_code(path.read_text(encoding="utf-8")) for path in files} - {_code("")}):
        digest.update(code.encode())
    return digest.hexdigest()[:DIGITS]


def target_key(board: Board, precision: Precision) -> str:
    """Return a text that is equal for boards that get the same kernels for `board.threads` threads."""
    parts = board.model_dump(mode="json", include=RELEVANT)
    if board.cpu == "host":
        parts["machine"] = machine_identity()
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{board.cpu} {precision} {board.threads} threads {digest[:DIGITS]}"


def _code(source: str) -> str:
    return _dump(ast.parse(source))


def _dump(part: Any) -> str:
    """Return a syntax tree as text, the same in every Python: `ast.dump` writes empty fields in some only."""
    if isinstance(part, list):
        return f"[{', '.join(_dump(entry) for entry in part if not _documents(entry))}]"
    if not isinstance(part, ast.AST):
        return ascii(part)
    if isinstance(part, ast.ImportFrom):
        part = ast.Import(part.names)  # the file from which a name is imported does not change what the code does
    fields = ((name, _dump(value)) for name, value in ast.iter_fields(part) if value is not None)
    return f"{type(part).__name__}({', '.join(f'{name}={text}' for name, text in fields if text != '[]')})"


def _documents(part: Any) -> bool:
    """Whether `part` is a docstring, or the text below a constant or field."""
    text = part.value if isinstance(part, ast.Expr) else None
    return isinstance(text, ast.Constant) and isinstance(text.value, str)
