"""`edgec import-result`: stores the measurements of the board in the artefact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgec.cli.console import ArtefactFolder, Json, print_json, stdout

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.board_records import BoardResult


def command(
    artefact: ArtefactFolder,
    result: Annotated[Path, typer.Argument(metavar="RESULT.json", help="File that ./build.sh wrote on the board.")],
    json: Json = False,
) -> None:
    """Store the RESULT.json of the board in ARTEFACT's evidence, where `edgec report` finds it."""
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.board_result import import_result

    opened = Artefact.open(artefact)
    show(opened, import_result(opened, result), json=json)


def show(artefact: Artefact, result: BoardResult, *, json: bool) -> None:
    """Print the measurements of the board.

    Raises:
        VerificationFailed: The outputs differ from the golden ones.
    """
    from edgec.artefact.board_result import verification

    if json:
        print_json(result.model_dump(mode="json"))
    else:
        for warning in result.warnings:
            stdout.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
        checked = verification(artefact, result)
        stdout.print(f"{result.where}: error {checked.worst:.1e} of the range", highlight=False)
        for part, times in result.latency_ms.items():
            text = f"median {times.median:.3f} ms, p90 {times.p90:.3f}, p99 {times.p99:.3f}"
            stdout.print(f"{part:>11}: {text}", highlight=False)
        if result.throughput_per_s is not None:
            stdout.print(f" throughput: {result.throughput_per_s:.1f} inferences/s", highlight=False)
    verification(artefact, result).check()
