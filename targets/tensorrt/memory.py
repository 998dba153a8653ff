"""Memory on the board: how much the builder may use as workspace, and how much building takes in all."""

from __future__ import annotations

from edgec.targets.board import Board

LIBRARIES_MIB = 700
"""CUDA context, cuDNN and cuBLAS once loaded; about this much was seen on a Nano."""
WEIGHT_COPIES = 4
"""The parser's, the builder's in two layouts, the engine's."""


def workspace_mib(board: Board) -> int:
    """Return the workspace limit: an eighth of the memory (the system needs it too), within 256 and 2048 MiB.

    It must always be set: TensorRT 8.2 takes 0 by default, and finds no kernels; later ones take all there is.
    """
    return max(256, min(2048, board.memory_mib // 8))


def needed_mib(board: Board, weight_bytes: int) -> int:
    """Return about how much free memory a build wants, for the warning on the board."""
    return workspace_mib(board) + LIBRARIES_MIB + WEIGHT_COPIES * (weight_bytes >> 20)
