"""Relax to code: `build` compiles a lowered module for a CPU into object files and a blob of bytecode and weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import relax, tirx
from tvm.ir.instrument import pass_instrument

from edgec.targets.board import Board
from edgec.targets.tvm.cpu import llvm_target
from edgec.targets.tvm.executable import memory_planned
from edgec.targets.tvm.memory import allocated
from edgec.targets.tvm.offsets import PIPELINE
from edgec.targets.tvm.schedules.common.kernel import SIMPLIFIED

PARTS = 8
"""Number of object files for the kernels: a constant, so that every machine makes the same files."""
SMALLEST_PART = 4
"""Minimum number of kernels per part: each part costs LLVM 40 ms."""
# LLVM eliminates common subexpressions anyway; TVM's pass takes half the time of all its passes. The checks of every
# kernel's arguments are more than half of the code, and none can fail: the executor checks the network's inputs.
SETTINGS = {"tirx.disable_cse_tir": True, "tirx.disable_assert": True}
UNROLL = "tirx.UnrollLoop"
REPEATED = {"tirx.StmtSimplify", "tirx.RemoveNoOp"}


@pass_instrument
class LeftToLlvm:
    """Skips, after unrolling, passes that LLVM repeats and that take half of TVM's time, unless marked `SIMPLIFIED`."""

    def __init__(self) -> None:
        self._unrolled = False

    def should_run(self, module: tvm.IRModule, info: tvm.transform.PassInfo) -> bool:
        """Return whether the pass runs; TVM calls this before each pass."""
        self._unrolled |= info.name == UNROLL
        if not self._unrolled or info.name not in REPEATED:
            return True
        return any(SIMPLIFIED in (function.attrs or {}) for function in module.functions.values())


@dataclass(frozen=True)
class Built:
    """Files that are linked into one library."""

    object_files: tuple[Path, ...]
    """Kernels, for the board's CPU."""
    blob: Path
    """The executor's bytecode and the weights, as TVM serializes them."""
    activation_bytes: int
    """Memory that the executor allocates for a run: values and outputs."""


def build(module: tvm.IRModule, board: Board, folder: Path) -> Built:
    """Compile `module` for the (resolved) `board` into files in `folder`; kernels are compiled in parallel."""
    target = llvm_target(board)
    with target:
        module = memory_planned(target)(module)
    kernels = {name: function for name, function in module.functions_items() if isinstance(function, tirx.PrimFunc)}
    network = {name: function for name, function in module.functions_items() if name not in kernels}
    objects = _compile_parts(list(kernels.items()), target, folder)
    pack_network(tvm.IRModule(network, attrs=module.attrs), target, folder / "blob.bin")
    return Built(objects, folder / "blob.bin", allocated(module))


def pack_network(network: tvm.IRModule, target: tvm.target.Target, blob: Path) -> None:
    """Write the bytecode and weights of `network`, whose kernels are compiled separately, into the file `blob`."""
    executable = relax.build(network, target, relax_pipeline=None)
    with _native_stderr_swallowed():  # TVM prints one meaningless warning per weight, "Scope Saving"
        content = tvm.get_global_func("runtime.ModulePackImportsToTensor")(executable.mod)
    content.numpy().tofile(blob)


def compile_kernels(kernels: Mapping[Any, Any], target: tvm.target.Target, path: Path) -> None:
    """Compile `kernels`, functions by name, into the object file `path`."""
    with tvm.transform.PassContext(opt_level=2, config=SETTINGS, instruments=[LeftToLlvm()]):
        library = tirx.build(tvm.IRModule(dict(kernels)), target, pipeline=PIPELINE)
    library.write_to_file(str(path))


def _compile_parts(kernels: Sequence[tuple[Any, Any]], target: tvm.target.Target, folder: Path) -> tuple[Path, ...]:
    """Compile each part of `kernels` into an object file; TVM and LLVM release Python's lock for the other threads."""
    count = max(1, min(PARTS, len(kernels) // SMALLEST_PART))
    parts = [kernels[index::count] for index in range(count)]

    def compile_part(index: int) -> Path:
        path = folder / f"kernels{index}.o"
        compile_kernels(dict(parts[index]), target, path)
        return path

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return tuple(pool.map(compile_part, range(count)))


@contextmanager
def _native_stderr_swallowed() -> Iterator[None]:
    """Capture what native code writes to standard error; it is shown only if the block fails."""
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
