"""`Rounds`: compresses one network within one accepted loss after the other, reusing earlier results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from edgec.compress.compressed import Compressed
from edgec.compress.formats import Formats
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.sensitivity import RATIOS, measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.tasks import Tasks
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.workers import Workers, why_not_sent
from edgec.options import CompileOptions
from edgec.passes.channels.groups import find_groups
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.record import Record

PRUNING = 0.5
"""Fraction of the accepted loss for pruning if quantization follows; quantization gets all that pruning leaves."""
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

    Attributes:
        original: The network.
        in_formats: Networks in the precisions of the board.
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
        self.original = original
        self._options = options
        self._profile = profile
        self._tasks = tasks
        self._record = record
        self._journal = journal
        self._formats = formats
        self._evaluator = Evaluator(original, tasks.decide)
        self._candidates = 0
        self.in_formats = Formats(original, options, profile, tasks, record, self._evaluator)

    def plain(self, network: ir.Model, pruned: Pruned | None) -> Compressed:
        """Return a network in float as what came out."""
        report = None if pruned is None else self.sensitivity
        return Compressed(network, self.original, "fp32", network, pruned, None, report, self._tasks)

    def loss(self, found: Compressed) -> float:
        """Return the loss of a network on the samples for decisions; infinite if its outputs are no numbers."""
        if found.emulated is self.original:
            return 0.0
        loss = self._evaluator.loss(self._evaluator.evaluate(found.emulated))
        return math.inf if math.isnan(loss) else loss

    def within(self, aim: float | None) -> Compressed:
        """Return the network pruned and quantized so that at most `aim` is lost on the samples for decisions.

        Raises:
            BadOption: `aim` is None and pruning has no goal of its own, a goal cannot be reached, or the data is wrong.
        """
        network, spent, pruned = self.original, 0.0, None
        if self.prunes:
            pruned = self._prune(None if aim is None else self._share_of_pruning(aim))
            network, spent = pruned.model, max(pruned.loss or 0.0, 0.0)
        plain = self.plain(network, pruned)
        found = []
        if "int8" in self._formats:
            given = self._options.quantize.max_loss
            found.append(self.in_formats.in_integers(plain, given if aim is None else max(aim - spent, 0.0)))
        if "fp16" in self._formats:
            halves = self.in_formats.in_halves(plain)
            chosen = self._options.precision == "fp16"  # then it stays, whatever it loses
            if chosen or (halves.halves and aim is not None and halves.halves.loss <= aim):
                found.append(halves)
        return min(found, key=self.in_formats.seconds, default=plain)  # without an estimate, the first one

    def untouched(self, sensitivity: SensitivityReport | None) -> Compressed:
        """Return the original network as what came out: in fp16 if nothing else was allowed, or else in fp32."""
        same = self.original
        plain = Compressed(same, same, "fp32", same, None, None, sensitivity, self._tasks)
        return self.in_formats.in_halves(plain) if self._options.precision == "fp16" else plain

    def _share_of_pruning(self, aim: float) -> float:
        """Return what pruning may lose: the precision that follows is to have some."""
        if "int8" in self._formats:
            return aim * PRUNING
        halves = self.in_formats.original_halves if "fp16" in self._formats else None
        lost = 0.0 if halves is None else max(halves.loss, 0.0)
        return aim - lost if lost <= aim * PRUNING else aim

    @cached_property
    def prunes(self) -> bool:
        """Whether pruning is asked for, and there is something that can be pruned, or whose lack the user is told."""
        given = self._options.prune
        if given is None:
            return False
        if given.goals or given.include or given.exclude:
            return True
        channels = find_groups(self.original)
        if not channels.groups:
            for blocked in channels.blocked:
                self._record.refuse("prune", blocked.layer, blocked.reason)
        return bool(channels.groups)

    @cached_property
    def sensitivity(self) -> SensitivityReport | None:
        """Loss of the network for each group and ratio; None if the goal needs no measurement."""
        if "ratio" in self.pruning.goals:
            return None
        ranked, task = self._ranked, self._tasks.decide
        runs = len(ranked.groups) * len(RATIOS) * len(task.samples)
        return measure_sensitivity(
            ranked.model,
            ranked.groups,
            ranked.rankings,
            self._evaluator,
            criterion=self.pruning.criterion,
            journal=self._journal,
            moments=ranked.moments if self.pruning.repair else None,
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
    def pruning(self) -> PruneOptions:
        """The settings of pruning, with the board's channel multiple."""
        given = self._options.prune or PruneOptions()
        return given.model_copy(update={"multiple": max(given.multiple, self._profile.channel_multiple)})

    @cached_property
    def _ranked(self) -> RankedChannels:
        with self._record.stage("prune: rank channels"):
            return RankedChannels.of(self.original, self.pruning, self._tasks.decide.samples)

    @cached_property
    def pruner(self) -> Pruner:
        """Prunes the network, and knows what each plan lost."""
        options = self.pruning
        return Pruner(
            self._ranked, self._evaluator, multiple=options.multiple, refit=options.repair, progress=self._tell
        )

    def _tell(self, what: str) -> None:
        if what == "measure":
            self._candidates += 1
            self._record.count("prune: candidate", self._candidates)

    def _prune(self, aim: float | None) -> Pruned:
        """Return the network pruned for the goal of the settings or, if they have none, within a loss of `aim`."""
        options = self.pruning
        if not options.goals:
            if aim is None:
                raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
            options = options.model_copy(update={"max_loss": aim})
        report = None if options.goal[0] == "ratio" else self.sensitivity
        return prune(self.pruner, options, sensitivity=report, estimate=self._profile.estimate)
