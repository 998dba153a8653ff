"""`check_model`: what a board's back end says of every node of a model, before anything is compiled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from edgec import registry
from edgec.errors import UnsupportedModel
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import compile_options
from edgec.passes import pipeline
from edgec.record import Record
from edgec.targets.base import Finding, Target
from edgec.targets.board import Board, load_board


@dataclass(frozen=True)
class Legality:
    """What `board` makes of the model: one finding a node, what concerns the whole model first."""

    model: str
    board: Board
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the model can be compiled for the board."""
        return not self.counts["refused"]

    @property
    def counts(self) -> Counter[str]:
        """Findings by verdict."""
        return Counter(finding.verdict for finding in self.findings)


def check_model(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto | ir.Model,
    *,
    target: str,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Legality:
    """Ask the back end of a board about every node of `model` as the passes leave it.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        target: Board name, or path of a board file.
        shapes: Shape of each input that the model leaves open.

    Raises:
        EdgecError: The model cannot be read, the target is unknown, a shape is missing.
    """
    options = compile_options({"target": target, "shapes": dict(shapes or {})})
    board = load_board(target)
    back_end: Target = registry.load("targets", board.backend)()
    source = load(model)
    fixed = fix_shapes(source.model, options.shapes)
    try:
        canonical = pipeline.run(fixed, profile=back_end.profile(board), options=options, record=Record())
        findings = back_end.check(canonical, board)
    except UnsupportedModel as error:
        findings = (Finding("", "", "refused", error.problem, error.remedy or ""),)
    return Legality(source.name, board, findings)
