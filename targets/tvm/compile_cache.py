"""Identity of a compiled library: `key_of` is equal only if the library would be equal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgec.model.serialize import sha256
from edgec.options import CompileOptions
from edgec.targets.board import Board
from edgec.targets.tvm.cpu_flags import machine_identity

Tuned = Mapping[str, Sequence[Mapping[str, Any]]]

COMPILERS = ("edgec", "apache-tvm", "apache-tvm-ffi", "ziglang")
SOURCES = ("edgec.targets.tvm", "edgec.model")
"""Packages that determine the generated code: their code is part of the key."""


def key_of(model: ir.Model, board: Board, options: CompileOptions, tuned: Tuned | None = None) -> str:
    """Return the key of compiling canonical `model` for `board`: equal only if the library would be equal.

    The key includes the `options` that the lowering reads; a board called `host` stands for this machine.
    `tuned` are the schedules chosen by a tuning run.
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


@cache
def _sources_hash() -> str:
    digest = hashlib.sha256()
    for package in SOURCES:
        root = Path(str(resources.files(package)))
        for path in sorted(root.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return digest.hexdigest()
