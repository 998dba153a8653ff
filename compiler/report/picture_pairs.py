"""Sample pictures of a report: what the original and the artefact find in them, side by side."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from edgec.artefact.manifest import Manifest
from edgec.artefact.measured import Measured
from edgec.report import charts
from edgec.report.findings import Answer, Findings


class Answers(BaseModel):
    """What the artefact finds in the pictures of the report."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    where: str
    answers: tuple[Answer, ...]


class Reported(Measured):
    """The evidence that a report shows."""

    pictures: Answers | None = None


def pictures(findings: Findings, measured: Reported) -> list[dict[str, Any]]:
    """Return a row for each sample picture, with what the original and the artefact find in it."""
    said = measured.pictures.answers if measured.pictures else ()
    told = [each for picture in findings.pictures for each in (picture.original, picture.compressed)]
    told += said
    classes = sorted({box.label for each in told for box in each.boxes})
    rows = []
    for number, picture in enumerate(findings.pictures):
        artefact = said[number] if number < len(said) else picture.compressed
        sides = [
            {
                "who": who,
                "overlay": charts.overlay(answer, picture.size, classes),
                "count": _objects(answer) if not answer.text else "",
                "text": answer.text,
            }
            for who, answer in (("original", picture.original), ("artefact" if said else "compressed", artefact))
        ]
        truth = "" if picture.truth is None else picture.truth.text or _objects(picture.truth)
        width, height = picture.size
        rows.append(
            {"name": picture.name, "png": picture.png, "width": width, "height": height, "truth": truth, "sides": sides}
        )
    return rows


def pictures_note(manifest: Manifest, measured: Reported) -> str:
    """Return where the results come from."""
    found, shown = manifest.compression, measured.pictures
    where = f"artefact ({shown.where})" if shown else "compressed network (in ONNX Runtime, not on the board)"
    which = "held-out samples" if found is not None and found.held_out else "samples"
    return f"Left: results of the original; right: those of the {where}; {which} taken at even distances."


def _objects(answer: Answer) -> str:
    count = len(answer.boxes)
    return f"{count} object{'' if count == 1 else 's'}"
