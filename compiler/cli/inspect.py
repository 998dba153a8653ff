"""`edgec inspect`: what is in a model or an artefact."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgec.cli.console import Json, parse_shapes, print_json, stdout
from edgec.cli.inspect_artefact import show_artefact

if TYPE_CHECKING:
    from edgec.model.cost import LayerCost


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx|ARTEFACT", help="ONNX model, or artefact.")],
    shape: Annotated[
        list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input: where open, or another.")
    ] = [],  # noqa: B006
    target: Annotated[str | None, typer.Option("--target", "-t", help="Board to estimate the times of.")] = None,
    precision: Annotated[str, typer.Option(help="Precision to estimate them in.")] = "fp32",
    json: Json = False,
) -> None:
    """Show a model's inputs, outputs and layers (shape, MACs, parameters), or what is in an artefact.

    With a board, its estimate of the layers' times too. Of an artefact: inputs, outputs, what its loader knows, and
    all that was left as it was, with the reason.
    """
    if model.is_dir():
        show_artefact(model, json=json)
        return
    from edgec.model.cost import layer_costs
    from edgec.model.load import load
    from edgec.model.shapes import fix_shapes
    from edgec.model.signature import inputs_of, outputs_of

    loaded = load(model)
    fixed = fix_shapes(loaded.model, parse_shapes(shape))
    layers = layer_costs(fixed)
    totals = {"macs": sum(layer.macs for layer in layers), "parameters": sum(layer.parameters for layer in layers)}
    inputs, outputs = inputs_of(fixed), outputs_of(fixed)
    seconds = _seconds(layers, target, precision) if target else None
    if json:
        print_json(
            {
                "name": loaded.name,
                "sha256": loaded.sha256,
                "opset": fixed.opset_imports.get(""),
                "inputs": [spec.model_dump() for spec in inputs],
                "outputs": [spec.model_dump() for spec in outputs],
                "layers": [asdict(layer) for layer in layers],
                "totals": totals,
                "estimate": seconds and {"target": target, "precision": precision, "seconds": list(seconds)},
            }
        )
        return
    stdout.print(f"{loaded.name}: opset {fixed.opset_imports.get('')}, {len(layers)} nodes", highlight=False)
    for kind, specs in (("input", inputs), ("output", outputs)):
        for spec in specs:
            stdout.print(f"{kind} {spec}", highlight=False, markup=False)
    table = Table("layer", "op", "output", "MACs", "parameters", box=None, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    times = [f"{1e3 * each:.3f}" for each in seconds] if seconds else []
    if seconds:
        table.add_column(f"ms on {target} {precision}*", justify="right")
    for index, layer in enumerate(layers):
        shape_text = "x".join(map(str, layer.shape))
        row = (layer.name, layer.op, shape_text, f"{layer.macs:,}", f"{layer.parameters:,}")
        table.add_row(*row, *times[index : index + 1])
    table.add_section()
    total = [f"{1e3 * sum(seconds):.3f}"] if seconds else []
    table.add_row("total", "", "", f"{totals['macs']:,}", f"{totals['parameters']:,}", *total)
    stdout.print(table)
    if seconds:
        stdout.print("* an estimate, not a measurement", highlight=False)


def _seconds(layers: tuple[LayerCost, ...], target: str, precision: str) -> tuple[float, ...]:
    from edgec import registry
    from edgec.errors import BadOption
    from edgec.targets.board import load_board

    board = load_board(target)
    profile = registry.load("targets", board.backend)().profile(board)
    if precision not in profile.precisions:
        raise BadOption(f"precision {precision} on {board.name}", remedy=f"It has: {', '.join(profile.precisions)}.")
    if profile.estimate is None:
        raise BadOption(f"edgec has no estimate for {board.name}", remedy="Give another --target, or none.")
    return tuple(profile.estimate(layers, precision))
