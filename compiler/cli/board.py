"""`edgec board`: lets tuning runs measure on this board, through TVM's RPC server."""

from __future__ import annotations

from typing import Annotated

import typer

from edgec.cli.console import LOOPBACK, stdout


def command(
    tracker: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address at which `edgec tune --serve` runs.")],
    key: Annotated[str, typer.Option(help="Name under which boards of this kind are registered there, e.g. rpi4.")],
    host: Annotated[str, typer.Option(help="Address on which the board listens; 0.0.0.0 stands for all.")] = LOOPBACK,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of cores that are offered; default: all.")] = None,
) -> None:
    """Offer this board to tuning runs until it is stopped. Anyone who can connect to it can run code here.

    It listens on this machine alone unless --host says otherwise: give 0.0.0.0 in trusted networks only. Without
    edgec, TVM alone does the same:
    python -m tvm.exec.rpc_server --tracker HOST:PORT --key KEY
    """
    from edgec.targets.tvm.tuning.serve import parse_tracker, require_packages, start_board, until_stopped

    require_packages()
    address = parse_tracker(tracker, key)
    server = start_board(address, host, threads)
    stdout.print(f"This board registers at {tracker} as {key}; press Ctrl-C to stop.", highlight=False)
    until_stopped(server)
