"""`RuntimeRecord`: the data in the manifest that a CPU artefact's loader needs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from edgec.targets.base import RuntimeRecord
from edgec.targets.tvm.layers import CalledLayer
from edgec.targets.tvm.taps import Tap

LIBRARY, RUNNER = "model.so", "edgec-run"


class TvmRuntime(RuntimeRecord):
    """The record of a library for a CPU.

    Attributes:
        library: File that contains the compiled network.
        architecture: Architecture of the CPU, as Linux names it.
        batch: Largest batch size.
        cpu, cpu_features, cpu_flags: LLVM's name of the CPU, the features given to LLVM, and the instruction sets used.
        activation_bytes: Memory in bytes that a run needs besides the weights.
        kernels: Number of functions per rule.
        tuned: Workload -> the choice of a tuning run that was used for it.
        taps: Where values inside the network can be read.
        layers: Layers that each call of a function computes.
        tvm, tvm_ffi: Versions of TVM that compiled it.
    """

    library: str
    architecture: str
    batch: int = Field(ge=1)
    cpu: str
    cpu_features: tuple[str, ...]
    cpu_flags: tuple[str, ...]
    activation_bytes: int = Field(ge=0)
    kernels: dict[str, int]
    tuned: dict[str, dict[str, Any]] = Field(default_factory=dict)
    taps: tuple[Tap, ...] = ()
    layers: tuple[CalledLayer, ...] = ()
    tvm: str
    tvm_ffi: str

    def files(self) -> tuple[str, ...]:
        """Return the library, and the runner that is used where TVM is not installed."""
        return self.library, RUNNER
