"""`sensitivity`: the loss of a model when each of its groups of channels is pruned alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from edgec.api.opened import Shapes, open_network, path_of
from edgec.compress.sensitivity import measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.tasks import open_task
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.workers import Workers
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.progress import Listener, Reporter
from edgec.pruning import PruneOptions
from edgec.scratch import temporary_folder
from edgec.validation import validated


class Fields(MeasuringFields, total=False):
    """Options that `sensitivity` takes by name."""

    criterion: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    repair: bool


def sensitivity(
    model: Source,
    *,
    measuring: Measuring | None = None,
    journal: str | os.PathLike[str] | None = None,
    shapes: Shapes | None = None,
    progress: Listener | None = None,
    **options: Unpack[Fields],
) -> SensitivityReport:
    """Prune each group of `model` alone, at 10 % to 90 %, and measure the loss.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data and metric.
        journal: File that stores each result at once; an interrupted run continues from it; removed at the end.
        shapes: Shapes of inputs that the model leaves open.
        progress: Called with each stage when it begins, and with the number of finished and of all results.
        options: `criterion`, `include`, `exclude` and `repair` of `PruneOptions`; fields of `Measuring`, instead of
            `measuring`.

    Raises:
        EdgecError: The user can correct the problem; the message says how.
    """
    given: dict[str, Any] = dict(options)
    measuring = take_measuring(given, measuring)
    settings = validated(PruneOptions, {"ratio": 0.5, **given}, "pruning")
    report = Reporter(progress)
    report.stage("load")
    network = open_network(model, shapes)
    task = open_task(measuring, network, path_of(model))
    report.stage("rank channels")
    ranked = RankedChannels.of(network, settings, task.samples)
    return measured(ranked, settings, measuring, Evaluator(network, task), journal, report)


def measured(
    ranked: RankedChannels,
    settings: PruneOptions,
    measuring: Measuring,
    evaluator: Evaluator,
    journal: str | os.PathLike[str] | None,
    progress: Reporter,
) -> SensitivityReport:
    """Measure the sensitivities of ranked channels; the journal is removed at the end."""
    with temporary_folder() as folder:
        path = folder / "journal" if journal is None else Path(journal)
        report = measure_sensitivity(
            ranked.model,
            ranked.groups,
            ranked.rankings,
            evaluator,
            criterion=settings.criterion,
            journal=path,
            moments=ranked.moments if settings.repair else None,
            workers=Workers(measuring.workers, measuring.scheduler),
            progress=progress.counter("measure"),
        )
        path.unlink()
    return report.model_copy(update={"kept_whole": {each.layer: each.reason for each in ranked.channels.blocked}})
