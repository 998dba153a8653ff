"""A board of the example plugin's back end, which copies the ONNX model: artefacts without a compiler."""

from __future__ import annotations

from pathlib import Path

RECORD = """
name = "copy"
title = "{title}"
backend = "onnx-copy"
triple = "x86_64-linux-gnu"
cpu = "generic"
cores = 1
threads = 1
memory_mib = 1024
precisions = [{precisions}]
"""


def copy_board(path: Path, title: str = "ONNX Runtime", precisions: tuple[str, ...] = ("fp32", "int8")) -> str:
    """Write the board's record to `path`; return the path as `--target` takes it."""
    path.write_text(RECORD.format(title=title, precisions=", ".join(f'"{name}"' for name in precisions)))
    return str(path)
