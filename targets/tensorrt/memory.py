"""Memory on the board: what the builder may use as workspace, what building takes, what cannot fit."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import constant
from edgec.model.serialize import weight_bytes
from edgec.targets.board import Board

LIBRARIES_MIB = 700
"""CUDA context, cuDNN and cuBLAS once loaded; about this much was seen on a Nano (wang-xinyu/tensorrtx issue 1145)."""
WEIGHT_COPIES = 4
"""The parser's, the builder's in two layouts, the engine's."""
SYSTEM_SHARE = 0.125
"""Of the memory that CPU and GPU share, taken by the system without a desktop."""


def workspace_mib(board: Board) -> int:
    """Return the workspace limit: an eighth of the memory (the system needs it too), within 256 and 2048 MiB.

    It must always be set: TensorRT 8.2 takes 0 by default, and finds no kernels; later ones take all there is.
    """
    return max(256, min(2048, board.memory_mib // 8))


def needed_mib(board: Board, model: ir.Model, batches: float = 1) -> int:
    """Return about how much free memory a build wants, in MiB: libraries, workspace, weights, activations.

    Args:
        board: Its memory decides on the workspace.
        model: Static.
        batches: How many times the model's own batch it is built for.
    """
    weights = WEIGHT_COPIES * (weight_bytes(model) >> 20)
    return workspace_mib(board) + LIBRARIES_MIB + weights + (int(batches * activation_bytes(model)) >> 20)


def activation_bytes(model: ir.Model) -> int:
    """Return the most bytes of activations that are alive at once, nodes run in the order of the graph."""
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
    """Check that the network can be built in the board's memory; see `needed_mib`.

    Raises:
        UnsupportedModel: It cannot; says what takes how much.
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
