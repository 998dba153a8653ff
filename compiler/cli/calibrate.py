"""`edgec calibrate`: the range of every tensor that becomes integers, as a table to look at, edit and reuse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgec.cli.console import Json, Quiet, Threads, check_outputs, parse_shapes, print_json, progress, stderr, stdout
from edgec.errors import BadOption
from edgec.preprocessing import Preprocessing, parse_preprocessing

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgec.data.samples import Samples

DEFAULT_LIMIT = 512

Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model.")]
Data = Annotated[str, typer.Option(metavar="PATH|MODULE:CALLABLE", help="Pictures, as for `edgec eval`; no labels.")]
Calibrator = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="minmax, moving-average, percentile, mse, kl, adaptive-kl, fixed-point, or module:Class.",
    ),
]
SchemeName = Annotated[
    str | None, typer.Option("--scheme", metavar="NAME", help="asymmetric (default), symmetric or power-of-two.")
]
Equalize = Annotated[bool, typer.Option(help="Bring channels to like ranges first; kept in the table.")]
Preprocess = Annotated[str | None, typer.Option(metavar="KEY=VALUE,...", help="How pictures become input.")]
Limit = Annotated[int, typer.Option(min=1, help="Take at most that many samples, evenly spread.")]
Shape = Annotated[list[str], typer.Option(metavar="NAME=DIMS", help="Shape of an input: where open, or another.")]


def command(
    model: Model,
    data: Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="Calibration table (JSON).")] = Path("scales.json"),
    calibrator: Calibrator = "mse",
    scheme: SchemeName = None,
    equalize: Equalize = True,
    preprocess: Preprocess = None,
    limit: Limit = DEFAULT_LIMIT,
    shape: Shape = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find the range of every tensor of MODEL.onnx that becomes integers.

    Memory does not grow with the number of pictures. An interrupted run goes on where it was.
    """
    from rich.progress import Progress

    from edgec.passes.quantize.calibrate import calibrate_model
    from edgec.quantization import Scheme

    check_outputs(model, output)
    kind = check_scheme(scheme)
    silent = quiet or json
    with progress(silent=silent) as listener:
        listener("load")
        network = open_model(model, shape)
        samples = open_pictures(network, data, preprocess, limit)
    with Progress(console=stderr, disable=silent, transient=True) as bar:
        task = bar.add_task("calibrate", total=len(samples))
        table = calibrate_model(
            network,
            samples,
            calibrator=calibrator,
            scheme=Scheme(kind=kind) if kind else Scheme(),
            equalize=equalize,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            checkpoint=output.with_name(output.name + ".part") if calibrator_resumes(calibrator) else None,
            threads=threads,
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


def calibrator_resumes(name: str) -> bool:
    """Return whether the calibrator of that name keeps its state in arrays.

    Raises:
        BadOption: There is none.
    """
    from edgec import registry

    made = registry.load("calibrators", name)
    return hasattr(made, "state") and hasattr(made, "restore")


def open_model(path: Path, shape: list[str]) -> ir.Model:
    """Return the model, shapes fixed, in the form in which it is quantized.

    Raises:
        EdgecError: It cannot be read, or has no canonical form.
    """
    from edgec.model.load import load
    from edgec.model.shapes import fix_shapes
    from edgec.passes.prepare import prepare

    return prepare(fix_shapes(load(path).model, parse_shapes(shape)))


def open_pictures(network: ir.Model, data: str, preprocess: str | None, limit: int) -> Samples:
    """Open the data as samples for `network`, at most `limit` of them.

    Raises:
        EdgecError: There is none, or it does not fit.
    """
    from edgec.data.samples import spread
    from edgec.data.source import open_samples
    from edgec.model.signature import inputs_of

    how = parse_preprocessing(preprocess) if preprocess else Preprocessing()
    return spread(open_samples(data, inputs_of(network), how), limit)


def check_scheme(name: str | None) -> str | None:
    """Return `name` if there is such a scheme.

    Raises:
        BadOption: There is none.
    """
    from typing import get_args

    from edgec.quantization import Kind
    from edgec.registry import suggest

    if name is not None and name not in get_args(Kind):
        raise BadOption(f"--scheme: unknown scheme {name!r}", remedy=suggest(name, get_args(Kind)))
    return name
