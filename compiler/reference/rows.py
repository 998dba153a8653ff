"""Rows in the order of a ranking: two nearly equal scores may swap them, and neither order is wrong.

`aligned` brings rows into the order of the reference before they are compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

SAME = 1e-3
"""Distance of two rows, relative to the range of each output, below which they are the same row."""
APART = 5e-2
"""Distance from which on two rows are certainly different."""
TIE = 1e-2
"""Difference of two scores, relative to their range, below which their rows may be swapped."""
AT_THE_END = 0.02
"""Fraction of the rows that may be other ones than the reference's, if they tie with the last row before the cut."""
FEATURES = 64
"""Number of elements per row and output by which rows are identified."""


class Rows(NamedTuple):
    """Rows of an output: the ranking that orders them, and their axis."""

    ranking: str
    axis: int


def aligned(expected: Mapping[str, Array], actual: Mapping[str, Array], rows: Mapping[str, Rows]) -> dict[str, Array]:
    """Return `actual` with the rows of ranked outputs in the order of `expected`, outputs of one ranking together.

    Scores are columns in which the expected rows descend; if there are any, only rows that tie in one may be swapped.
    A few rows that tie with the last one may differ, because it is arbitrary which of them are cut off.
    """
    result = dict(actual)
    for ranking in dict.fromkeys(each.ranking for each in rows.values()):
        names = [name for name, each in rows.items() if each.ranking == ranking and name in expected]
        fits = all(name in actual and actual[name].shape == expected[name].shape for name in names)
        if fits and any(not np.array_equal(actual[name], expected[name]) for name in names):
            _align(result, {name: expected[name] for name in names}, rows)
    return result


def _align(result: dict[str, Array], expected: Mapping[str, Array], rows: Mapping[str, Rows]) -> None:
    wanted = {name: _as_rows(array, rows[name].axis) for name, array in expected.items()}
    given = {name: _as_rows(result[name], rows[name].axis) for name in expected}
    forms = {array.shape[:2] for array in wanted.values()}
    if len(forms) != 1:
        return
    ((batches, _),) = forms
    new = {name: array.copy() for name, array in given.items()}
    for batch in range(batches):
        e, a = ({name: array[batch] for name, array in each.items()} for each in (wanted, given))
        order, others = _order(e, a)
        for name in expected:
            new[name][batch] = a[name][order]
            new[name][batch][others] = e[name][others]
    result |= {name: array.reshape(result[name].shape) for name, array in new.items()}


def _as_rows(array: Array, axis: int) -> Array:
    """Return `array` as [elements before the rows, rows, elements of a row]."""
    return array.reshape(math.prod(array.shape[:axis]), array.shape[axis], -1)


def _order(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the index of the actual row for each expected one, and the rows that may differ."""
    e, a = _features(expected, expected), _features(actual, expected)
    order, scores = np.arange(len(e)), _scores(expected)
    (left,) = np.nonzero(np.abs(e - a).max(axis=1, initial=0) > SAME)
    if not len(left):
        return order, left
    distance = np.stack([np.abs(e[row] - a[left]).max(axis=1, initial=0) for row in left])
    column = _assigned(distance)
    ties = _tie(scores, left, left[column])
    order[left[ties]] = left[column[ties]]
    lost = left[(distance[np.arange(len(left)), column] > APART)]
    at_the_end = lost[_tie(scores, lost, np.full(len(lost), len(e) - 1))] if scores.shape[1] else lost[:0]
    return order, at_the_end if len(at_the_end) <= max(1, AT_THE_END * len(e)) else lost[:0]


def _assigned(distance: Array) -> Array:
    """Return a column for each row, each column at most once: the nearest pairs first."""
    found, taken = np.full(len(distance), -1), np.zeros(len(distance), bool)
    for flat in np.argsort(distance, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(distance))
        if found[row] < 0 and not taken[column]:
            found[row], taken[column] = column, True
    return found


def _features(arrays: Mapping[str, Array], expected: Mapping[str, Array]) -> Array:
    """Return some elements of each row, [rows, elements], in units of the range of their output."""
    parts = []
    for name, array in arrays.items():
        wide, known = array.astype(np.float64), np.nan_to_num(expected[name].astype(np.float64))
        scale = float(np.ptp(known)) if known.size else 0.0
        parts.append(np.nan_to_num(wide[:, :: max(1, array.shape[1] // FEATURES)]) / (scale or 1.0))
    return np.concatenate(parts, axis=1)


def _scores(expected: Mapping[str, Array]) -> Array:
    """Return the columns in which the rows descend, [rows, columns], in units of their range."""
    floats = [array.astype(np.float64) for array in expected.values() if array.dtype.kind == "f"]
    if not floats:
        return np.zeros((len(next(iter(expected.values()))), 0))
    columns = np.concatenate(floats, axis=1)
    spread = np.ptp(columns, axis=0)
    falling = (np.diff(columns, axis=0) <= 0).all(axis=0) & (spread > 0)
    return np.asarray(columns[:, falling] / spread[falling])


def _tie(scores: Array, rows: Array, others: Array) -> Array:
    """Return which of `rows` tie with `others`; all of them if there are no scores."""
    if not scores.shape[1]:
        return np.ones(len(rows), bool)
    return np.asarray((np.abs(scores[rows] - scores[others]) <= TIE).any(axis=1))
