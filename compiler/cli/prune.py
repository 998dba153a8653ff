"""`edgec prune`: a smaller model from a model and data, without retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from edgec.cli import sensitivity as shared
from edgec.cli.console import Json, Quiet, check_outputs, parse_shapes, print_json, refused_option, stdout

if TYPE_CHECKING:
    from edgec.compress.pruner import Pruned

NOTHING = (
    "nothing was removed: no step keeps to the accepted loss, or groups are too narrow for the widths that are kept "
    "(with --target multiples of what the board likes)"
)


def command(
    model: shared.Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="The pruned model (ONNX).")],
    data: shared.Data = None,
    metric: shared.MetricName = None,
    decoder: shared.DecoderName = None,
    preprocess: shared.Preprocess = None,
    limit: shared.Limit = None,
    max_loss: Annotated[float | None, typer.Option(help="Accepted loss, in the metric's units; measured.")] = None,
    target_macs: Annotated[float | None, typer.Option(metavar="0..1", help="Share of the MACs to be left.")] = None,
    target_size: Annotated[float | None, typer.Option(metavar="0..1", help="Share of the weights to be left.")] = None,
    target_latency: Annotated[
        float | None, typer.Option(metavar="0..1", help="Share of the time to be left, as estimated for --target.")
    ] = None,
    ratio: Annotated[float | None, typer.Option(metavar="0..1", help="Share of every group that goes.")] = None,
    criterion: shared.Criterion = "obs",
    cap: Annotated[
        float, typer.Option(metavar="0..1", help="Largest share of a group that goes; not with --ratio.")
    ] = 0.7,
    include: shared.Include = [],  # noqa: B006
    exclude: shared.Exclude = [],  # noqa: B006
    target: Annotated[
        str | None, typer.Option("-t", "--target", help="Board whose widths are kept and whose time is saved.")
    ] = None,
    repair: Annotated[bool, typer.Option(help="Refit the layers behind to make up for what goes.")] = True,
    sensitivity: Annotated[Path | None, typer.Option(help="Report of `edgec sensitivity`; else measured now.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Remove what this plan (JSON) says; nothing is chosen.")] = None,
    save_plan: Annotated[Path | None, typer.Option(help="Write what was removed, as a plan (JSON).")] = None,
    shape: shared.Shape = [],  # noqa: B006
    workers: shared.Workers = None,
    scheduler: shared.Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove channels of MODEL.onnx, as many as the goal allows, and repair what is left by data.

    Give one goal: --max-loss, --target-macs, --target-size, --target-latency or --ratio; or a --plan.
    """
    from edgec.compress.pruning import prune
    from edgec.evaluation.task import UNLABELLED
    from edgec.model.serialize import save
    from edgec.pruning import PruneOptions

    check_outputs(model, output, save_plan)
    given: dict[str, Any] = {
        "max_loss": max_loss,
        "target_macs": target_macs,
        "target_size": target_size,
        "target_latency": target_latency,
        "ratio": ratio,
        "criterion": criterion,
        "cap": cap,
        "include": tuple(include),
        "exclude": tuple(exclude),
        "repair": repair,
    }
    try:
        PruneOptions(**given)
    except ValidationError as error:
        raise refused_option(error) from error
    with shared.shown(silent=quiet or json) as (stage, count):
        pruned = prune(
            model,
            measuring=shared.measuring(data, metric, decoder, preprocess, limit, workers, scheduler),
            target=target,
            report=sensitivity,
            keep_report=output.with_suffix(".sensitivity.json"),
            plan=plan,
            shapes=parse_shapes(shape),
            stage=stage,
            progress=count,
            **given,
        )
    save(pruned.model, output)
    if save_plan is not None:
        pruned.plan.save(save_plan)
    _print(pruned, output, metric or UNLABELLED, json=json)


def _print(pruned: Pruned, output: Path, metric: str, *, json: bool) -> None:
    before, after = pruned.cost_before, pruned.cost_after
    if json:
        print_json(
            {
                "model": str(output),
                "metric": metric,
                "before": None if pruned.before is None else pruned.before.value,
                "after": None if pruned.after is None else pruned.after.value,
                "macs": [before.macs, after.macs],
                "parameters": [before.parameters, after.parameters],
                "weight_bytes": [before.weight_bytes, after.weight_bytes],
                "groups": {name: [g.units, g.units - len(g.removed)] for name, g in pruned.plan.groups.items()},
                "kept_whole": {blocked.layer: blocked.reason for blocked in pruned.channels.blocked},
            }
        )
        return
    for name, group in pruned.plan.groups.items():
        stdout.print(f"{name}: {group.units} -> {group.units - len(group.removed)}", highlight=False, markup=False)
    for blocked in pruned.channels.blocked:
        stdout.print(f"{blocked.layer} stays whole: {blocked.reason}", highlight=False, markup=False, soft_wrap=True)
    rows = (("MACs", before.macs, after.macs), ("parameters", before.parameters, after.parameters))
    for what, old, new in rows:
        stdout.print(f"{what} {old:,} -> {new:,} ({new / max(old, 1) - 1:+.1%})", highlight=False)
    if pruned.before is not None and pruned.after is not None:
        stdout.print(f"{metric} {pruned.before.value:.4f} -> {pruned.after.value:.4f}", highlight=False)
    if not pruned.plan.groups:
        stdout.print(NOTHING, highlight=False, soft_wrap=True)
    stdout.print(str(output), highlight=False)
