"""`Report`: the results of a compilation as a page to read and to show."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from edgec.artefact.artefact import Artefact
from edgec.report.page import render
from edgec.whole_file import write_text


class Report:
    """Report of an artefact: one HTML page that needs no network.

    It shows accuracy, size and time relative to the original, layers, sensitivities, ranges, sample pictures, and what
    was done. Results of `verify`, `bench` and `evaluate` are included if they were stored (`keep=True`; the commands
    do so).

    Args:
        artefact: The artefact, or its folder.

    Attributes:
        artefact: The artefact.

    Raises:
        BadArtefact: The folder is not an artefact, or was altered.
    """

    def __init__(self, artefact: Artefact | str | os.PathLike[str]) -> None:
        self.artefact = artefact if isinstance(artefact, Artefact) else Artefact.open(Path(artefact))

    @cached_property
    def html(self) -> str:
        """The page; raises BadArtefact if the artefact was compiled by an edgec that stored no findings."""
        return render(self.artefact)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; raises BadOption if it cannot be written."""
        write_text(path, self.html)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Report of {self.artefact.folder}>"
