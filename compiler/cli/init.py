"""`edgec init`: look at a model and write settings for it, with comments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgec.cli import completion, options
from edgec.cli.console import stdout
from edgec.errors import BadOption


def command(
    model: options.Model,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            autocompletion=completion.boards,
            help="Board; default: asked for on a terminal, else the board this machine is.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Settings file to write.")] = Path("edgec.toml"),
) -> None:
    """Look at MODEL.onnx and write edgec.toml for it: board, shapes, preprocessing and decoder, with comments."""
    from edgec.api.init import proposed_settings, this_board
    from edgec.whole_file import write_text

    if output.exists():
        raise BadOption(f"{output} exists", remedy="Choose another name with -o, or remove it first.")
    if target is None:
        target = typer.prompt("Board", default=this_board()) if sys.stdin.isatty() else this_board()
    write_text(output, proposed_settings(model, target))
    stdout.print(
        f"{output}: look through it, then: edgec compile {model} --config {output}", highlight=False, soft_wrap=True
    )
