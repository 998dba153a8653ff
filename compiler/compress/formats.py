"""`Formats`: one network, pruned or not, in the precisions of the board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import onnx_ir as ir

from edgec.compress.compressed import Compressed, Halves
from edgec.compress.pruner import Pruned
from edgec.compress.quantization import Quantization, Quantizer
from edgec.compress.tasks import Tasks
from edgec.data.samples import spread
from edgec.evaluation.evaluator import Evaluator
from edgec.model.cost import LayerCost, layer_costs
from edgec.model.infer import infer_shapes
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.quantization import CalibrationTable
from edgec.quantizing import QuantizeOptions
from edgec.record import Record

HALF_SAMPLES = 8
"""Samples on which layers are looked for that fp16 is not enough for."""


class Formats:
    """Networks in the precisions of the board, with their losses and times.

    The calibration and every quantized network of the same pruned network are computed once; so is fp16 of the
    network that is not pruned.

    Args:
        original: Network as `prepare` returns it.
        options: Options of the compilation, as `implied_options` returns them.
        profile: Profile of the board.
        tasks: Data and metric.
        record: Receives the stages.
        evaluator: Measures losses relative to `original`.
    """

    def __init__(
        self,
        original: ir.Model,
        options: CompileOptions,
        profile: Profile,
        tasks: Tasks,
        record: Record,
        evaluator: Evaluator,
    ) -> None:
        self._original = original
        self._options = options
        self._profile = profile
        self._tasks = tasks
        self._record = record
        self._evaluator = evaluator
        self._quantizers: dict[str, Quantizer] = {}

    def in_integers(self, plain: Compressed, accepted: float | None) -> Compressed:
        """Return the network quantized, within a loss besides that of its pruning; as it is where no layer can be."""
        return _quantized(plain, self._quantizer(plain.network, plain.pruned).within(accepted))

    def in_integers_within(self, plain: Compressed, seconds: float) -> Compressed:
        """Return the network quantized, with the layers in float that gain most for the time that is left of `seconds`.

        Args:
            plain: The network in float.
            seconds: Estimated time of an inference.
        """
        layers = layer_costs(plain.network)
        quantizer = self._quantizer(plain.network, plain.pruned)
        whole = _quantized(plain, quantizer.within(None))
        if whole.quantized is None or whole.precision != "int8" or (whole.quantized.loss or 0.0) <= 0:
            return whole

        def time(names: frozenset[str]) -> float:
            return self.time(layers, "int8", whole.in_float | names)

        return _quantized(plain, quantizer.in_time(time, seconds))

    def in_halves(self, plain: Compressed) -> Compressed:
        """Return the network in fp16."""
        pruned = plain.pruned is not None and bool(plain.pruned.plan.groups)
        halves = self._emulated(plain.network) if pruned else self.original_halves
        return replace(plain, precision="fp16", halves=halves)

    @cached_property
    def original_halves(self) -> Halves | None:
        """The network that is not pruned in fp16, as `_emulated` returns it."""
        return self._emulated(self._original)

    def _emulated(self, network: ir.Model) -> Halves | None:
        """Emulate `network` in fp16 and measure that; None where nothing is promised, or nothing emulates it."""
        if self._profile.in_half is None or not self._options.has_promise:
            return None
        with self._record.stage("emulate fp16"):
            samples = spread(self._tasks.decide.samples, HALF_SAMPLES)
            emulation = self._profile.in_half(network, [sample.inputs for sample in samples])
        return Halves(emulation, self._evaluator.loss(self._evaluator.evaluate(emulation.model)))

    def seconds(self, found: Compressed) -> float:
        """Return the estimated time of one inference; 0 where the board has no estimate."""
        return self.time(layer_costs(found.network), found.precision, found.in_float)

    def time(self, layers: Sequence[LayerCost], precision: str, in_float: frozenset[str]) -> float:
        """Return the estimated seconds of `layers` together; 0 where the board has no estimate."""
        return sum(self.times(layers, precision, in_float))

    def times(self, layers: Sequence[LayerCost], precision: str, in_float: frozenset[str]) -> Sequence[float]:
        """Return the estimated seconds of each of `layers`; none where the board has no estimate."""
        estimate = self._profile.estimate
        return () if estimate is None else estimate(layers, precision, in_float)

    def _quantizer(self, network: ir.Model, pruned: Pruned | None) -> Quantizer:
        """Return the quantizer of this network; it is the same one for the same plan."""
        whole = pruned is None or not pruned.plan.groups
        plan = "" if pruned is None or whole else pruned.plan.model_dump_json()
        if plan not in self._quantizers:
            options, profile = self._options, self._profile
            evaluator = self._evaluator if whole else Evaluator(network, self._tasks.decide, threads=options.threads)
            given = {name: getattr(options.quantize, name) for name in options.quantize.model_fields_set}
            board = {"style": profile.quantization_style, "weight_bits": profile.weight_bits}
            settings = QuantizeOptions(**{**board, **given})
            # Only those of the last network and of the whole one stay, because they hold all quantized networks.
            self._quantizers = {key: each for key, each in self._quantizers.items() if not key}
            self._quantizers[plan] = Quantizer(
                network,
                self._tasks.decide.samples,
                settings,
                evaluator=evaluator,
                table=CalibrationTable.read(settings.scales) if settings.scales else None,
                threads=options.threads,
                stage=self._record.begin,
            )
        return self._quantizers[plan]


def _quantized(plain: Compressed, result: Quantization) -> Compressed:
    infer_shapes(result.quantized.model)  # back ends ask for the cost of its layers
    if not result.quantized.placement.layers:
        return replace(plain, quantized=result)
    return replace(plain, model=result.quantized.model, precision="int8", quantized=result)
