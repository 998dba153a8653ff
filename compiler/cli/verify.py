"""`edgec verify`: runs an artefact on its golden inputs and compares its outputs with ONNX Runtime's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edgec.cli.console import ArtefactFolder, Json, Quiet, Threads, print_json, progress, stdout
from edgec.cli.emulated_time import estimate, print_estimate
from edgec.progress import Progress

if TYPE_CHECKING:
    from edgec.artefact.verification import Verification


def command(
    artefact: ArtefactFolder,
    threads: Threads = None,
    signers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with one name and public key per line; one of them must have signed the artefact.",
        ),
    ] = None,
    emulate_time: Annotated[
        bool,
        typer.Option(
            "--emulate-time",
            help="Estimate also the time on the ARM board from emulated instructions, for one thread.",
        ),
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run ARTEFACT, emulated if necessary, and compare its outputs with the golden ones.

    The exit code is 1 if they differ.
    """
    from edgec import Artefact

    with progress(silent=quiet or json) as listener:
        listener(Progress("check hashes"))
        opened = Artefact.open(artefact, signers=signers)
        # The estimate comes first: a board that has none, or a missing tool, is told before the long runs.
        time = estimate(opened, listener) if emulate_time else None
        listener(Progress("run"))
        verification = opened.verify(threads, keep=True)
    if json:
        errors = {output.name: output.relative for output in verification.comparison.outputs}
        shown = {"ok": verification.ok, "where": verification.where, "errors": errors}
        print_json(shown | ({"emulated_time": asdict(time)} if time else {}))
    else:
        _show(verification)
        if time is not None:
            print_estimate(time)
    verification.check()


def _show(verification: Verification) -> None:
    """Print the error of each output, and whether all are accepted."""
    table = Table("output", "max abs error", "of its range", "reference noise", box=None, pad_edge=False)
    for output in verification.comparison.outputs:
        own = f"{output.noise.largest:.2e}" if output.noise else ""
        table.add_row(output.name, f"{output.max_abs:.2e}", output.problem or f"{output.relative:.2e}", own)
    stdout.print(table)
    for note in verification.notes:
        stdout.print(note, highlight=False, markup=False)
    inside = f", {len(verification.inner.outputs)} inner values" if verification.inner.outputs else ""
    told = f"{verification.where}, {verification.samples} golden inputs{inside}"
    stdout.print(f"{told}: {'ok' if verification.ok else 'FAILED'}", highlight=False, markup=False)
