"""`edgec deploy`: copies an artefact to its board, and verifies and measures it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgec.cli.console import ArtefactFolder, Json, Quiet, progress
from edgec.cli.import_result import show
from edgec.progress import Progress

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.board_records import BoardResult
    from edgec.artefact.device import Device


def command(
    artefact: ArtefactFolder,
    device: Annotated[str, typer.Argument(metavar="ssh://[USER@]HOST[:PORT]", help="Address of the board.")],
    runs: Annotated[int, typer.Option(min=1, help="Number of inferences that are timed.")] = 100,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Copy ARTEFACT to its board over SSH, verify and measure it there, and keep the result here.

    On a Jetson the engine is built first. Files that were copied and built already are used again: after an
    interruption, give the same command.
    """
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.device import parse_device

    board = parse_device(device)
    opened = Artefact.open(artefact)
    show(opened, deploy_with_progress(opened, board, runs=runs, silent=quiet or json), json=json)


def deploy_with_progress(artefact: Artefact, device: Device, *, silent: bool, runs: int = 100) -> BoardResult:
    """Deploy `artefact` to `device`, with a progress line; return the measurements of the board.

    Raises:
        EdgecError: As `edgec.artefact.remote.deploy`.
    """
    from edgec.artefact.remote import deploy

    with progress(silent=silent) as listener:
        return deploy(artefact, device, lambda step: listener(Progress(step)), runs=runs)
