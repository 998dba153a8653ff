"""`edgec report`: the results of a compilation as a page to read and to show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgec.cli.console import ArtefactFolder, mebibytes, stdout


def command(
    artefact: ArtefactFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page (HTML).")] = Path("report.html"),
) -> None:
    """Write a report of ARTEFACT: one HTML page, which needs no network.

    It shows accuracy, size and time relative to the original, layers, sensitivities, ranges, sample pictures, and what
    was done. Results of `edgec verify`, `bench` and `eval` are included if these ran before.
    """
    from edgec import Report

    Report(artefact).save(output)
    stdout.print(f"{output}: {mebibytes(output.stat().st_size)}", highlight=False)
