"""`prune` and `sensitivity`: from an ONNX model and data to a smaller model, and to what pruning each layer costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from pydantic import ValidationError

from edgec import registry
from edgec.compress import pruning_search
from edgec.compress.measuring import Measuring
from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.sensitivity import measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.errors import BadOption, first_problem
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.workers import Workers
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.scratch import temporary_folder
from edgec.targets.base import Target
from edgec.targets.board import load_board

Model = str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model
Stage = Callable[[str], None]
Progress = Callable[[int, int], None]

MEASURING = Measuring()
"""Without data; losses by the error of the outputs."""


def sensitivity(
    model: Model,
    *,
    measuring: Measuring,
    journal: str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    stage: Stage = lambda name: None,
    progress: Progress = lambda done, total: None,
    **options: Any,
) -> SensitivityReport:
    """Prune each group of `model` alone, at 10 % to 90 %, and measure what is lost.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data and metric.
        journal: File that takes each result as it comes; an interrupted run goes on with it. It is removed at the end.
        shapes: Shapes of inputs that the model leaves open.
        stage: Called with the name of each stage.
        progress: Called with the number of results there are, and will be.
        options: `criterion`, `include`, `exclude` and `repair` of `edgec.pruning.PruneOptions`.

    Raises:
        EdgecError: Something the user can mend.
    """
    settings = _options({"ratio": 0.5, **options})
    stage("load")
    network = _opened(model, shapes)
    task = measuring.open(network, _path(model))
    stage("rank channels")
    ranked = RankedChannels.of(network, settings, task.samples)
    return _measured(ranked, settings, measuring.by, Evaluator(network, task), journal, progress)


def prune(
    model: Model,
    *,
    measuring: Measuring = MEASURING,
    target: str | None = None,
    report: SensitivityReport | str | os.PathLike[str] | None = None,
    keep_report: str | os.PathLike[str] | None = None,
    plan: PrunePlan | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    stage: Stage = lambda name: None,
    progress: Progress = lambda done, total: None,
    **options: Any,
) -> Pruned:
    """Remove channels of `model`, as many as the goal in `options` allows, and repair what is left by data.

    What comes out is in memory: `edgec.model.serialize.save(pruned.model, "small.onnx")` writes it.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        measuring: Data and metric; data may be left out where nothing is measured or repaired.
        target: Board whose widths are kept and whose time is saved.
        report: What `sensitivity` returned, or its file; None: measured now, if the goal needs it.
        keep_report: File that a report measured now is written to; an interrupted run goes on beside it.
        plan: What is to be removed, or its file; nothing is chosen then.
        shapes: Shapes of inputs that the model leaves open.
        stage: Called with the name of each stage.
        progress: Called with the number of sensitivities there are, and will be.
        options: Fields of `edgec.pruning.PruneOptions`: one goal, criterion, cap, include ...

    Raises:
        EdgecError: Something the user can mend.
    """
    profile = _profile(target)
    settings = _options({"multiple": profile.channel_multiple, **options})
    if plan is not None and settings.goals:
        raise BadOption(f"a plan and {' and '.join(settings.goals)}", remedy="A plan says what goes: give it alone.")
    goal = "plan" if plan is not None else settings.goal[0]
    wanted = plan if isinstance(plan, PrunePlan) or plan is None else PrunePlan.load(Path(plan))
    known = report if isinstance(report, SensitivityReport) or report is None else SensitivityReport.load(Path(report))
    stage("load")
    network = _opened(model, shapes)
    if wanted is not None and not settings.repair and measuring.data is None:
        settings = settings.model_copy(update={"criterion": "l1"})  # nothing is ranked by it
    needs_data = measuring.data is not None or goal == "max_loss" or (known is None and goal.startswith("target"))
    task = measuring.open(network, _path(model)) if needs_data else None
    evaluator = None if task is None else Evaluator(network, task)
    stage("rank channels")
    ranked = RankedChannels.of(network, settings, None if task is None else task.samples)
    pruner = Pruner(ranked, evaluator, multiple=settings.multiple, refit=settings.repair, progress=stage)
    if wanted is not None:
        return pruner.prune(wanted)
    if goal != "ratio" and known is None and evaluator is not None:
        beside = None if keep_report is None else Path(keep_report)
        journal = None if beside is None else beside.with_name(beside.name + "l")
        known = _measured(ranked, settings, measuring.by, evaluator, journal, progress)
        if beside is not None:
            known.save(beside)
    return pruning_search.prune(pruner, settings, sensitivity=known, estimate=profile.estimate)


def _measured(
    ranked: RankedChannels,
    settings: PruneOptions,
    workers: Workers,
    evaluator: Evaluator,
    journal: str | os.PathLike[str] | None,
    progress: Progress,
) -> SensitivityReport:
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
            workers=workers,
            progress=progress,
        )
        path.unlink()
    return report.model_copy(update={"kept_whole": {each.layer: each.reason for each in ranked.channels.blocked}})


def _options(given: Mapping[str, Any]) -> PruneOptions:
    try:
        return PruneOptions.model_validate(dict(given))
    except ValidationError as error:
        raise BadOption(f"pruning: {first_problem(error)}") from error


def _opened(model: Model, shapes: Mapping[str, tuple[int, ...]] | None) -> ir.Model:
    return prepare(fix_shapes(load(model).model, dict(shapes or {})))


def _path(model: Model) -> Path | None:
    return Path(model) if isinstance(model, (str, os.PathLike)) else None


def _profile(target: str | None) -> Profile:
    if target is None:
        return Profile()
    board = load_board(target)
    back_end: Target = registry.load("targets", board.backend)()
    return back_end.profile(board)
