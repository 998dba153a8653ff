"""The next step with an artefact that has just been compiled, as a line to copy."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from edgec.artefact.remote import SCRIPT
from edgec.evaluation.task import UNLABELLED
from edgec.targets.board import is_this_machine

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact


def next_steps(artefact: Artefact) -> list[str]:
    """Return lines that say what is open: accuracy that was not measured, a faster precision, the next command."""
    manifest = artefact.manifest
    folder = shlex.quote(str(artefact.folder))
    lines = []
    compression = manifest.compression
    changed = compression is not None or manifest.options.precision == "int8"
    if changed and (compression is None or compression.metric in ("", UNLABELLED)):
        lines.append(f"accuracy was not measured: edgec eval {folder} --data LABELLED --metric NAME")
    lines += [refusal.reason for refusal in manifest.refusals if refusal.step == "precision"]
    return [*lines, f"next: {_command(artefact, folder)}"]


def _command(artefact: Artefact, folder: str) -> str:
    manifest = artefact.manifest
    if any(entry.path == SCRIPT for entry in manifest.files):
        return f"edgec deploy {folder} ssh://USER@BOARD"
    if is_this_machine(manifest.board):
        return f"edgec bench {folder}" if artefact.verification else f"edgec verify {folder}"
    if artefact.verification is None and not artefact.unverified:
        return f"edgec verify {folder}"
    first = next(iter(manifest.commands.values()), None)
    copy = f"scp -r {folder} USER@BOARD:"
    return f"{copy} && ssh USER@BOARD {shlex.quote(f'cd {artefact.folder.name} && {first}')}" if first else copy
