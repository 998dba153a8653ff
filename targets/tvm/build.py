"""Relax to code: `build` compiles a lowered module for a CPU into an object file and a blob of bytecode and weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tvm
from tvm import relax

from edgec.targets.board import Board
from edgec.targets.tvm.cpu import llvm_target


@dataclass(frozen=True)
class Built:
    """Files to link into one library."""

    object_file: Path
    """Kernels, for the board's CPU."""
    blob: Path
    """The executor's bytecode and the weights, as TVM serializes them."""


def build(module: tvm.IRModule, board: Board, folder: Path) -> Built:
    """Compile `module` for the (resolved) `board` into files in `folder`."""
    executable = relax.build(module, target=llvm_target(board))
    (library,) = executable.mod._collect_dso_modules()
    built = Built(folder / "kernels.o", folder / "blob.bin")
    library.write_to_file(str(built.object_file))
    with _native_stderr_swallowed():  # one warning per weight, "Scope Saving", that means nothing
        blob = tvm.get_global_func("runtime.ModulePackImportsToTensor")(executable.mod)
    blob.numpy().tofile(built.blob)
    return built


@contextmanager
def _native_stderr_swallowed() -> Iterator[None]:
    """Send what native code writes to standard error elsewhere; shown only if the block fails."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except BaseException:
            sink.seek(0)
            os.write(saved, sink.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
