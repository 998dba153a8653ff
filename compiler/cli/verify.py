"""`edgec verify`: run an artefact on its golden inputs and compare with ONNX Runtime's outputs."""

from __future__ import annotations

from rich.table import Table

from edgec.cli.console import ArtefactFolder, Json, Quiet, Threads, print_json, progress, stdout
from edgec.errors import VerificationFailed


def command(artefact: ArtefactFolder, threads: Threads = None, quiet: Quiet = False, json: Json = False) -> None:
    """Run ARTEFACT, emulated if need be, and compare its outputs with the golden ones. Exit code 1 if they differ."""
    from edgec.artefact.artefact import Artefact
    from edgec.artefact.evidence import keep

    with progress(silent=quiet or json) as listener:
        listener("check hashes")
        opened = Artefact.open(artefact)
        listener("run")
        verification = opened.verify(threads)
        keep(opened.folder, "verification", verification)
    if json:
        errors = {name: comparison.relative for name, comparison in verification.outputs.items()}
        print_json({"ok": verification.ok, "where": verification.where, "errors": errors})
    else:
        table = Table("output", "max abs error", "of the range", box=None, pad_edge=False)
        for name, comparison in verification.outputs.items():
            table.add_row(name, f"{comparison.max_abs:.2e}", f"{comparison.relative:.2e}")
        stdout.print(table)
        stdout.print(f"{verification.where}: {'ok' if verification.ok else 'FAILED'}", highlight=False)
    if not verification.ok:
        raise VerificationFailed(
            f"{artefact}: error {verification.worst:.2e} of the range, accepted {verification.tolerance:.0e}",
            remedy="Compile again; if it stays, please report it with the model.",
        )
