"""Memory on the board: workspace of the builder, need of a build, and networks that cannot fit."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import constant
from edgec.model.serialize import weight_bytes
from edgec.targets.board import Board

LIBRARIES_MIB = 700
"""CUDA context, cuDNN and cuBLAS when loaded; about this much was seen on a Nano (wang-xinyu/tensorrtx issue 1145)."""
WEIGHT_COPIES = 4
"""Number of copies of the weights: the parser's, the builder's in two layouts, the engine's."""
SYSTEM_SHARE = 0.125
"""Fraction of the memory shared by CPU and GPU that the system takes without a desktop."""


def workspace_mib(board: Board) -> int:
    """Return the workspace limit: an eighth of the memory (the system needs it too), between 256 and 2048 MiB.

    It must always be set: TensorRT 8.2 uses 0 by default, and finds no kernels; later versions use all the memory.
    """
    return max(256, min(2048, board.memory_mib // 8))


def needed_mib(board: Board, model: ir.Model, batches: float = 1) -> int:
    """Return the approximate free memory that a build needs, in MiB: libraries, workspace, weights, activations.

    Args:
        board: Board, whose memory determines the workspace.
        model: Model with static shapes.
        batches: Batch size of the build as a multiple of the model's own.
    """
    weights = WEIGHT_COPIES * (weight_bytes(model) >> 20)
    return workspace_mib(board) + LIBRARIES_MIB + weights + (int(batches * activation_bytes(model)) >> 20)


def activation_bytes(model: ir.Model) -> int:
    """Return the maximum number of bytes of activations that are alive at once, with nodes run in graph order."""
    readers = Counter(value for node in model.graph for value in node.inputs if value is not None)
    readers.update(model.graph.outputs)
    alive = most = sum(map(_bytes, model.graph.inputs))
    for node in model.graph:
        alive += sum(map(_bytes, node.outputs))
        most = max(most, alive)
        for value in (*node.inputs, *node.outputs):
            if value is None or constant(value) is not None:
                continue
            readers[value] -= value in node.inputs
            if readers[value] == 0:
                alive -= _bytes(value)
    return most


def refuse_too_large(board: Board, model: ir.Model, batches: float = 1) -> None:
    """Raise an error if the network cannot be built in the board's memory; see `needed_mib`.

    Raises:
        UnsupportedModel: It does not fit; the message says how much each part takes.
    """
    free = round(board.memory_mib * (1 - SYSTEM_SHARE))
    needed = needed_mib(board, model, batches)
    if needed <= free:
        return
    weights, activations = weight_bytes(model) >> 20, int(batches * activation_bytes(model)) >> 20
    raise UnsupportedModel(
        f"building takes about {needed} MiB ({weights} MiB of weights {WEIGHT_COPIES} times, {activations} MiB of "
        f"activations, workspace, libraries); {board.name} has about {free} MiB free",
        remedy="Give a smaller --shape, prune the network, or choose a board with more memory.",
    )


def _bytes(value: ir.Value) -> int:
    if value.shape is None or value.dtype is None or not value.shape.is_static() or constant(value) is not None:
        return 0
    size = value.dtype.itemsize
    for dim in value.shape.numpy():
        size *= dim
    return int(size)
