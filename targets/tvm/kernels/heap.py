"""A binary heap of the indices of a row, as statements that kernels include."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

Before = Callable[[Any, Any, Any, Any], Any]
"""Takes a buffer [rows, n], a row and two indices; returns whether the first comes before the second (strict order)."""


def falling(x: Any, row: Any, i: Any, j: Any) -> Any:
    """Order by descending value; equal elements keep their order."""
    a, b = x[row, i], x[row, j]
    return tirx.any(a > b, tirx.all(a == b, i < j))


def rising(x: Any, row: Any, i: Any, j: Any) -> Any:
    """Order by ascending value; equal elements keep their order."""
    a, b = x[row, i], x[row, j]
    return tirx.any(a < b, tirx.all(a == b, i < j))


def reversed_order(before: Before) -> Before:
    """Return the reversed order."""
    return lambda x, row, i, j: before(x, row, j, i)


def sifting(before: Before) -> Any:
    """Return the statements `sift(heap, x, row, at, child, moving, start, size)`.

    They move the index at `start` of heap[row, :size] down until none of its children comes first. `at`, `child` and
    `moving` are int32 buffers of one element: declared inside loops, they would take more stack in every iteration.
    """

    @T.inline
    def sift(heap, x, row, at, child, moving, start, size):  # type: ignore[no-untyped-def]
        at[0] = start
        moving[0] = heap[row, start]
        child[0] = 2 * at[0] + 1
        while child[0] < size:
            if child[0] + 1 < size:  # noqa: SIM102 (an `and` would compare with the child that is not there, too)
                if before(x, row, heap[row, child[0] + 1], heap[row, child[0]]):
                    child[0] = child[0] + 1
            if before(x, row, heap[row, child[0]], moving[0]):
                heap[row, at[0]] = heap[row, child[0]]
                at[0] = child[0]
                child[0] = 2 * at[0] + 1
            else:
                child[0] = size
        heap[row, at[0]] = moving[0]

    return sift
