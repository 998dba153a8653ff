"""`check`: the findings of a board's back end for every node of a model, before anything is compiled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edgec.api.opened import Shapes, open_target
from edgec.errors import UnsupportedModel
from edgec.model.load import Source, load
from edgec.model.shapes import fix_shapes
from edgec.options import compile_options
from edgec.passes import pipeline
from edgec.progress import Listener
from edgec.record import Record
from edgec.targets.base import Finding
from edgec.targets.board import Board


@dataclass(frozen=True, repr=False)
class Legality:
    """Findings of a back end: one per node, after those that concern the whole model."""

    model: str
    board: Board
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the model can be compiled for the board."""
        return not self.counts["refused"]

    @property
    def counts(self) -> Counter[str]:
        """Number of findings for each verdict."""
        return Counter(finding.verdict for finding in self.findings)

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.counts[verdict]} {verdict}" for verdict in ("supported", "rewritten", "refused"))
        return f"<Legality: {self.model} on {self.board.name}, {counts}>"


def check(model: Source, *, target: str, shapes: Shapes | None = None, progress: Listener | None = None) -> Legality:
    """Check every node of `model`, as the passes leave it, against the back end of a board.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        target: Board name, or path of a board file.
        shapes: Shape of each input that the model leaves open.
        progress: Called with each stage when it begins.

    Raises:
        EdgecError: The model cannot be read, the target is unknown, or a shape is missing.
    """
    options = compile_options({"target": target, "shapes": dict(shapes or {})})
    board, back_end, profile = open_target(target)
    record = Record(progress or (lambda stage: None))
    with record.stage("load"):
        source = load(model)
        fixed = fix_shapes(source.model, options.shapes)
    try:
        canonical = pipeline.run(fixed, profile=profile, options=options, record=record)
        with record.stage("check"):
            findings = back_end.check(canonical, board)
    except UnsupportedModel as error:
        findings = (Finding("", "", "refused", error.problem, error.remedy or ""),)
    return Legality(source.name, board, findings)
