"""`quantize`: turns a float network, ranges and samples into a Q/DQ network, with a report on every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.passes.quantize.codecs.base import Levels, load_codec
from edgec.passes.quantize.emit import emit_weights
from edgec.passes.quantize.insert_pairs import insert_pairs
from edgec.passes.quantize.placement import Placement, place
from edgec.passes.quantize.rounding import Grid
from edgec.passes.quantize.weights import WeightReport, quantize_weights
from edgec.quantization import CalibrationTable
from edgec.quantizing import Style

Array = np.ndarray[Any, Any]
Feeds = Mapping[str, Array]


@dataclass(frozen=True)
class LayerOptions:
    """Settings of `quantize`.

    Attributes:
        weight_bits: Width of the weights in bits: 8, 4 or 2; also 3, which is stored in 4.
        activations: Whether activations are quantized; if not, only weights are stored in few bits.
        repair: Refit each layer to the original's outputs; otherwise round to the nearest.
        style: Form of the file.
        codec: How weights are stored, see `Codec`; layers with others than linear run in float.
        exclude: Layers that stay in float.
    """

    weight_bits: int = 8
    activations: bool = True
    repair: bool = True
    style: Style = "runtime"
    codec: str = "linear"
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Quantized:
    """The quantized network, and what was done.

    Attributes:
        model: The network with integers in the file.
        simulated: The network before its weights became integers: representable floats, Q/DQ pairs on the activations.
        placement: The quantized values and layers.
        weights: Report on the weights.
        refusals: (node or tensor, reason) of what was not done, or was done in another way.
    """

    model: ir.Model
    simulated: ir.Model
    placement: Placement
    weights: WeightReport
    refusals: tuple[tuple[str, str], ...] = field(default=())


def quantize(
    model: ir.Model,
    table: CalibrationTable | None,
    samples: Sequence[Feeds] | None,
    options: LayerOptions,
    *,
    threads: int | None = None,
) -> Quantized:
    """Return a quantized copy of `model`.

    Args:
        model: Model in canonical form with folded batch norms; it is not modified.
        table: Ranges of the values that `place` names; None if activations stay in float.
        samples: Inputs for the refit; None: no refit.
        options: Settings of the quantization.
        threads: Number of threads, as for `Reference`.

    Raises:
        BadOption: The table lacks a tensor, or the codec is unknown or does not support this width.
    """
    placement = place(model, exclude=options.exclude)
    changed = model.clone()
    activations = {}
    if options.activations and table is not None:
        activations = insert_pairs(changed, placement, table)
    power_of_two = table is not None and table.scheme.kind == "power-of-two"
    codec = load_codec(options.codec)

    def make_grid(weights: Array) -> Grid | Levels:
        return codec(weights, options.weight_bits, power_of_two)

    used = samples if options.repair else None
    report = quantize_weights(model, changed, placement, make_grid, used, threads=threads)
    simulated = changed.clone()
    kept = emit_weights(changed, placement, activations, report, options.style)
    refusals = (*placement.refusals, *(report.nearest if options.repair else ()), *kept)
    return Quantized(changed, simulated, placement, report, refusals)
