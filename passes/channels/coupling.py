"""`Coupling`: which channels can only be removed together, and which must stay."""

from __future__ import annotations

from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]

FIXED = 0
"""Id of every index that is not a channel of a layer: batch, positions, inputs."""


class Coupling:
    """Disjoint sets (union-find) of channels: a set is removed as a whole, or is fixed and never removed.

    Every index along every axis of every tensor has the id of a channel. Ids in one set are coupled.
    """

    def __init__(self) -> None:
        self._parent: list[int] = [FIXED]
        self._reason: dict[int, str] = {FIXED: "they are not made by a layer with constant weights"}

    def new(self, count: int) -> Ids:
        """Return `count` new ids, each in a set of its own."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, channel: int) -> int:
        """Return the id that represents the set of `channel`."""
        parent = self._parent
        while parent[channel] != channel:
            parent[channel] = parent[parent[channel]]
            channel = parent[channel]
        return channel

    def roots(self, ids: Ids) -> Ids:
        """Return the ids that represent the sets of `ids`, with the same shape."""
        unique, places = np.unique(ids, return_inverse=True)
        found = np.array([self.root(int(channel)) for channel in unique], np.int64)
        return found[places].reshape(ids.shape)

    def tie(self, first: Ids, second: Ids, reason: str) -> None:
        """Couple ids pairwise (arrays of one shape); if one of a pair is fixed, fix the other one for `reason`."""
        differ = first != second
        for a, b in zip(first[differ].tolist(), second[differ].tolist(), strict=True):
            self._tie(a, b, reason)

    def tie_rows(self, rows: Ids, reason: str) -> Ids:
        """Couple all ids of each row of `rows` [n, m]; return one id per row, [n]."""
        first = np.broadcast_to(rows[:, :1], rows.shape)
        other = rows != first
        pairs = np.unique(np.stack([first[other], rows[other]]), axis=1)
        self.tie(pairs[0], pairs[1], reason)
        return rows[:, 0]

    def fix(self, ids: Ids, reason: str) -> None:
        """Keep channels from being removed for `reason`; the first reason given stays."""
        for channel in np.unique(ids).tolist():
            self._reason.setdefault(self.root(channel), reason)

    def reason(self, channel: int) -> str | None:
        """Return the reason why a channel must not be removed, or None if it may."""
        return self._reason.get(self.root(channel))

    def fixed(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which channels must not be removed, with the same shape."""
        unique, places = np.unique(ids, return_inverse=True)
        found = np.array([self.root(int(channel)) in self._reason for channel in unique], bool)
        return found[places].reshape(ids.shape)

    def _tie(self, a: int, b: int, reason: str) -> None:
        a, b = self.root(a), self.root(b)
        if a == b:
            return
        if FIXED in (a, b):  # all fixed indices share this id: joining its set would couple unrelated channels
            self._reason.setdefault(a or b, reason)
            return
        self._parent[b] = a
        if b in self._reason:
            self._reason.setdefault(a, self._reason[b])
