"""`Rounds`: compresses one network within one accepted loss after the other, reusing earlier results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from edgec.compress.compressed import Compressed, Halves
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.quantization import Quantizer
from edgec.compress.sensitivity import RATIOS, measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.tasks import Tasks
from edgec.data.samples import spread
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.workers import Workers, why_not_sent
from edgec.model.cost import layer_costs
from edgec.model.infer import infer_shapes
from edgec.options import CompileOptions
from edgec.passes.channels.groups import find_groups
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.quantization import CalibrationTable
from edgec.quantizing import QuantizeOptions
from edgec.record import Record

PRUNING = 0.5
"""Fraction of the accepted loss for pruning if quantization follows; quantization gets all that pruning leaves."""
HALF_SAMPLES = 8
"""Samples on which layers are looked for that fp16 is not enough for."""
WORTH_PROCESSES = 10_000
"""Number of network runs below which starting worker processes takes longer than they save."""


class Rounds:
    """Prunes and quantizes one network, as often as needed.

    Sensitivities and the loss of every candidate are computed once; so are the calibration and every quantized network
    of the same pruned network.

    Args:
        original: Network as `prepare` returns it.
        options: Options of the compilation, as `implied_options` returns them.
        profile: Profile of the board: its channel multiple and its time estimate are used.
        tasks: Data and metric.
        record: Receives the stages.
        journal: File in which sensitivities are stored when they are measured.
        formats: Precisions to choose from, as `competing` returns them.
    """

    def __init__(
        self,
        original: ir.Model,
        options: CompileOptions,
        profile: Profile,
        tasks: Tasks,
        record: Record,
        journal: Path,
        formats: Sequence[str],
    ) -> None:
        self._original = original
        self._options = options
        self._profile = profile
        self._tasks = tasks
        self._record = record
        self._journal = journal
        self._formats = formats
        self._evaluator = Evaluator(original, tasks.decide)
        self._candidates = 0
        self._quantizers: dict[str, Quantizer] = {}

    def within(self, aim: float | None) -> Compressed:
        """Return the network pruned and quantized so that at most `aim` is lost on the samples for decisions.

        Raises:
            BadOption: `aim` is None and pruning has no goal of its own, a goal cannot be reached, or the data is wrong.
        """
        network, spent, pruned = self._original, 0.0, None
        if self._prunes:
            pruned = self._prune(None if aim is None else self._share_of_pruning(aim))
            network, spent = pruned.model, max(pruned.loss or 0.0, 0.0)
        sensitivity = self.sensitivity if self._prunes else None
        plain = Compressed(network, self._original, "fp32", network, pruned, None, sensitivity, self._tasks)
        found = []
        if "int8" in self._formats:
            found.append(self._in_integers(plain, aim, spent))
        if "fp16" in self._formats:
            halves = self._in_halves(plain)
            given = self._options.precision == "fp16"  # then it stays, whatever it loses
            if given or (halves.halves and aim is not None and halves.halves.loss <= aim):
                found.append(halves)
        return min(found, key=self._seconds, default=plain)

    def untouched(self, sensitivity: SensitivityReport | None) -> Compressed:
        """Return the original network as what came out: in fp16 if nothing else was allowed, or else in fp32."""
        same = self._original
        plain = Compressed(same, same, "fp32", same, None, None, sensitivity, self._tasks)
        return self._in_halves(plain) if self._options.precision == "fp16" else plain

    def _in_integers(self, plain: Compressed, aim: float | None, spent: float) -> Compressed:
        """Return the network quantized; as it is where no layer can be."""
        given = self._options.quantize
        accepted = given.max_loss if aim is None else max(aim - spent, 0.0)
        result = self._quantizer(plain.network, plain.pruned).within(accepted)
        infer_shapes(result.quantized.model)  # back ends ask for the cost of its layers
        if not result.quantized.placement.layers:
            return replace(plain, quantized=result)
        return replace(plain, model=result.quantized.model, precision="int8", quantized=result)

    def _in_halves(self, plain: Compressed) -> Compressed:
        """Return the network in fp16."""
        return replace(plain, precision="fp16", halves=self._halves_of(plain))

    def _halves_of(self, plain: Compressed) -> Halves | None:
        """Return the network in fp16, which is emulated once as long as nothing is pruned."""
        return self._emulated(plain.network) if plain.pruned and plain.pruned.plan.groups else self._original_halves

    def _emulated(self, network: ir.Model) -> Halves | None:
        """Emulate `network` in fp16 and measure that; None where no loss is accepted, or nothing emulates it."""
        if self._profile.in_half is None or self._options.max_loss is None:
            return None
        with self._record.stage("emulate fp16"):
            samples = spread(self._tasks.decide.samples, HALF_SAMPLES)
            emulation = self._profile.in_half(network, [sample.inputs for sample in samples])
        return Halves(emulation, self._evaluator.loss(self._evaluator.evaluate(emulation.model)))

    def _share_of_pruning(self, aim: float) -> float:
        """Return what pruning may lose: the precision that follows is to have some."""
        if "int8" in self._formats:
            return aim * PRUNING
        halves = self._original_halves if "fp16" in self._formats else None
        lost = 0.0 if halves is None else max(halves.loss, 0.0)
        return aim - lost if lost <= aim * PRUNING else aim

    @cached_property
    def _original_halves(self) -> Halves | None:
        return self._emulated(self._original)

    def _seconds(self, found: Compressed) -> float:
        """Return the estimated time of one inference; 0 where the board has no estimate: then the first one counts."""
        if self._profile.estimate is None:
            return 0.0
        return sum(self._profile.estimate(layer_costs(found.network), found.precision, found.in_float))

    @cached_property
    def _prunes(self) -> bool:
        """Whether pruning is asked for, and there is something that can be pruned, or whose lack the user is told."""
        given = self._options.prune
        if given is None:
            return False
        if given.goals or given.include or given.exclude:
            return True
        channels = find_groups(self._original)
        if not channels.groups:
            for blocked in channels.blocked:
                self._record.refuse("prune", blocked.layer, blocked.reason)
        return bool(channels.groups)

    @cached_property
    def sensitivity(self) -> SensitivityReport | None:
        """Loss of the network for each group and ratio; None if the goal needs no measurement."""
        if "ratio" in self._pruning.goals:
            return None
        ranked, task = self._ranked, self._tasks.decide
        runs = len(ranked.groups) * len(RATIOS) * len(task.samples)
        return measure_sensitivity(
            ranked.model,
            ranked.groups,
            ranked.rankings,
            self._evaluator,
            criterion=self._pruning.criterion,
            journal=self._journal,
            moments=ranked.moments if self._pruning.repair else None,
            workers=self._workers(runs),
            progress=lambda done, total: self._record.count("prune: sensitivity", done, total),
        )

    def _workers(self, runs: int) -> Workers:
        """Return the worker processes: those the user asked for, otherwise as many as are worth starting."""
        given = self._options.measuring
        if given.workers is not None or given.scheduler is not None:
            return Workers(given.workers, given.scheduler)
        return Workers(None if runs > WORTH_PROCESSES and why_not_sent(self._tasks.decide) is None else 0)

    @cached_property
    def _pruning(self) -> PruneOptions:
        given = self._options.prune or PruneOptions()
        return given.model_copy(update={"multiple": max(given.multiple, self._profile.channel_multiple)})

    @cached_property
    def _ranked(self) -> RankedChannels:
        with self._record.stage("prune: rank channels"):
            return RankedChannels.of(self._original, self._pruning, self._tasks.decide.samples)

    @cached_property
    def _pruner(self) -> Pruner:
        options = self._pruning
        return Pruner(
            self._ranked, self._evaluator, multiple=options.multiple, refit=options.repair, progress=self._tell
        )

    def _tell(self, what: str) -> None:
        if what == "measure":
            self._candidates += 1
            self._record.count("prune: candidate", self._candidates)

    def _prune(self, aim: float | None) -> Pruned:
        """Return the network pruned for the goal of the settings or, if they have none, within a loss of `aim`."""
        options = self._pruning
        if not options.goals:
            if aim is None:
                raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
            options = options.model_copy(update={"max_loss": aim})
        report = None if options.goal[0] == "ratio" else self.sensitivity
        return prune(self._pruner, options, sensitivity=report, estimate=self._profile.estimate)

    def _quantizer(self, network: ir.Model, pruned: Pruned | None) -> Quantizer:
        """Return the quantizer of this network; it is the same one for the same plan."""
        plan = "" if pruned is None else pruned.plan.model_dump_json()
        if plan not in self._quantizers:
            options, profile = self._options, self._profile
            whole = pruned is None or not pruned.plan.groups
            evaluator = self._evaluator if whole else Evaluator(network, self._tasks.decide, threads=options.threads)
            given = {name: getattr(options.quantize, name) for name in options.quantize.model_fields_set}
            board = {"style": profile.quantization_style, "weight_bits": profile.weight_bits}
            settings = QuantizeOptions(**{**board, **given})
            self._quantizers = {  # only those of the last network, because they hold all its quantized networks
                plan: Quantizer(
                    network,
                    self._tasks.decide.samples,
                    settings,
                    evaluator=evaluator,
                    table=CalibrationTable.read(settings.scales) if settings.scales else None,
                    threads=options.threads,
                    stage=self._record.begin,
                )
            }
        return self._quantizers[plan]
