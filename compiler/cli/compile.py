"""`edgec compile`: ONNX model and board in, artefact out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import pairs, parse_batch, parse_shapes
from edgec.cli.compression import print_compression
from edgec.cli.console import Json, Quiet, mebibytes, print_json, progress, stderr, stdout
from edgec.cli.deploy import deploy_with_progress
from edgec.cli.import_result import show
from edgec.errors import BadOption
from edgec.measuring import Measuring
from edgec.options import CompileOptions, merged, read_config
from edgec.pruning import PruneOptions
from edgec.quantizing import QuantizeOptions
from edgec.validation import parse_settings

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.board_records import BoardResult
    from edgec.artefact.verification import Verification


def _help(field: str) -> str:
    return CompileOptions.model_fields[field].description or ""


def command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="ONNX model; with --point, a folder of `edgec explore`.")
    ],
    target: Annotated[
        str | None, typer.Option("--target", "-t", autocompletion=completion.boards, help=_help("target"))
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write; default: MODEL.TARGET in the working directory."),
    ] = None,
    shape: Annotated[list[str], typer.Option(metavar="NAME=DIMS", help=_help("shapes"))] = [],  # noqa: B006
    config: Annotated[
        Path | None, typer.Option(help="Settings file (TOML), which flags on the command line override.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(autocompletion=completion.precisions, help=_help("precision"))
    ] = None,
    threads: Annotated[int | None, typer.Option(help=_help("threads"))] = None,
    extra_pass: Annotated[list[str], typer.Option(metavar="NAME", help=_help("extra_passes"))] = [],  # noqa: B006
    preprocess: options.Preprocess = None,
    data: options.Data = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "--samples", min=1, help=options.field_help(Measuring, "limit"))
    ] = None,
    max_loss: Annotated[float | None, typer.Option(help=_help("max_loss"))] = None,
    max_latency: Annotated[float | None, typer.Option(metavar="MS", help=_help("max_latency"))] = None,
    metric: options.Metric = None,
    decoder: options.Decoder = None,
    classes: Annotated[str | None, typer.Option(metavar="FILE|A,B,C", help=_help("classes"))] = None,
    nms: Annotated[bool, typer.Option("--nms", help=_help("nms"))] = False,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    point: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Build this point of the front in the folder MODEL.")
    ] = None,
    prune: Annotated[str | None, typer.Option(metavar="KEY=VALUE,...", help=_help("prune"))] = None,
    quantize: Annotated[str | None, typer.Option(metavar="KEY=VALUE,...", help=_help("quantize"))] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.calibrators,
            metavar="NAME",
            help=options.field_help(QuantizeOptions, "calibrator"),
        ),
    ] = None,
    scales: Annotated[Path | None, typer.Option(help=options.field_help(QuantizeOptions, "scales"))] = None,
    tuned: Annotated[Path | None, typer.Option(help=_help("tuned"))] = None,
    seed: Annotated[int | None, typer.Option(help=_help("seed"))] = None,
    runtime_wheel: Annotated[Path | None, typer.Option(help=_help("runtime_wheel"))] = None,
    sign: Annotated[Path | None, typer.Option(metavar="KEY", help=_help("sign"))] = None,
    cache: Annotated[bool | None, typer.Option(help=_help("cache"), show_default=False)] = None,
    verify_passes: Annotated[bool, typer.Option("--verify-passes", help=_help("verify_passes"))] = False,
    input: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE", help="Golden input, a .npy file or a picture; default: inputs generated from --seed."
        ),
    ] = [],  # noqa: B006
    verify: Annotated[
        bool | None,
        typer.Option(
            help="Run the artefact and compare its outputs; default: only if this machine has the board's architecture."
        ),
    ] = None,
    keep_failed: Annotated[
        bool,
        typer.Option("--keep-failed", help="Write the artefact even if its outputs are wrong (exit code 1)."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="ssh://[USER@]HOST[:PORT]",
            help="Board on which the artefact is verified and measured, as `edgec deploy` does.",
        ),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compile MODEL.onnx for a board into an artefact folder."""
    from edgec import compile as edgec_compile
    from edgec.api.explore import point_of
    from edgec.artefact.board_result import verification as verification_there
    from edgec.artefact.device import parse_device
    from edgec.artefact.remote import require_client
    from edgec.cli.next_step import next_steps
    from edgec.compress.front import SENSITIVITY

    measured = options.measuring_fields(
        data=data,
        metric=metric,
        decoder=decoder,
        preprocess=preprocess,
        limit=limit,
        workers=workers,
        scheduler=scheduler,
    )
    made = parse_settings(quantize, QuantizeOptions, "--quantize").model_dump(exclude_unset=True) if quantize else {}
    made |= {key: value for key, value in {"calibrator": calibrator, "scales": scales}.items() if value is not None}
    given = {
        "target": target,
        "shapes": parse_shapes(shape) or None,
        "batch": parse_batch(shape),
        "precision": precision,
        "threads": threads,
        "extra_passes": tuple(extra_pass) or None,
        "measuring": measured or None,
        "classes": classes,
        "nms": nms or None,
        "max_loss": max_loss,
        "max_latency": max_latency,
        "prune": parse_settings(prune, PruneOptions, "--prune") if prune is not None else None,
        "quantize": made or None,
        "tuned": tuned,
        "seed": seed,
        "runtime_wheel": runtime_wheel,
        "sign": sign,
        "cache": cache,
        "verify_passes": verify_passes or None,
    }
    settings: dict[str, Any] = read_config(config) if config else {}
    journal = None
    if point is not None:
        journal = model / SENSITIVITY
        model, shared = point_of(model, point)
        settings = merged(settings, shared)
    settings = merged(settings, {key: value for key, value in given.items() if value is not None})
    if "target" not in settings:
        raise BadOption("no board is given", remedy="Give --target NAME; `edgec targets` lists the boards.")
    address = parse_device(device) if device else None
    if address:
        require_client()
    with progress(silent=quiet or json) as listener:
        files = {name: Path(value) for name, value in pairs(input, "--input").items()}
        ways: dict[str, Any] = {"verify": verify, "keep_failed": keep_failed, "journal": journal, "progress": listener}
        artefact = edgec_compile(model, output=output, inputs=files or None, **ways, **settings)
    verification = artefact.verification
    if artefact.unverified:
        stderr.print(f"not verified: {artefact.unverified}", highlight=False, markup=False)
    if not json:
        _print_summary(artefact, verification)
    deployed = None
    if address and (verification is None or verification.ok):
        deployed = deploy_with_progress(artefact, address, silent=quiet or json)
    if json:
        print_json(_said(artefact, verification, deployed))
    elif deployed:
        show(artefact, deployed, json=False)
    elif not quiet:
        for line in next_steps(artefact):
            stdout.print(line, highlight=False, soft_wrap=True)
    if verification:
        verification.check()
    if deployed:
        verification_there(artefact, deployed).check()


