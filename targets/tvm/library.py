"""Compiles a canonical ONNX model to the library that the board loads: import, lower, generate code, link."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgec.errors import BadOption
from edgec.options import Precision
from edgec.record import Record
from edgec.scratch import temporary_folder
from edgec.targets.board import Board
from edgec.targets.tvm.build import build
from edgec.targets.tvm.compile_cache import Tuned
from edgec.targets.tvm.cpu import llvm_target, needed_flags, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.layers import layers_of
from edgec.targets.tvm.link import link
from edgec.targets.tvm.pipeline import lower_with_report


def compile_library(
    model: ir.Model, board: Board, precision: Precision, record: Record, library: Path, tuned: Tuned | None = None
) -> dict[str, Any]:
    """Compile `model` for `board` into the file `library`, with the schedules in `tuned` (by workload), if any.

    Returns:
        Data for a loader (the CPU, the instruction sets used) and for the user: memory of a run, kernels by the rule
            that made them, operators without a rule; where inner values of the network can be read; and what each
            call computes.

    Raises:
        UnsupportedModel: An operator cannot be imported; the message names it and its nodes.
        BadOption: LLVM does not know the board's CPU, or the CPU cannot convert to `precision`.
    """
    resolved = resolve(board)
    flags = needed_flags(resolved)
    if precision == "fp16" and not {"asimd", "f16c"} & set(flags):
        problem = f"precision fp16 on {board.name}: its CPU ({resolved.cpu}) has no instructions that convert to fp16"
        raise BadOption(problem, remedy="Compile it with --precision fp32.")
    with record.stage("import into TVM"):
        module = to_relax(model)
    with record.stage("lower"):
        cpu = cpu_model(board).at_precision(precision)
        lowered = lower_with_report(module, cpu, llvm_target(resolved), tuned)
    with temporary_folder() as scratch:
        with record.stage("generate code"):
            built = build(lowered.module, resolved, scratch)
        with record.stage("link"):
            link(built, resolved, library, record.tell)
    return {
        "cpu": resolved.cpu,
        "cpu_features": list(resolved.features),
        "cpu_flags": flags,
        "activation_bytes": built.activation_bytes,
        "kernels": lowered.report.counts(),
        "left_out": lowered.report.left_out(),
        "tuned": lowered.report.tuned,
        "taps": [asdict(tap) for tap in lowered.report.taps],
        "layers": [asdict(layer) for layer in layers_of(model, lowered.report.values)],
    }
