"""The licence of the programs and scripts of edgec that an artefact contains."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

from edgec.errors import MissingDependency

OWN = "LICENSE.edgec"
"""Its name in an artefact."""


def install_licence(folder: Path) -> None:
    """Write edgec's own licence into `folder`, which is made if need be.

    Raises:
        MissingDependency: The installation of edgec is incomplete.
    """
    found = next((file for file in distribution("edgec").files or () if file.name == "LICENSE"), None)
    if found is None or not Path(str(found.locate())).is_file():
        raise MissingDependency("the installed edgec has no LICENSE", remedy="Install edgec again.")
    folder.mkdir(exist_ok=True)
    (folder / OWN).write_bytes(found.read_binary())
