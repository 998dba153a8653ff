"""Plane geometry of binary maps: connected regions, convex hull, rectangle of smallest area."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def regions(mask: Array) -> list[tuple[Array, Array]]:
    """Return the 8-connected regions of a bool [h, w] map as (rows, columns) of cells, upper regions first.

    For each row of a region only the ends of its runs are returned: they have the same convex hull.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]  # one after the last cell, in the same order as the starts
    parent = list(range(len(rows)))
    first = np.searchsorted(rows, np.arange(len(mask) + 1))
    for row in range(1, len(mask)):
        _join(parent, range(first[row - 1], first[row]), range(first[row], first[row + 1]), starts, stops)
    members: dict[int, list[int]] = defaultdict(list)
    for run in range(len(rows)):
        members[_root(parent, run)].append(run)
    return [
        (np.concatenate([rows[runs], rows[runs]]), np.concatenate([starts[runs], stops[runs] - 1]))
        for runs in (np.array(group) for group in members.values())
    ]


def hull(points: Array) -> Array:
    """Return the corners [m, 2] of the convex hull of integer points [n, 2], in order (Andrew's monotone chain)."""
    ordered = [(int(x), int(y)) for x, y in np.unique(points, axis=0)]
    if len(ordered) < 3:
        return np.array(ordered, np.float64)
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1], np.float64)


def smallest_rectangle(corners: Array) -> Array:
    """Return the corners [4, 2], in circular order, of the rectangle of smallest area around a convex polygon [m, 2].

    One of its sides lies along a side of the polygon (Freeman and Shapira, 1975), so those directions are tried.
    """
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.linalg.norm(sides, axis=1)
    directions = sides[lengths > 0] / lengths[lengths > 0, None] if lengths.any() else np.array([[1.0, 0.0]])
    normals = np.stack([-directions[:, 1], directions[:, 0]], axis=1)
    along, across = corners @ directions.T, corners @ normals.T
    areas = np.ptp(along, axis=0) * np.ptp(across, axis=0)
    best = int(np.argmin(areas))
    u, v = directions[best], normals[best]
    low, high = (along[:, best].min(), across[:, best].min()), (along[:, best].max(), across[:, best].max())
    ends = ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]))
    return np.stack([a * u + b * v for a, b in ends])


def _join(parent: list[int], above: range, here: range, starts: Array, stops: Array) -> None:
    """Unite the runs of two neighbouring rows that touch, corners included; both are sorted."""
    i, j = above.start, here.start
    while i < above.stop and j < here.stop:
        if starts[i] <= stops[j] and starts[j] <= stops[i]:
            a, b = _root(parent, i), _root(parent, j)
            parent[max(a, b)] = min(a, b)
        if stops[i] < stops[j]:
            i += 1
        else:
            j += 1


def _root(parent: list[int], run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


def _chain(ordered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    chain: list[tuple[int, int]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            chain.pop()
        chain.append((x, y))
    return chain
