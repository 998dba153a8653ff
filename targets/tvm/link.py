"""Links objects to a library: `link` makes the shared library that TVM's runtime loads on the board."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from edgec.targets.board import Board
from edgec.targets.tvm.build import Built
from edgec.targets.tvm.zig import REPRODUCIBLE, zig, zig_triple

BLOB_SOURCE = """\
    .section .rodata,"a",%progbits
    .globl __tvm_ffi__library_bin
    .type __tvm_ffi__library_bin, %object
    .balign 64
__tvm_ffi__library_bin:
    .incbin "blob.bin"
    .size __tvm_ffi__library_bin, . - __tvm_ffi__library_bin
    .section .note.GNU-stack,"",%progbits
"""
"""The symbol that the runtime looks for. An assembler includes the blob directly; LLVM needs many times its size."""


def link(built: Built, board: Board, library: Path, tell: Callable[[str], None] = lambda message: None) -> None:
    """Link `built` (its folder is written to) into `library`; the same input gives the same bytes.

    For `tell` see `zig`.

    Raises:
        MissingDependency: `ziglang` is not installed.
    """
    folder = built.blob.parent
    (folder / "blob.S").write_text(BLOB_SOURCE.replace("blob.bin", built.blob.name), encoding="ascii")
    # The name is given to zig as a relative path, because zig might record the path of a temporary folder.
    arguments = ["-target", zig_triple(board), "-shared", *REPRODUCIBLE, "-o", "linked.so"]
    objects = [os.path.relpath(path, folder) for path in built.object_files]
    zig("cc", [*arguments, *objects, "blob.S", "-lm"], folder, tell)
    # A rename works within one file system only, and would keep the mode: linkers mark libraries as executable.
    shutil.copyfile(folder / "linked.so", library)
