"""Common first steps of the functions: the given model is opened, and the named board is looked up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from edgec import registry
from edgec.model.load import Source, load
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.profile import Profile
from edgec.targets.base import Target
from edgec.targets.board import Board, load_board

Shapes = Mapping[str, tuple[int, ...]]


def open_network(model: Source, shapes: Shapes | None) -> ir.Model:
    """Return `model` with static shapes, in the form in which networks are pruned and quantized.

    Raises:
        EdgecError: It cannot be read, a shape is missing, or it cannot be brought into that form.
    """
    return prepare(fix_shapes(load(model).model, dict(shapes or {})))


def path_of(model: object) -> Path | None:
    """Return the path of the file if the model is given as one; None if it is given in memory."""
    return Path(model) if isinstance(model, (str, os.PathLike)) else None


def open_target(name: str) -> tuple[Board, Target, Profile]:
    """Return the board with this name or file, its back end, and its profile.

    Raises:
        BadOption: There is no such board or back end.
    """
    board = load_board(name)
    back_end: Target = registry.load("targets", board.backend)()
    return board, back_end, back_end.profile(board)
