"""Memory for activations: our arena and workspaces beside ONNX Runtime's arena; the table of docs/results/memory.md.

`python bench/memory.py [NETWORK ...]` (one thread, host, fp32; `--resident` compiles, and measures processes too)

Ours is what the executor allocates (arena, outputs, what TVM plans itself), read from the planned module, and the
largest workspace a kernel asks for, read from its code. ONNX Runtime's is what its arena takes from the system for
activations, from its log after three runs; weights have an area of their own there and do not count. Its arena grows in
powers of two by default; `exact` lets it grow as needed. Inputs belong to the caller on both sides.

`--resident` shows the same from outside: how far the peak of a fresh process's resident memory rises over three runs.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir as ir
import tvm
import tvm_ffi
from networks import NETWORKS, network
from tvm import s_tir, tirx

import edgec
from edgec.artefact.artefact import Artefact
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.record import Record
from edgec.reference.golden import golden_inputs
from edgec.reference.onnx_runtime import ort
from edgec.targets.board import load_board
from edgec.targets.tvm import TvmTarget
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.executable import memory_planned
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.memory import allocated
from edgec.targets.tvm.pipeline import lower_relax

RUNS = 3
MB = 1e6
ON_STACK = 1024
"""Bytes up to which TVM keeps a buffer of a kernel on the stack."""


def planned(model: ir.Model) -> tuple[int, int]:
    """Return the bytes of activations and of the largest workspace of a kernel, for one thread on `host`."""
    board = load_board("host").model_copy(update={"threads": 1})
    options = CompileOptions(target="host")
    canonical = pipeline.run(model, profile=TvmTarget().profile(board), options=options, record=Record())
    target = llvm_target(resolve(board))
    lowered = lower_relax(to_relax(canonical), board)
    with target:
        module = memory_planned(target)(lowered)
    return allocated(module), max(workspaces(module, target), default=0)


def workspaces(module: tvm.IRModule, target: tvm.target.Target) -> list[int]:
    """Return the bytes that each kernel of `module` allocates while it runs."""
    kernels = {name: function for name, function in module.functions_items() if isinstance(function, tirx.PrimFunc)}
    passes = s_tir.transform
    stages = [
        tirx.transform.BindTarget(target),
        passes.CanonicalizeLoop(),
        passes.LowerInitBlock(),
        passes.PlanAndUpdateBufferAllocationLocation(),
        passes.ConvertBlocksToOpaque(),
        passes.CompactBufferAllocation(),
        passes.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.VectorizeLoop(),
        tirx.transform.StorageRewrite(),
    ]
    with target:
        module = tvm.transform.Sequential(stages)(tvm.IRModule(kernels))
    return [_allocations(function.body) for _, function in module.functions_items()]


def _allocations(body: object) -> int:
    found: list[int] = []

    def visit(statement: tirx.AllocBuffer) -> None:
        buffer = statement.buffer
        dtype = tvm.DataType(str(buffer.dtype))
        found.append(math.prod(int(extent) for extent in buffer.shape) * dtype.bits * dtype.lanes // 8)

    tvm_ffi.structural_walk(body, (tirx.AllocBuffer, visit))
    return sum(size for size in found if size > ON_STACK)


def arena(model: ir.Model, *, exact: bool) -> int:
    """Return the bytes that ONNX Runtime's arena takes for activations over three runs (in this process)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 1
    ort.set_default_logger_severity(1)
    if exact:
        as_requested = ort.OrtArenaCfg({"arena_extend_strategy": 1, "initial_chunk_size_bytes": 1})
        memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        options.add_session_config_entry("session.use_env_allocators", "1")
    with _native_log() as read:
        if exact:
            ort.create_and_register_allocator(memory, as_requested)
        run_onnx_runtime(model, options)
        return sum(int(size) for size in re.findall(r"Extended allocation by (\d+) bytes", read()))


def run_onnx_runtime(model: ir.Model, options: ort.SessionOptions) -> int:
    """Run `model` three times; return by how many bytes the peak of resident memory rose over the runs."""
    proto = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    feeds = golden_inputs(inputs_of(model), 0)
    before = resident(reset=True)
    for _ in range(RUNS):
        session.run(None, feeds)
    return resident() - before


def run_ours(folder: Path) -> int:
    """Run the artefact in `folder` three times; return by how many bytes the peak of resident memory rose."""
    artefact = Artefact.open(folder)
    runner = artefact.runner(threads=1)
    feeds = {port.name: np.load(folder / port.golden) for port in artefact.manifest.inputs}
    before = resident(reset=True)
    for _ in range(RUNS):
        runner.run(feeds)
    return resident() - before


def resident(*, reset: bool = False) -> int:
    """Return the peak of this process's resident memory in bytes, since it was reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024


@contextmanager
def _native_log() -> Iterator[object]:
    """Catch what native code writes to standard error; yields a function that returns it."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)

        def read() -> str:
            sink.seek(0)
            return sink.read().decode(errors="replace")

        try:
            yield read
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def measured(job: str, name: str, *rest: str) -> int:
    """Return what `job` measures of network `name` in a process of its own."""
    command = [sys.executable, __file__, name, "--job", job, *rest]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def job(kind: str, name: str, folder: str) -> int:
    """Do the work of one process."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    match kind:
        case "arena" | "exact":
            return arena(network(name), exact=kind == "exact")
        case "onnxruntime":
            return run_onnx_runtime(network(name), options)
        case _:
            return run_ours(Path(folder))


def row(name: str, *, with_resident: bool) -> str:
    """Return the table's row of one network."""
    activations, workspace = planned(network(name))
    default, exact = measured("arena", name), measured("exact", name)
    ours = activations + workspace
    sizes = [activations, workspace, default, exact]
    cells = [name, *(f"{size / MB:.2f}" for size in sizes), f"{ours / default:.2f}", f"{ours / exact:.2f}"]
    if with_resident:
        with tempfile.TemporaryDirectory() as folder:
            artefact = edgec.compile(network(name), target="host", output=Path(folder) / "artefact")
            rises = [measured("ours", name, "--folder", str(artefact.folder)), measured("onnxruntime", name)]
        cells += [" / ".join(f"{rise / MB:.1f}" for rise in rises)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, a row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help="names; default: all")
    parser.add_argument("--resident", action="store_true", help="compile too, and measure resident memory")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        print(job(options.job, options.networks[0], options.folder))
        return
    heads = ["network", "ours MB", "workspace MB", "ORT MB", "ORT exact MB", "ours/ORT", "ours/ORT exact"]
    heads += ["resident ours / ORT MB"] if options.resident else []
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)
    for name in options.networks:
        print(row(name, with_resident=options.resident), flush=True)


if __name__ == "__main__":
    main()
