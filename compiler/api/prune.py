"""`prune`: a smaller model from a model and data, without retraining."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from edgec.api.opened import Shapes, open_network, open_target, path_of
from edgec.api.sensitivity import measured
from edgec.compress import pruning_search
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.tasks import open_task
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.measuring import Measuring, MeasuringFields, take_measuring
from edgec.model.load import Source
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.profile import Profile
from edgec.progress import Listener, Reporter
from edgec.pruning import PruneFields, PruneOptions
from edgec.validation import validated


class Fields(PruneFields, MeasuringFields, total=False):
    """Options that `prune` takes by name."""


def prune(
    model: Source,
    *,
    measuring: Measuring | None = None,
    target: str | None = None,
    report: SensitivityReport | str | os.PathLike[str] | None = None,
    keep_report: str | os.PathLike[str] | None = None,
    plan: PrunePlan | str | os.PathLike[str] | None = None,
    shapes: Shapes | None = None,
    progress: Listener | None = None,
    **options: Unpack[Fields],
) -> Pruned:
    """Remove channels of `model`, as many as the goal in `options` allows, and refit the remaining weights by data.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data and metric; data may be omitted if nothing is measured or repaired.
        target: Board whose channel multiple is used and whose estimated time is saved.
        report: Report of `sensitivity`, or its file; None: it is measured now, if the goal needs it.
        keep_report: File to which a report measured now is written; an interrupted run continues from a file beside it.
        plan: Plan of the channels to remove, or its file; then nothing is chosen.
        shapes: Shapes of inputs that the model leaves open.
        progress: Called with each stage when it begins, and with the number of finished and of all sensitivities.
        options: Fields of `PruneOptions`: one goal, criterion, cap, include ...; and those of `Measuring`, instead of
            `measuring`.

    Returns:
        The pruned model, `.model` or `.save("small.onnx")`, and information on it.

    Raises:
        EdgecError: The user can correct the problem; the message says how.
    """
    given: dict[str, Any] = dict(options)
    measuring = take_measuring(given, measuring)
    profile = Profile() if target is None else open_target(target)[2]
    settings = validated(PruneOptions, {"multiple": profile.channel_multiple, **given}, "pruning")
    if plan is not None and settings.goals:
        raise BadOption(
            f"a plan and {' and '.join(settings.goals)} are given together",
            remedy="A plan says exactly what is removed: give it without a goal.",
        )
    goal = "plan" if plan is not None else settings.goal[0]
    wanted = plan if isinstance(plan, PrunePlan) or plan is None else PrunePlan.load(Path(plan))
    known = report if isinstance(report, SensitivityReport) or report is None else SensitivityReport.load(Path(report))
    reporter = Reporter(progress)
    reporter.stage("load")
    network = open_network(model, shapes)
    if wanted is not None and not settings.repair and measuring.data is None:
        settings = settings.model_copy(update={"criterion": "l1"})  # no ranking is needed
    needs_data = measuring.data is not None or goal == "max_loss" or (known is None and goal.startswith("target"))
    task = open_task(measuring, network, path_of(model)) if needs_data else None
    evaluator = None if task is None else Evaluator(network, task)
    reporter.stage("rank channels")
    ranked = RankedChannels.of(network, settings, None if task is None else task.samples)
    pruner = Pruner(ranked, evaluator, multiple=settings.multiple, refit=settings.repair, progress=reporter.stage)
    if wanted is not None:
        return pruner.prune(wanted)
    if goal != "ratio" and known is None and evaluator is not None:
        beside = None if keep_report is None else Path(keep_report)
        journal = None if beside is None else beside.with_name(beside.name + "l")
        known = measured(ranked, settings, measuring, evaluator, journal, reporter)
        if beside is not None:
            known.save(beside)
    return pruning_search.prune(pruner, settings, sensitivity=known, estimate=profile.estimate)
