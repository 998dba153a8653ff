"""`edgec compare`: the differences between two artefacts, models or results, as a check in a pipeline."""

from __future__ import annotations

from typing import Annotated

import typer

from edgec.cli import completion, options
from edgec.cli.arguments import parse_shapes
from edgec.cli.console import Json, print_json, stdout
from edgec.errors import BadOption

SIDE = "artefact, ONNX model, or a .json file that `edgec bench --json` or `edgec eval --json` printed"


def command(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"Old side: {SIDE}.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="New side, of the same kind.")],
    max_loss: Annotated[float | None, typer.Option(help="Maximum loss of each metric, in its own units.")] = None,
    max_slowdown: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Maximum increase of the time, e.g. 3% or 0.03.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            autocompletion=completion.boards,
            help="Board on which the nodes of both models are checked.",
        ),
    ] = None,
    shape: options.Shape = [],  # noqa: B006
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table for a pull request.")] = False,
    json: Json = False,
) -> None:
    """Compare OLD and NEW: size, error, metrics and time, and the nodes that a board refuses.

    The exit code is 1 if a limit is exceeded, NEW fails its verification, or the board refuses more than before.
    """
    from rich.table import Table

    from edgec import compare
    from edgec.api.compare import change, shown

    share = _share(max_slowdown) if max_slowdown is not None else None
    shapes = parse_shapes(shape)
    changes = compare(old, new, max_loss=max_loss, max_slowdown=share, target=target, shapes=shapes)
    if json:
        print_json(changes.as_json())
    elif markdown:
        print(changes.markdown())
    else:
        table = Table("figure", "old", "new", "change", "beyond", box=None, pad_edge=False)
        for row in changes.rows:
            table.add_row(row.name, shown(row.old, row.unit), shown(row.new, row.unit), change(row), row.beyond)
        stdout.print(table, markup=False)
        for note in changes.notes:
            stdout.print(note, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if changes.ok else 1)


def _share(text: str) -> float:
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise BadOption(f"--max-slowdown {text} is not a fraction", remedy="Write 3% or 0.03.") from None
