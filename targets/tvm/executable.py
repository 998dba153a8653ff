"""From a lowered module to TVM's executable: TVM's own stages, with edgec's memory plan between them."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline as cpu_generic

from edgec.targets.tvm.memory import ARENA_ALIGNMENT, plan_memory
from edgec.targets.tvm.offsets import PIPELINE

NEON_ALIGNMENT = 16


def executable(module: tvm.IRModule, target: tvm.target.Target) -> Any:
    """Return the `VMExecutable` of `module`, compiled for `target` (a CPU)."""
    return relax.build(module, target=target, relax_pipeline=memory_planned(target), tir_pipeline=PIPELINE)


def memory_planned(target: tvm.target.Target) -> tvm.transform.Pass:
    """Return the stages from a lowered module to calls of the executor."""
    # x86 faults if an address is less aligned than its instruction requires; NEON requires whole vectors at most.
    alignment = NEON_ALIGNMENT if "aarch64" in str(target.attrs.get("mtriple", "")) else ARENA_ALIGNMENT
    return tvm.transform.Sequential(
        [
            *cpu_generic.library_dispatch_passes(target),
            *cpu_generic.legalize_passes(target),
            *cpu_generic.dataflow_lower_passes(target),
            plan_memory(alignment),
            *cpu_generic.finalize_passes(target),
        ]
    )
