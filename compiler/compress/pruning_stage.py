"""`Pruner`: pruning as a compilation needs it: studied once, then done for one accepted loss after the other."""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path

import onnx_ir as ir

from edgec.compress.probe import Measure
from edgec.compress.pruner import Pruned
from edgec.compress.pruning_search import prune
from edgec.compress.sensitivity import RATIOS, measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.trial import Trial
from edgec.data.samples import spread
from edgec.errors import BadOption
from edgec.options import CompileOptions
from edgec.passes.prune.study import CALIBRATION_SAMPLES, Study
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.record import Record

WORTH_PROCESSES = 10_000
"""Runs of the network below which starting processes takes longer than they save."""


class Pruner:
    """Prunes one network by one study of it.

    Args:
        model: As `prepare` returns it.
        options: Of the compilation; `prune` is given.
        profile: Of the board: its widths are kept, its time is saved.
        trial: Data and metric.
        record: Told what is being done.
        journal: Where sensitivities are kept as they come.
    """

    def __init__(
        self,
        model: ir.Model,
        options: CompileOptions,
        profile: Profile,
        trial: Trial,
        record: Record,
        journal: Path,
    ) -> None:
        given = options.prune or PruneOptions()
        multiple = max(given.multiple, profile.channel_multiple)
        self._options = given.model_copy(update={"multiple": multiple})
        self._model = model
        self._estimate = profile.estimate
        self._trial = trial
        self._record = record
        self._journal = journal
        self._measure = Measure(trial.decide, trial.metric, trial.context)
        self._candidates = 0

    def prune(self, aim: float | None) -> Pruned:
        """Return the network pruned for the goal of the settings, or where they have none, within a loss of `aim`."""
        options = self._options
        if not options.goals:
            if aim is None:
                raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
            options = options.model_copy(update={"max_loss": aim})
        return prune(
            self._study,
            options,
            sensitivity=None if options.goal[0] == "ratio" else self.sensitivity,
            measure=self._measure,
            estimate=self._estimate,
            progress=self._tell,
        )

    def _tell(self, what: str) -> None:
        if what == "measure":
            self._candidates += 1
            self._record.listener(f"prune: candidate {self._candidates}")

    @cached_property
    def _study(self) -> Study:
        with self._record.stage("prune: rank channels"):
            return Study.of(self._model, self._options, spread(self._trial.decide, CALIBRATION_SAMPLES))

    @cached_property
    def sensitivity(self) -> SensitivityReport | None:
        """What the network loses by each group at each ratio; None where the goal needs no measurement."""
        if "ratio" in self._options.goals:
            return None
        study, journal = self._study, self._journal
        runs = len(study.groups) * len(RATIOS) * len(self._trial.decide)
        return measure_sensitivity(
            study.model,
            study.groups,
            study.rankings,
            self._measure,
            criterion=self._options.criterion,
            journal=journal,
            moments=study.moments if self._options.repair else None,
            workers=None if runs > WORTH_PROCESSES and _travels(self._measure) else 0,
            progress=lambda done, total: self._record.listener(f"prune: sensitivity {done}/{total}"),
        )


def _travels(measure: Measure) -> bool:
    try:
        pickle.dumps(measure)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True
