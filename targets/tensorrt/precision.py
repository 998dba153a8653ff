"""Refuses precisions on the host for which TensorRT would silently build something else."""

from __future__ import annotations

import onnx_ir as ir

from edgec.errors import BadOption, UnsupportedModel
from edgec.model.traits import QUANTIZERS
from edgec.options import Precision
from edgec.targets.board import Board


def check_precision(model: ir.Model, precision: Precision, board: Board) -> None:
    """Check that `board` has `precision`, and that the model is quantized if and only if it is int8.

    Raises:
        BadOption: The board lacks the precision, or int8 is asked for a model that is not quantized.
        UnsupportedModel: The model is quantized, but the board lacks int8 or another precision is asked for.
    """
    quantized = quantized_node(model)
    if precision not in board.precisions:
        raise BadOption(
            f"precision {precision} on {board.name}: {why_no_int8(board)}", remedy="Compile with --precision fp16."
        )
    if quantized is not None and precision != "int8":
        raise UnsupportedModel(
            f"{quantized.op_type} node {quantized.name!r}: a quantized network cannot be built as {precision}",
            remedy="Compile with --precision int8, or the model from before its quantization.",
        )
    if quantized is None and precision == "int8":
        raise BadOption(
            f"precision int8 on {board.name}: the model has no QuantizeLinear, so TensorRT would build it as fp16",
            remedy="Quantize the model first, or compile with --precision fp16.",
        )


def quantized_node(model: ir.Model) -> ir.Node | None:
    """Return the first QuantizeLinear or DequantizeLinear, or None if the model is not quantized."""
    return next((node for node in model.graph.all_nodes() if node.op_type in QUANTIZERS), None)


def why_no_int8(board: Board) -> str:
    """Return the reason why a board without int8 has none."""
    if board.gpu is None:
        return "the board's record does not list it"
    return f"{board.gpu.architecture} sm_{board.gpu.sm} has no INT8 instructions; TensorRT would silently use FP32"
