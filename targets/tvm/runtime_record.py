"""What the loader of a CPU artefact needs to know."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from edgec.targets.base import RuntimeRecord
from edgec.targets.tvm.layers import CalledLayer
from edgec.targets.tvm.taps import Tap

LIBRARY, RUNNER = "model.so", "edgec-run"


class TvmRuntime(RuntimeRecord):
    """Of a library for a CPU.

    Attributes:
        library: The file with the network.
        architecture: Of the CPU, as Linux names it.
        batch: The largest.
        cpu, cpu_features, cpu_flags: LLVM's name of the CPU, what it was told of it, and the instruction sets used.
        activation_bytes: What a run needs beside the weights.
        kernels: Functions by the rule that made them.
        tuned: Workload -> the choice of a tuning run that was taken for it.
        taps: Where values inside the network can be read.
        layers: What the calls of functions compute.
        tvm, tvm_ffi: Versions that compiled it.
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
        """Return the library, and the runner that stands in where TVM is not installed."""
        return self.library, RUNNER
