"""`edgec targets`: lists the boards and their properties."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from edgec.cli.console import Json, print_json, stdout


def command(
    name: Annotated[
        str | None, typer.Argument(help="Name of a board to show in full; default: all boards, one per line.")
    ] = None,
    json: Json = False,
) -> None:
    """List the boards edgec compiles for."""
    from edgec.targets.board import board_names, load_board

    boards = [load_board(name)] if name else [load_board(known) for known in board_names()]
    if json:
        print_json([board.model_dump(mode="json", exclude_none=True) for board in boards])
        return
    if name:
        for key, value in boards[0].model_dump(mode="json", exclude_none=True).items():
            stdout.print(f"{key}: {value}", highlight=False, soft_wrap=True)
        return
    table = Table("target", "board", "back end", "CPU / GPU", "threads", "precisions", box=None, pad_edge=False)
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    for board in boards:
        chip = f"{board.gpu.architecture} sm_{board.gpu.sm}" if board.gpu else board.cpu
        if "tensorrt" in board.software:
            chip += f", TensorRT {board.software['tensorrt']}"
        row = (board.name, board.title, board.backend, chip, str(board.threads), " ".join(board.precisions))
        table.add_row(*row)
    stdout.print(table)