def _said(artefact: Artefact, verification: Verification | None, deployed: BoardResult | None) -> dict[str, Any]:
    """Return the data that `--json` prints."""
    manifest = artefact.manifest
    said = {
        "artefact": str(artefact.folder),
        "target": manifest.board.name,
        "bytes": artefact.size,
        "relative_error": verification.worst if verification else None,
        "compression": asdict(manifest.compression) if manifest.compression else None,
        "application": manifest.application.model_dump(mode="json") if manifest.application else None,
        "board": deployed.model_dump(mode="json") if deployed else None,
    }
    return {key: value for key, value in said.items() if value is not None or key == "relative_error"}


def _print_summary(artefact: Artefact, verification: Verification | None) -> None:
    manifest = artefact.manifest
    if manifest.compression is not None:
        print_compression(manifest.compression)
    checked = f", error {verification.worst:.1e} of the range" if verification else ""
    stdout.print(f"{artefact.folder}: {manifest.board.title}, {mebibytes(artefact.size)}{checked}", highlight=False)
    if (loss := manifest.precision_error) is not None:
        precision = manifest.options.precision
        stdout.print(f"{precision} itself changes the outputs by up to {loss:.1e} of the range", highlight=False)
    for note in verification.notes if verification else ():
        stdout.print(note, highlight=False, markup=False)
    if estimate := manifest.runtime.get("estimate"):
        stdout.print(f"{estimate['ms']} ms ({estimate['remark']})", highlight=False)
    if manifest.application is not None:
        for line in manifest.application.assumed:
            stdout.print(line, highlight=False, markup=False, soft_wrap=True)
    if left := len(manifest.refusals):
        what = "1 thing as it was" if left == 1 else f"{left} things as they were"
        text = f"edgec left {what}; `edgec inspect {artefact.folder}` gives the reasons"
        stdout.print(text, highlight=False, markup=False)
    for refusal in manifest.refusals:
        if refusal.step == "decoder":
            stdout.print(f"not decoded: {refusal.reason}", highlight=False, markup=False, soft_wrap=True)
