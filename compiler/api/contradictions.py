"""Refuses settings of a compilation that contradict its board or its model, before any long work."""

from __future__ import annotations

import onnx_ir as ir

from edgec.artefact.signature import check_key
from edgec.compress.settings import check_quantization
from edgec.data.source import check_exists
from edgec.errors import BadOption
from edgec.model.graph import is_quantized
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.targets.board import Board


def check_options(settings: CompileOptions, board: Board, profile: Profile) -> None:
    """Raise an error for settings that the board does not support, and for files of settings that do not exist.

    Args:
        settings: As `implied_options` returns them.
        board: Record of the board.
        profile: Profile of the board, from its back end.

    Raises:
        BadOption: There is such a setting; the message names the first one.
    """
    check_exists(settings.measuring.data)
    precision = settings.precision
    if precision not in profile.precisions:
        reason = profile.refused.get(precision, "its board record does not offer it")
        offered = ", ".join(profile.precisions)
        raise BadOption(
            f"precision {precision} is not available on {board.name}: {reason}", remedy=f"It has: {offered}."
        )
    check_quantization(settings, profile)
    if settings.sign is not None:
        check_key(settings.sign)
    if settings.batch is not None and not profile.dynamic_batch:
        raise BadOption(
            f"{board.name} does not support a batch that varies: it is built for one size", remedy="Give one size."
        )
    if settings.nms and not profile.bounded_sizes:
        remedy = "Leave --nms out: edgec-detect and edgec.load suppress boxes after the network has run."
        raise BadOption(f"--nms is not available on {board.name}: it is for CPU boards", remedy=remedy)
    if settings.nms and settings.batch is not None:
        raise BadOption("--nms is for one picture at a time, but the batch varies", remedy="Give one batch size of 1.")
    if settings.tuned is not None and not profile.tunable:
        remedy = "Leave --tuned out: TensorRT measures its own choices when it builds on the board."
        raise BadOption(
            f"--tuned {settings.tuned} cannot be used on {board.name}: only CPU boards are tuned", remedy=remedy
        )
    if settings.tuned is not None and not settings.tuned.is_file():
        raise BadOption(f"--tuned {settings.tuned}: no such file", remedy="Give a database of `edgec tune`.")


def check_integers(model: ir.Model, settings: CompileOptions) -> None:
    """Raise BadOption if int8 is asked for a model in float, and there is no data for calibrating it."""
    if settings.precision == "int8" and settings.measuring.data is None and not is_quantized(model):
        problem = "precision int8: the model is in float, and there are no pictures for calibrating it"
        raise BadOption(problem, remedy="Give --data, or a model with QuantizeLinear nodes.")
