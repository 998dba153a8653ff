"""`edgec prune`: makes a smaller model from a model and data, without retraining."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import option_names, parse_shapes
from edgec.cli.console import Json, Quiet, check_outputs, print_json, stdout
from edgec.cli.sensitivity import shown
from edgec.pruning import PruneOptions

if TYPE_CHECKING:
    from edgec.compress.pruner import Pruned

NOTHING = (
    "Nothing was removed: every step costs more than the accepted loss, or the groups are too narrow for the channel "
    "multiple (with --target, the one that is fast on the board)."
)


def _help(field: str) -> str:
    return options.field_help(PruneOptions, field)


def command(
    model: options.Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="The pruned model (ONNX).")],
    data: options.Data = None,
    metric: options.Metric = None,
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    max_loss: Annotated[float | None, typer.Option(help=_help("max_loss"))] = None,
    target_macs: Annotated[float | None, typer.Option(metavar="0..1", help=_help("target_macs"))] = None,
    target_size: Annotated[float | None, typer.Option(metavar="0..1", help=_help("target_size"))] = None,
    target_latency: Annotated[float | None, typer.Option(metavar="0..1", help=_help("target_latency"))] = None,
    ratio: Annotated[float | None, typer.Option(metavar="0..1", help=_help("ratio"))] = None,
    criterion: options.Criterion = "obs",
    cap: Annotated[float, typer.Option(metavar="0..1", help=_help("cap"))] = 0.7,
    allocation: Annotated[str, typer.Option(metavar="joint|each-layer", help=_help("allocation"))] = "joint",
    include: options.Include = [],  # noqa: B006
    exclude: options.Exclude = [],  # noqa: B006
    multiple: Annotated[int | None, typer.Option(min=1, help=_help("multiple"))] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "-t",
            "--target",
            autocompletion=completion.boards,
            help="Board whose channel multiple is used and whose estimated time is saved.",
        ),
    ] = None,
    repair: Annotated[bool, typer.Option(help=_help("repair"))] = True,
    sensitivity: Annotated[
        Path | None, typer.Option(help="Report of `edgec sensitivity`; default: sensitivities are measured now.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Remove exactly what this plan (JSON) says.")] = None,
    save_plan: Annotated[Path | None, typer.Option(help="Write what was removed as a plan (JSON).")] = None,
    shape: options.Shape = [],  # noqa: B006
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Remove channels of MODEL.onnx, as many as the goal allows, and refit the remaining weights by data.

    Give one goal: --max-loss, --target-macs, --target-size, --target-latency or --ratio; or a --plan.
    """
    from edgec import prune
    from edgec.evaluation.task import UNLABELLED

    check_outputs(model, output, save_plan)
    given: dict[str, Any] = {
        "max_loss": max_loss,
        "target_macs": target_macs,
        "target_size": target_size,
        "target_latency": target_latency,
        "ratio": ratio,
        "criterion": criterion,
        "cap": cap,
        "allocation": allocation,
        "include": tuple(include),
        "exclude": tuple(exclude),
        "repair": repair,
    }
    given |= {} if multiple is None else {"multiple": multiple}
    option_names(PruneOptions, given)
    measured: dict[str, Any] = {"data": data, "metric": metric, "decoder": decoder, "preprocess": preprocess}
    measured |= {"limit": limit, "workers": workers, "scheduler": scheduler}
    with shown(silent=quiet or json) as listener:
        pruned = prune(
            model,
            measuring=options.measuring(**measured),
            target=target,
            report=sensitivity,
            keep_report=output.with_suffix(".sensitivity.json"),
            plan=plan,
            shapes=parse_shapes(shape),
            progress=listener,
            **given,
        )
    pruned.save(output)
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
        stdout.print(
            f"{blocked.layer} cannot be pruned: {blocked.reason}", highlight=False, markup=False, soft_wrap=True
        )
    rows = (("MACs", before.macs, after.macs), ("parameters", before.parameters, after.parameters))
    for what, old, new in rows:
        stdout.print(f"{what} {old:,} -> {new:,} ({new / max(old, 1) - 1:+.1%})", highlight=False)
    if pruned.before is not None and pruned.after is not None:
        stdout.print(f"{metric} {pruned.before.value:.4f} -> {pruned.after.value:.4f}", highlight=False)
    if not pruned.plan.groups:
        stdout.print(NOTHING, highlight=False, soft_wrap=True)
    stdout.print(str(output), highlight=False)
