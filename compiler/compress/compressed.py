"""`Compressed`: what compression made of a network, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgec.compress.pruner import Pruned
from edgec.compress.quantization import Quantization
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.tasks import Tasks
from edgec.model.cost import layer_costs
from edgec.profile import Emulation


@dataclass(frozen=True, eq=False)
class Halves:
    """The network in fp16, emulated, and its loss against the original on the samples decided on."""

    emulation: Emulation
    loss: float


@dataclass(frozen=True, eq=False)
class Compressed:
    """The network, and how it came about.

    Attributes:
        model: What is compiled.
        original: As it was, in the same form, before.
        precision: What it runs in.
        network: The pruned network in floats, before its quantization.
        pruned: What pruning did.
        quantized: What quantization did.
        sensitivity: What pruning was decided by.
        tasks: Data and metric.
        halves: The network in fp16, where that is its precision and something emulates it.
    """

    model: ir.Model
    original: ir.Model
    precision: str
    network: ir.Model
    pruned: Pruned | None
    quantized: Quantization | None
    sensitivity: SensitivityReport | None
    tasks: Tasks
    halves: Halves | None = None

    @property
    def emulated(self) -> ir.Model:
        """The network whose results in ONNX Runtime are about those of the board."""
        return self.model if self.halves is None else self.halves.emulation.model

    @property
    def in_float(self) -> frozenset[str]:
        """Names of the layers that do not run in the lower precision."""
        if self.halves is not None:
            return self.halves.emulation.in_float
        names = frozenset(layer.name for layer in layer_costs(self.network))
        return names - frozenset(self.quantized.quantized.placement.layers) if self.quantized else frozenset()
