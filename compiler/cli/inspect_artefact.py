"""What `edgec inspect` shows of an artefact: its origin, requirements and times, what was left as it was and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from edgec.cli.console import mebibytes, print_json, stdout

if TYPE_CHECKING:
    from edgec.artefact.measured import Measured


def show_artefact(folder: Path, *, json: bool) -> None:
    """Print the manifest of the artefact in `folder`, and the times in its evidence."""
    from edgec.artefact.manifest import read_manifest
    from edgec.artefact.measured import Measured, read_measured

    manifest, measured = read_manifest(folder), read_measured(folder, Measured)
    if json:
        times = measured.model_dump(mode="json", include={"latency", "emulated_time"}, exclude_none=True)
        print_json(manifest.model_dump(mode="json") | {"times": times})
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
        stdout.print(Text.assemble((str(name), "dim"), f" {in_words(value)}"), highlight=False, soft_wrap=True)
    for line in _times(measured):
        stdout.print(line, highlight=False, markup=False, soft_wrap=True)
    for refusal in manifest.refusals:
        text = f"{refusal.step}: {refusal.where}: {refusal.reason}"
        stdout.print(text, highlight=False, markup=False, soft_wrap=True)


def in_words(value: Any) -> str:
    """Return a value of the manifest in a line; of long records there is only the number."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        records = any(isinstance(item, (dict, list)) for item in value)
        return f"{len(value)} records, which --json shows" if records else ", ".join(map(str, value))
    return str(value)


def _times(measured: Measured) -> Iterator[str]:
    """Yield a line for each time in the evidence: what was measured, and what was estimated by emulation."""
    from edgec.artefact.measured import ESTIMATED

    latency, emulated = measured.latency, measured.emulated_time
    if latency is not None:
        conditions = f"{latency.runs} runs, {latency.threads} threads, {latency.where}"
        yield f"{latency.title}: median {latency.median:.2f} ms ({conditions})"
    if emulated is not None:
        yield f"{ESTIMATED}: {emulated.ms:.3g} ms {emulated.conditions}; constants from {emulated.basis}"
