"""`Atoms`: what the channels of all tensors are made of, and which of them can only be removed together."""

from __future__ import annotations

from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]

FIXED = 0
"""The atom of every index that is no channel of a layer: batch, positions, inputs."""


class Atoms:
    """A union-find over channels; a class of atoms is removed as a whole, or is fixed and then never removed.

    Every index along every axis of every tensor has an atom: two indices of one class are removed together.
    """

    def __init__(self) -> None:
        self._parent: list[int] = [FIXED]
        self._reason: dict[int, str] = {FIXED: "they are not made by a layer with constant weights"}

    def fresh(self, count: int) -> Ids:
        """Return `count` new atoms, each a class of its own."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def root(self, atom: int) -> int:
        """Return the representative of the atom's class."""
        parent = self._parent
        while parent[atom] != atom:
            parent[atom] = parent[parent[atom]]
            atom = parent[atom]
        return atom

    def roots(self, ids: Ids) -> Ids:
        """Return the representatives of atoms, same shape."""
        unique, places = np.unique(ids, return_inverse=True)
        found = np.array([self.root(int(atom)) for atom in unique], np.int64)
        return found[places].reshape(ids.shape)

    def unify(self, first: Ids, second: Ids, reason: str) -> None:
        """Tie atoms pairwise (arrays of one shape); where one of a pair is fixed, fix the other for `reason`."""
        differ = first != second
        for a, b in zip(first[differ].tolist(), second[differ].tolist(), strict=True):
            self._tie(a, b, reason)

    def unify_rows(self, rows: Ids, reason: str) -> Ids:
        """Tie all atoms of each row of `rows` [n, m]; return one atom for each row, [n]."""
        first = np.broadcast_to(rows[:, :1], rows.shape)
        other = rows != first
        pairs = np.unique(np.stack([first[other], rows[other]]), axis=1)
        self.unify(pairs[0], pairs[1], reason)
        return rows[:, 0]

    def fix(self, ids: Ids, reason: str) -> None:
        """Keep atoms from being removed, because of `reason`; the first reason given stays."""
        for atom in np.unique(ids).tolist():
            self._reason.setdefault(self.root(atom), reason)

    def reason(self, atom: int) -> str | None:
        """Return why the atom must not be removed, or None if it may."""
        return self._reason.get(self.root(atom))

    def fixed(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which atoms must not be removed, same shape."""
        unique, places = np.unique(ids, return_inverse=True)
        found = np.array([self.root(int(atom)) in self._reason for atom in unique], bool)
        return found[places].reshape(ids.shape)

    def _tie(self, a: int, b: int, reason: str) -> None:
        a, b = self.root(a), self.root(b)
        if a == b:
            return
        if FIXED in (a, b):  # all fixed indices share this atom: to join it would tie what has nothing in common
            self._reason.setdefault(a or b, reason)
            return
        self._parent[b] = a
        if b in self._reason:
            self._reason.setdefault(a, self._reason[b])
