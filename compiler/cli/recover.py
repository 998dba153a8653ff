"""`edgec recover`: trains a pruned or quantized network to give the original's outputs again, without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgec.cli import options
from edgec.cli.arguments import option_names, parse_duration, parse_shapes
from edgec.cli.console import Json, Quiet, check_outputs, print_json, progress, stdout
from edgec.recovering import RecoverOptions


def _help(field: str) -> str:
    return options.field_help(RecoverOptions, field)


def command(
    model: options.Model,
    original: Annotated[Path, typer.Option(metavar="ORIGINAL.onnx", help="The network MODEL.onnx was made from.")],
    data: options.NeededData,
    output: Annotated[Path, typer.Option("-o", "--output", help="The recovered model (ONNX).")],
    epochs: Annotated[int | None, typer.Option(help=_help("epochs"))] = None,
    time: Annotated[
        str | None, typer.Option(metavar="10m", help="Time after which the training ends: 90s, 10m, 2h.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help=_help("rate"))] = None,
    batch: Annotated[int | None, typer.Option(help=_help("batch"))] = None,
    patience: Annotated[int | None, typer.Option(help=_help("patience"))] = None,
    augment: Annotated[bool, typer.Option(help=_help("augment"))] = True,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help=_help("device"))] = "auto",
    seed: Annotated[int, typer.Option(help=_help("seed"))] = 0,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    shape: options.Shape = [],  # noqa: B006
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train the weights of MODEL.onnx until its outputs are those of ORIGINAL.onnx again, without labels.

    It needs PyTorch. A fifth of the pictures is held out; on them the result is never worse than MODEL.onnx.
    """
    from edgec import recover

    check_outputs(model, output)
    check_outputs(original, output)
    chosen = {"epochs": epochs, "rate": rate, "batch": batch, "patience": patience}
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    given |= {"augment": augment, "device": device, "seed": seed}
    given |= {"seconds": parse_duration(time, "--time")} if time else {}
    option_names(RecoverOptions, given)
    with progress(silent=quiet or json) as listener:
        result = recover(
            model,
            original,
            measuring=options.measuring(data=data, preprocess=preprocess, limit=limit),
            shapes=parse_shapes(shape),
            keep=output,
            progress=listener,
            **given,
        )
    result.save(output)
    if json:
        summary = {"output": str(output), "before": result.before, "after": result.after}
        print_json({**summary, "epochs": result.epochs, "held_out": result.held_out})
        return
    losses = f"{result.before:.4g} to {result.after:.4g}"
    nothing = "" if result.after < result.before else "; nothing became better, and the model is as it was"
    stdout.print(
        f"{output}: loss on {result.held_out} pictures that were held out {losses}, {result.epochs} epochs{nothing}",
        highlight=False,
        soft_wrap=True,
    )
