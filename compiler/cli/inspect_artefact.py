"""What `edgec inspect` shows of an artefact: its origin, its requirements, what was left as it was and why."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from edgec.cli.console import mebibytes, print_json, stdout


def show_artefact(folder: Path, *, json: bool) -> None:
    """Print the manifest of the artefact in `folder`."""
    from edgec.artefact.manifest import read_manifest

    manifest = read_manifest(folder)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    size = sum(entry.size for entry in manifest.files)
    stdout.print(f"{manifest.source.name} for {manifest.board.title}, {mebibytes(size)}", highlight=False)
    for kind, ports in (("input", manifest.inputs), ("output", manifest.outputs)):
        for port in ports:
            stdout.print(f"{kind} {port.spec}", highlight=False, markup=False)
    if manifest.application is not None:
        stdout.print(f"decoder {manifest.application.decoder}", highlight=False, markup=False)
        for line in manifest.application.assumed:
            stdout.print(line, highlight=False, markup=False, soft_wrap=True)
    for name, value in manifest.runtime.items():
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        stdout.print(Text.assemble((str(name), "dim"), f" {text}"), highlight=False)
    for refusal in manifest.refusals:
        text = f"{refusal.step}: {refusal.where}: {refusal.reason}"
        stdout.print(text, highlight=False, markup=False, soft_wrap=True)
