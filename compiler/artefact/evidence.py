"""evidence.json: measurements of an artefact, separate from the manifest, which contains nothing that varies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgec.artefact.files import EVIDENCE
from edgec.plain_file import read_json
from edgec.whole_file import write_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def keep(folder: Path, key: str, measured: DataclassInstance | dict[str, Any]) -> None:
    """Store `measured` under `key` in the artefact's evidence, replacing an older measurement of that kind."""
    _write(folder, read(folder) | {key: measured if isinstance(measured, dict) else asdict(measured)})


def drop(folder: Path, key: str) -> None:
    """Remove `key` from the artefact's evidence, because it is no longer valid."""
    evidence = read(folder)
    if evidence.pop(key, None) is not None:
        _write(folder, evidence)


def _write(folder: Path, evidence: dict[str, Any]) -> None:
    write_text(folder / EVIDENCE, json.dumps(evidence, indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """Return the evidence in `folder`; empty if there is none."""
    try:
        evidence = read_json(folder / EVIDENCE)
    except (OSError, ValueError):
        return {}
    return evidence if isinstance(evidence, dict) else {}
