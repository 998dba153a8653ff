"""`edgec inspect`: shows the contents of a model or an artefact."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, print_json, stdout
from edgec.cli.inspect_artefact import show_artefact


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

    found = inspect(model, shapes=parse_shapes(shape), target=target, precision=precision)
    layers, seconds = found.layers, found.seconds
    if json:
        print_json(
            {
                "name": found.name,
                "sha256": found.sha256,
                "opset": found.opset,
                "inputs": [spec.model_dump() for spec in found.inputs],
                "outputs": [spec.model_dump() for spec in found.outputs],
                "layers": [asdict(layer) for layer in layers],
                "totals": {"macs": found.macs, "parameters": found.parameters},
                "estimate": seconds and {"target": target, "precision": precision, "seconds": list(seconds)},
            }
        )
        return
    stdout.print(f"{found.name}: opset {found.opset}, {len(layers)} nodes", highlight=False)
    for kind, specs in (("input", found.inputs), ("output", found.outputs)):
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
    table.add_row("total", "", "", f"{found.macs:,}", f"{found.parameters:,}", *total)
    stdout.print(table)
    if seconds:
        stdout.print("* an estimate, not a measurement", highlight=False)
