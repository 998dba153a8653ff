"""`edgec quantize`: float model and pictures in, integer model (standard Q/DQ ONNX) out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from edgec.cli import calibrate as shared
from edgec.cli.console import (
    Json,
    Quiet,
    Threads,
    check_outputs,
    mebibytes,
    print_json,
    progress,
    refused_option,
    stderr,
    stdout,
)
from edgec.errors import BadOption

if TYPE_CHECKING:
    from edgec.compress.quantization import Result
    from edgec.compress.quantize_settings import QuantizeSettings


def command(
    model: shared.Model,
    data: shared.Data,
    output: Annotated[Path, typer.Option("-o", "--output", help="The quantized model (ONNX).")],
    calibrator: shared.Calibrator = "mse",
    scales: Annotated[
        Path | None, typer.Option(help="Table of `edgec calibrate`, perhaps edited; else calibrated now.")
    ] = None,
    save_scales: Annotated[Path | None, typer.Option(help="Write the table that was used.")] = None,
    scheme: shared.SchemeName = None,
    weight_bits: Annotated[int, typer.Option(metavar="8|4|3|2|1", help="Width of the weights.")] = 8,
    codec: Annotated[str, typer.Option(metavar="NAME", help="linear, kmeans, log2 or binary.")] = "linear",
    activations: Annotated[bool, typer.Option(help="Quantize activations too, not weights alone.")] = True,
    equalize: shared.Equalize = True,
    repair: Annotated[bool, typer.Option(help="Refit each layer to the float network's outputs.")] = True,
    style: Annotated[str, typer.Option(metavar="NAME", help="runtime (ONNX Runtime, OpenVINO, TVM) or tensorrt.")] = (
        "runtime"
    ),
    exclude: Annotated[list[str], typer.Option(metavar="PATTERN", help="Layers that stay in float (*, ?).")] = [],  # noqa: B006
    refine: Annotated[bool, typer.Option("--refine", help="Move ranges while the metric gets better.")] = False,
    max_loss: Annotated[
        float | None, typer.Option(help="Leave layers in float until the loss is at most that; measured.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="For the loss; default: error of the outputs, without labels.")
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How outputs are read, for the metric.")
    ] = None,
    preprocess: shared.Preprocess = None,
    limit: shared.Limit = 128,
    shape: shared.Shape = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Make MODEL.onnx run on integers; any runtime that knows QuantizeLinear takes the result."""
    from edgec.compress.quantization import quantize_model
    from edgec.data.decoders.read import read_decoder
    from edgec.data.metrics.base import MetricContext
    from edgec.model.serialize import save
    from edgec.quantization import CalibrationTable

    check_outputs(model, output, save_scales)
    if scheme is not None and scales is not None:
        raise BadOption(f"--scheme {scheme}: the table {scales} has one of its own", remedy="Leave --scheme out.")
    settings = _settings(
        calibrator=calibrator,
        scheme=shared.check_scheme(scheme),
        weight_bits=weight_bits,
        codec=codec,
        activations=activations,
        equalize=equalize,
        repair=repair,
        style=style,
        exclude=tuple(exclude),
        refine=refine,
        max_loss=max_loss,
    )
    with progress(silent=quiet or json) as listener:
        listener("load")
        network = shared.open_model(model, shape)
        samples = shared.open_pictures(network, data, preprocess, limit)
        result = quantize_model(
            network,
            samples,
            settings,
            table=CalibrationTable.read(scales) if scales else None,
            metric=metric,
            context=MetricContext(read_decoder(decoder, model) if decoder else None, samples.classes),
            threads=threads,
            stage=listener,
        )
        listener("write")
        save(result.quantized.model, output)
    if save_scales is not None and result.table is not None:
        result.table.save(save_scales)
    if json:
        print_json(_summary(result, model, output))
        return
    for note in result.table.notes if result.table is not None else ():
        stderr.print(f"warning: {note}", highlight=False, markup=False, soft_wrap=True)
    _print(result, model, output)


def _settings(**given: Any) -> QuantizeSettings:
    from edgec.compress.quantize_settings import QuantizeSettings

    try:
        return QuantizeSettings(**given)
    except ValidationError as error:
        raise refused_option(error) from error


def _summary(result: Result, before: Path, after: Path) -> dict[str, Any]:
    return {
        "output": str(after),
        "bytes": after.stat().st_size,
        "bytes_before": before.stat().st_size,
        "layers": len(result.quantized.placement.layers),
        "loss": result.loss,
        "float_layers": [vars(layer) for layer in result.float_layers],
        "refusals": [list(pair) for pair in result.quantized.refusals],
        "errors": {name: after for name, (_, after) in result.quantized.weights.errors.items()},
    }


def _print(result: Result, before: Path, after: Path) -> None:
    def say(text: str) -> None:
        stdout.print(text, highlight=False, markup=False, soft_wrap=True)

    for where, reason in result.quantized.refusals:
        say(f"{where}: {reason}")
    for layer in result.float_layers:
        say(f"{layer.name} stays in float: its loss is {layer.gain:.4f}, its share of the MACs {layer.macs:.1%}")
    if result.refined is not None:
        refined = result.refined
        moved = f"{refined.before.value:.4f} to {refined.after.value:.4f}"
        say(f"refined from {moved} in {refined.evaluations} evaluations, the work of {refined.work:.1f}")
    size = f"{mebibytes(after.stat().st_size)}, before {mebibytes(before.stat().st_size)}"
    loss = "" if result.loss is None else f", loss {result.loss:.4f}"
    say(f"{after}: {len(result.quantized.placement.layers)} layers on integers, {size}{loss}")
