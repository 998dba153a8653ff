"""`edgec inspect`: shows the contents of a model or an artefact."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, print_json, stdout
from edgec.cli.inspect_artefact import show_artefact

if TYPE_CHECKING:
    from edgec import Inspection
    from edgec.api.inspect import OpenInspection
    from edgec.model.shapes import MissingSizes


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx|ARTEFACT", help="ONNX model, or artefact.")],
    shape: options.Shape = [],  # noqa: B006
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            autocompletion=completion.boards,
            help="Board for which the time of each layer is estimated.",
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(autocompletion=completion.precisions, help="Precision for which the times are estimated.")
    ] = "fp32",
    json: Json = False,
) -> None:
    """Show a model's inputs, outputs and layers (shape, MACs, parameters), or the contents of an artefact.

    With a board, the estimated time of each layer is shown too. For an artefact: inputs, outputs, how pictures and
    outputs are processed, the times that bench and verify kept, and all that was left as it was, with the reason.
    """
    if model.is_dir():
        show_artefact(model, json=json)
        return
    from edgec import inspect
    from edgec.model.shapes import MissingSizes

    try:
        found = inspect(model, shapes=parse_shapes(shape), target=target, precision=precision)
    except MissingSizes as missing:
        if target is not None or shape:
            raise
        show_open(model, missing, json=json)
        return
    if json:
        seconds = found.seconds
        print_json(
            {
                "name": found.name,
                "sha256": found.sha256,
                "opset": found.opset,
                "inputs": [spec.model_dump() for spec in found.inputs],
                "outputs": [spec.model_dump() for spec in found.outputs],
                "layers": [asdict(layer) for layer in found.layers],
                "totals": {"macs": found.macs, "parameters": found.parameters},
                "estimate": seconds and {"target": target, "precision": precision, "seconds": list(seconds)},
            }
        )
        return
    show_model(found, f"ms on {target} {precision}*")


def show_model(found: Inspection, heading: str) -> None:
    """Print a model's inputs, outputs and layers; `heading` is that of their estimated times."""
    layers, seconds = found.layers, found.seconds
    _show_interface(found)
    table = Table("layer", "op", "output", "MACs", "parameters", box=None, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    times = [f"{1e3 * each:.3f}" for each in seconds] if seconds else []
    if seconds:
        table.add_column(heading, justify="right")
    for index, layer in enumerate(layers):
        shape_text = "x".join(map(str, layer.shape))
        row = (layer.name, layer.op, shape_text, f"{layer.macs:,}", f"{layer.parameters:,}")
        table.add_row(*row, *times[index : index + 1])
    table.add_section()
    total = [f"{1e3 * sum(seconds):.3f}"] if seconds else []
    table.add_row("total", "", "", f"{found.macs:,}", f"{found.parameters:,}", *total)
    stdout.print(table)
    if seconds:
        stdout.print("* an estimate, not a measurement", highlight=False)


def show_open(model: Path, missing: MissingSizes, *, json: bool) -> None:
    """Show a model whose sizes are open, and which `--shape` gives them."""
    from edgec.api.inspect import inspect_open

    found = inspect_open(model)
    if json:
        print_json({**asdict(found), "missing": missing.problem, "remedy": missing.remedy})
        return
    _show_interface(found)
    table = Table("layer", "op", "output", "parameters", box=None, pad_edge=False)
    table.columns[3].justify = "right"
    for layer in found.layers:
        shape = "?" if layer.shape is None else ", ".join(map(str, layer.shape))
        table.add_row(layer.name, layer.op, shape, f"{layer.parameters:,}")
    table.add_section()
    table.add_row("total", "", "", f"{sum(layer.parameters for layer in found.layers):,}")
    stdout.print(table)
    stdout.print(f"There are no MACs, because {missing.problem}. {missing.remedy}", highlight=False, markup=False)


def _show_interface(found: Inspection | OpenInspection) -> None:
    stdout.print(f"{found.name}: opset {found.opset}, {len(found.layers)} nodes", highlight=False)
    for kind, values in (("input", found.inputs), ("output", found.outputs)):
        for value in values:
            stdout.print(f"{kind} {value}", highlight=False, markup=False)
