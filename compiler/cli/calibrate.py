"""`edgec calibrate`: finds the range of every tensor that will be quantized, as a table to read, edit and reuse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgec.cli import options
from edgec.cli.arguments import check_scheme, parse_shapes
from edgec.cli.console import Json, Quiet, Threads, check_outputs, print_json, progress, stderr, stdout


def command(
    model: options.Model,
    data: options.NeededData,
    output: Annotated[Path, typer.Option("-o", "--output", help="Calibration table (JSON).")] = Path("scales.json"),
    calibrator: options.Calibrator = "mse",
    scheme: options.Scheme = None,
    equalize: options.Equalize = True,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    shape: options.Shape = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find the range of every tensor of MODEL.onnx that will be quantized.

    Memory does not grow with the number of pictures. An interrupted run continues where it stopped.
    """
    from edgec import calibrate

    check_outputs(model, output)
    with progress(silent=quiet or json) as listener:
        table = calibrate(
            model,
            measuring=options.measuring(data=data, preprocess=preprocess, limit=limit),
            calibrator=calibrator,
            scheme=check_scheme(scheme) or "asymmetric",
            equalize=equalize,
            shapes=parse_shapes(shape),
            checkpoint=output.with_name(output.name + ".part"),
            threads=threads,
            progress=listener,
        )
    table.save(output)
    for note in table.notes:
        stderr.print(f"warning: {note}", highlight=False, markup=False, soft_wrap=True)
    if json:
        print_json(table.model_dump(exclude_none=True))
        return
    stdout.print(
        f"{output}: {len(table.tensors)} tensors, {table.scheme.kind}, {calibrator}, {table.samples} samples",
        highlight=False,
    )
