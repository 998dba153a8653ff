"""`edgec matrix`: models on boards in precisions, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, PlainConsole, Quiet, print_json, progress, stdout
from edgec.errors import BadOption
from edgec.options import merged, read_config

if TYPE_CHECKING:
    from edgec.api.matrix_table import Matrix

WIDTH = 160
"""Columns of text that the table may take, so that its cells are not cut."""

Targets = Annotated[
    str,
    typer.Option(
        "--targets",
        "-t",
        metavar="BOARD,...",
        autocompletion=completion.several_boards,
        help="Names of boards; `edgec targets` lists them.",
    ),
]
Precisions = Annotated[
    str,
    typer.Option(
        metavar="NAME,...", autocompletion=completion.several_precisions, help="Precisions: fp32, fp16, int8."
    ),
]


def command(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL[=SETTINGS.toml]...", help="ONNX models, each optionally with a settings file."),
    ],
    targets: Targets,
    precisions: Precisions = "fp32",
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the artefacts and the table.")] = Path(
        "matrix"
    ),
    shape: options.Shape = [],  # noqa: B006
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML) for all models.")] = None,
    data: options.Data = None,
    metric: options.Metric = None,
    decoder: options.Decoder = None,
    preprocess: options.Preprocess = None,
    limit: options.Limit = None,
    peers: Annotated[
        str,
        typer.Option(metavar="NAME,...", help="Runtimes to time beside fp32 on this machine: onnxruntime, openvino."),
    ] = "",
    workers: Annotated[
        int,
        typer.Option(min=0, help="Number of processes; 0: one cell after the other, for undisturbed times."),
    ] = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compile models for boards in precisions, and print a table of size, error, metric and time.

    An interrupted run continues where it stopped. The exit code is 1 if an artefact has wrong outputs, but not if a
    model is refused.
    """
    from edgec import matrix

    measured = options.measuring_fields(
        data=data, metric=metric, decoder=decoder, preprocess=preprocess, limit=limit, workers=None, scheduler=None
    )
    common = read_config(config) if config else {}
    given = {"shapes": parse_shapes(shape), "measuring": measured}
    each = _settings(models, merged(common, {key: value for key, value in given.items() if value}))
    with progress(silent=quiet or json) as listener:
        found = matrix(
            each,
            targets=_names(targets),
            precisions=_names(precisions),
            output=output,
            peers=_names(peers),
            workers=workers,
            progress=listener,
        )
    if json:
        print_json(found.as_json())
    else:
        _show(found)
        stdout.print(f"{output} contains this table as .csv, .json, .md and .html.", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if found.ok else 1)


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _model(item: str) -> tuple[str, dict[str, Any]]:
    """Split MODEL=SETTINGS.toml into the model and its settings; a file whose whole name is `item` is a model."""
    model, equals, settings = item.rpartition("=")
    if not equals or Path(item).exists():
        return item, {}
    return model, read_config(Path(settings))


def _settings(models: list[str], common: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return path -> options of `compile`; boards and precisions of settings files give way to those of the table."""
    each: dict[str, dict[str, Any]] = {}
    for item in models:
        path, own = _model(item)
        if path in each:
            raise BadOption(f"model {path} is given twice")
        settings = merged(common, own)
        each[path] = {key: value for key, value in settings.items() if key not in ("target", "precision")}
    return each


def _show(found: Matrix) -> None:
    head, rows = found.table()
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    PlainConsole(width=max(stdout.width, WIDTH)).print(table)
    for place, reason in enumerate(found.reasons, 1):
        stdout.print(f"({place}) {reason}", highlight=False, soft_wrap=True)
