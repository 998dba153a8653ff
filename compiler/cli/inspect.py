"""`edgec inspect`: what is in a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgec.cli.console import Json, parse_shapes, print_json, stdout


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model.")],
    shape: Annotated[list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input left open.")] = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Show inputs, outputs and, per layer, operator, shape, MACs and parameters."""
    from edgec.model.cost import layer_costs
    from edgec.model.load import load
    from edgec.model.shapes import fix_shapes
    from edgec.model.signature import inputs_of, outputs_of

    loaded = load(model)
    fixed = fix_shapes(loaded.model, parse_shapes(shape))
    layers = layer_costs(fixed)
    totals = {"macs": sum(layer.macs for layer in layers), "parameters": sum(layer.parameters for layer in layers)}
    inputs, outputs = inputs_of(fixed), outputs_of(fixed)
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
    for layer in layers:
        shape_text = "x".join(map(str, layer.shape))
        table.add_row(layer.name, layer.op, shape_text, f"{layer.macs:,}", f"{layer.parameters:,}")
    table.add_section()
    table.add_row("total", "", "", f"{totals['macs']:,}", f"{totals['parameters']:,}")
    stdout.print(table)
