"""README.txt: what an artefact is, how it is run and where it came from, for anyone who finds it on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgec.artefact.files import EVIDENCE, MANIFEST, SUMS
from edgec.targets.base import LICENCES

if TYPE_CHECKING:
    from edgec.artefact.manifest import Manifest, Port

README = "README.txt"


def write_readme(manifest: Manifest, folder: Path) -> None:
    """Write the README of the artefact in `folder`; it contains nothing that differs between two compilations."""
    licences = (folder / LICENCES).is_dir()
    (folder / README).write_text(_text(manifest, licences), encoding="utf-8")


def _text(manifest: Manifest, licences: bool) -> str:
    board, options = manifest.board, manifest.options
    title = f"{manifest.source.name} for {board.title} ({board.name}), {options.precision}"
    return (
        "\n\n".join(
            [
                f"{title}\n{'=' * len(title)}",
                "This folder contains a neural network that edgec compiled for the board above. It is complete:\n"
                "copy it as a whole, and keep its executable files executable (scp -r or rsync -a).",
                _section("What you can do with it on the board, in this folder", _commands(manifest)),
                _section("Inputs", _ports(manifest.inputs)),
                _section("Outputs", _ports(manifest.outputs)),
                _section("Origin", _origin(manifest)),
                _section(
                    "Files",
                    [
                        f"{MANIFEST} says what was done to the network, and lists all files.",
                        f"{EVIDENCE}, if it is there, contains the measurements.",
                        f"{SUMS} contains the hashes of all files; `sha256sum -c --quiet {SUMS}` checks them.",
                        "golden/ contains inputs, and the outputs of ONNX Runtime for them.",
                        *(
                            [f"{LICENCES}/ contains the licences of the programs and libraries in this folder."]
                            if licences
                            else ()
                        ),
                    ],
                ),
            ]
        )
        + "\n"
    )


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", "", *(f"  {line}" for line in lines)])


def _commands(manifest: Manifest) -> list[str]:
    known = manifest.commands or {"Run it where edgec is installed": "edgec run ."}
    return [line for purpose, command in known.items() for line in (f"{purpose}:", f"    {command}")]


def _ports(ports: tuple[Port, ...]) -> list[str]:
    lines = []
    for port in ports:
        layout = f", {port.layout}" if port.layout else ""
        open_axes = ", some sizes depend on the data" if any(size >= 0 for size in port.sizes) else ""
        lines.append(f"{port.name}: {port.dtype} {list(port.shape)}{layout}{open_axes}")
    return lines or ["Nothing."]


def _origin(manifest: Manifest) -> list[str]:
    source = manifest.source
    return [
        f"Model:        {source.name}, SHA-256 {source.sha256}",
        f"Compiler:     edgec {manifest.edgec}, back end {manifest.board.backend}",
        f"Precision:    {manifest.options.precision}",
        f"Comparison:   outputs may differ from ONNX Runtime's by {manifest.tolerance:g} of their range",
    ]
