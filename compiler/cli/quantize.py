"""`edgec quantize`: turns a float model and pictures into an integer model (standard Q/DQ ONNX)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import options
from edgec.cli.arguments import check_scheme, option_names, parse_shapes
from edgec.cli.console import Json, Quiet, Threads, check_outputs, mebibytes, print_json, progress, stderr, stdout
from edgec.quantizing import QuantizeOptions

if TYPE_CHECKING:
    from edgec.compress.quantization import Quantization


def _help(field: str) -> str:
    return options.field_help(QuantizeOptions, field)


def command(
    model: options.Model,
    data: options.NeededData,
    output: Annotated[Path, typer.Option("-o", "--output", help="The quantized model (ONNX).")],
    calibrator: options.Calibrator = "mse",
    scales: Annotated[Path | None, typer.Option(help=_help("scales"))] = None,
    save_scales: Annotated[Path | None, typer.Option(help="Write the calibration table that was used.")] = None,
    scheme: options.Scheme = None,
    weight_bits: Annotated[int, typer.Option(metavar="8|4|3|2|1", help=_help("weight_bits"))] = 8,
    codec: Annotated[str, typer.Option(metavar="NAME", help=_help("codec"))] = "linear",
    activations: Annotated[bool, typer.Option(help=_help("activations"))] = True,
    equalize: options.Equalize = True,
    repair: Annotated[bool, typer.Option(help=_help("repair"))] = True,
    style: Annotated[str, typer.Option(metavar="NAME", help=_help("style"))] = "runtime",
    exclude: Annotated[list[str], typer.Option(metavar="PATTERN", help=_help("exclude"))] = [],  # noqa: B006
    refine: Annotated[str | None, typer.Option("--refine", metavar="outputs|metric", help=_help("refine"))] = None,
    max_loss: Annotated[float | None, typer.Option(help=_help("max_loss"))] = None,
    metric: options.Metric = None,
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    shape: options.Shape = [],  # noqa: B006
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Quantize MODEL.onnx to integers; any runtime that supports QuantizeLinear can run the result."""
    from edgec import quantize

    check_outputs(model, output, save_scales)
    given: dict[str, Any] = {
        "calibrator": calibrator,
        "scales": scales,
        "scheme": check_scheme(scheme),
        "weight_bits": weight_bits,
        "codec": codec,
        "activations": activations,
        "equalize": equalize,
        "repair": repair,
        "style": style,
        "exclude": tuple(exclude),
        "refine": refine,
        "max_loss": max_loss,
    }
    option_names(QuantizeOptions, given)
    with progress(silent=quiet or json) as listener:
        result = quantize(
            model,
            measuring=options.measuring(data=data, metric=metric, decoder=decoder, preprocess=preprocess, limit=limit),
            shapes=parse_shapes(shape),
            threads=threads,
            progress=listener,
            **given,
        )
    result.save(output)
    if save_scales is not None and result.table is not None:
        result.table.save(save_scales)
    if json:
        print_json(_summary(result, model, output))
        return
    for note in result.table.notes if result.table is not None else ():
        stderr.print(f"warning: {note}", highlight=False, markup=False, soft_wrap=True)
    _print(result, model, output, weight_bits)


def _summary(result: Quantization, before: Path, after: Path) -> dict[str, Any]:
    return {
        "output": str(after),
        "bytes": after.stat().st_size,
        "bytes_before": before.stat().st_size,
        "layers": len(result.quantized.placement.layers),
        "loss": result.loss,
        "metric": result.metric,
        "float_layers": [vars(layer) for layer in result.float_layers],
        "refusals": [list(pair) for pair in result.quantized.refusals],
        "errors": {name: after for name, (_, after) in result.quantized.weights.errors.items()},
    }


def _print(result: Quantization, before: Path, after: Path, bits: int) -> None:
    from edgec.evaluation.task import describe_loss

    def say(text: str) -> None:
        stdout.print(text, highlight=False, markup=False, soft_wrap=True)

    in_float = {layer.name for layer in result.float_layers}  # they are told of below
    for where, reason in result.quantized.refusals:
        if where not in in_float:
            say(f"{where}: {reason}")
    for layer in result.float_layers:
        say(f"{layer.name} stays in float: its loss is {layer.gain:.4f}, its share of the MACs {layer.macs:.1%}")
    if result.refined is not None:
        refined = result.refined
        moved = f"{refined.before.value:.4f} to {refined.after.value:.4f}"
        say(
            f"refining the ranges moved the metric from {moved}, in {refined.evaluations} evaluations "
            f"that cost as much as {refined.work:.1f} runs over all samples"
        )
    size = f"{mebibytes(after.stat().st_size)}, before {mebibytes(before.stat().st_size)}"
    loss = "" if result.loss is None else f", {describe_loss(result.metric, result.loss)}"
    layers = len(result.quantized.placement.layers)
    what = "on integers" if result.table is not None else "computed in float"
    what += "" if bits == 8 and result.table is not None else f", their weights stored in {bits} bits"
    say(f"{after}: {layers} layers {what}, {size}{loss}")
