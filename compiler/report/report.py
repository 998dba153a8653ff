"""`Report`: what became of a network, as a page to read and to show."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from edgec.artefact.artefact import Artefact
from edgec.report.page import render
from edgec.whole_file import write_text


class Report:
    """Report of an artefact: one HTML page that opens anywhere, without a network.

    Accuracy, size and time against the original, layers, sensitivities, ranges, sample pictures, and what was done.
    What `verify`, `bench` and `evaluate` measured is in it if they kept it (`keep=True`, as the commands do).

    Args:
        artefact: The artefact, or its folder.

    Attributes:
        artefact: The artefact.

    Raises:
        BadArtefact: There is not an artefact in that folder, or it is not as it was written.
    """

    def __init__(self, artefact: Artefact | str | os.PathLike[str]) -> None:
        self.artefact = artefact if isinstance(artefact, Artefact) else Artefact.open(Path(artefact))

    @cached_property
    def html(self) -> str:
        """The page; BadArtefact where the artefact was compiled by an edgec that kept no findings."""
        return render(self.artefact)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page; BadOption where it cannot be written."""
        write_text(path, self.html)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Report of {self.artefact.folder}>"
