"""Outputs behind TopK and NonMaxSuppression: found from the graph, and compared as sets of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgec.reference.compare import compare
from edgec.reference.ranked import ranked_outputs
from edgec.reference.rows import Rows, aligned
from tests.support.models import model

Arrays = dict[str, np.ndarray[Any, Any]]

GRAPHS = {
    "the ranking itself": (
        "g (float[1, 30] s) => (float[1, 5] v, int64[1, 5] i) <int64[1] k = {5}> { v, i = TopK (s, k) }",
        {"v": 1, "i": 1},
    ),
    "boxes and classes of the best": (
        "g (float[1, 30] s, float[1, 30, 4] b, float[1, 30, 8] c)"
        " => (float[1, 5, 4] boxes, int64[1, 5] classes, float[1, 5] scores, float[1, 30] raw)"
        " <int64[1] k = {5}, int64[1] last = {2}, int64[3] four = {1, 1, 4}, int64[3] eight = {1, 1, 8}> {"
        " scores, i = TopK (s, k)  j = Unsqueeze (i, last)  jb = Tile (j, four)"
        " boxes = GatherElements <axis = 1> (b, jb)"
        " jc = Tile (j, eight)  cc = GatherElements <axis = 1> (c, jc)  d = Sigmoid (cc)"
        " classes = ArgMax <axis = 2, keepdims = 0> (d)  raw = Sigmoid (s) }",
        {"boxes": 1, "classes": 1, "scores": 1},
    ),
    "one table": (
        "g (float[1, 30] s, float[30, 4] b) => (float[1, 5, 5] y)"
        " <int64[1] k = {5}, int64[1] last = {2}, int64[1] five = {5}> {"
        " v, i = TopK (s, k)  r = Reshape (i, five)  g = Gather <axis = 0> (b, r)  f = Unsqueeze (g, zero)"
        " h = Unsqueeze (v, last)  y = Concat <axis = 2> (f, h) }",
        {"y": 1},
    ),
    "queries that see one another": (
        "g (float[1, 30] s, float[1, 30, 8] x) => (float[1, 5, 3] y, float[1, 3] whole)"
        " <int64[1] k = {5}, int64[1] last = {2}, int64[3] eight = {1, 1, 8}, int64[1] one = {1}> {"
        " v, i = TopK (s, k)  j = Unsqueeze (i, last)  jj = Tile (j, eight)  q = GatherElements <axis = 1> (x, jj)"
        " t = Transpose <perm = [0, 2, 1]> (q)  a = MatMul (q, t)  p = Softmax (a)  o = MatMul (p, q)"
        " y = MatMul (o, w)"
        " whole = ReduceMean <keepdims = 0> (y, one) }",
        {"y": 1},
    ),
    "suppressed": (
        "g (float[1, 9, 4] b, float[1, 2, 9] s) => (float[N, 4] boxes)"
        " <int64 few = {5}, float half = {0.5}, int64[1] box = {2}, int64[1] end = {3}, int64[1] axis = {1}> {"
        " n = NonMaxSuppression (b, s, few, half)  c = Slice (n, box, end, axis)  i = Squeeze (c, axis)"
        " p = Squeeze (b, zero)  boxes = Gather <axis = 0> (p, i) }",
        {"boxes": 0},
    ),
    "regions cut out": (
        "g (float[1, 3, 8, 8] x, float[1, 30] s, float[30, 4] b) => (float[5, 2, 2, 2] y)"
        " <int64[1] k = {5}, int64[1] five = {5}, int64[5] batch = {0, 0, 0, 0, 0}> {"
        " v, i = TopK (s, k)  r = Reshape (i, five)  g = Gather <axis = 0> (b, r)"
        " c = RoiAlign <output_height = 2, output_width = 2> (x, g, batch)  y = Conv (c, u) }",
        {"y": 0},
    ),
    "a table of fixed length": (
        "g (float[1, 9, 4] b, float[1, 2, 9] s) => (float[1, 20, 4] y)"
        " <int64 few = {5}, float half = {0.5}, int64[1] box = {2}, int64[1] end = {3}, int64[1] axis = {1},"
        " int64[1] flat = {-1}, int64[2] table = {20, 4}, int64[3] batched = {1, 20, 4}, int64[1, 1] place = {0},"
        " int64[1] begin = {0}, int64[1] eighty = {80}> {"
        " n = NonMaxSuppression (b, s, few, half)  c = Slice (n, box, end, axis)  i = Squeeze (c, axis)"
        " p = Squeeze (b, zero)  r = Gather <axis = 0> (p, i)  l = Reshape (r, flat)  size = Shape (l)"
        " lack = Sub (eighty, size)  pads = Concat <axis = 0> (begin, lack)  q = Pad (l, pads)"
        " t = Reshape (q, table)  rows = Reshape (t, batched)  empty = ConstantOfShape (batched)"
        " y = ScatterND (empty, place, rows) }",
        {"y": 1},
    ),
    "rows scattered back": (
        "g (float[30] s, float[30, 4] b) => (float[30, 4] y) <int64[1] k = {5}, int64[1] last = {1}> {"
        " v, i = TopK (s, k)  g = Gather <axis = 0> (b, i)  j = Unsqueeze (i, last)  y = ScatterND (b, j, g) }",
        {},
    ),
}
WEIGHTS = {
    "w": np.ones((8, 3), np.float32),
    "u": np.ones((2, 3, 1, 1), np.float32),
    "zero": np.zeros(1, np.int64),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_ranked_outputs_are_found(case: str) -> None:
    text, expected = GRAPHS[case]
    used = {name: array for name, array in WEIGHTS.items() if f"{name})" in text}
    found = ranked_outputs(model(text, used, opset=18))
    assert {name: rows.axis for name, rows in found.items()} == expected
    assert len({rows.ranking for rows in found.values()}) == bool(expected)


def detections(count: int = 40) -> Arrays:
    """Boxes, classes and falling scores, all within [0, 1]."""
    rng = np.random.default_rng(0)
    scores = np.sort(rng.uniform(0.1, 1, (1, count)).astype(np.float32))[:, ::-1].copy()
    return {
        "boxes": rng.uniform(0, 1, (1, count, 4)).astype(np.float32),
        "classes": rng.integers(0, 80, (1, count)),
        "scores": scores,
    }


ROWS = {"boxes": Rows("top", 1), "classes": Rows("top", 1), "scores": Rows("top", 1)}


def reordered(arrays: Arrays, order: list[int]) -> Arrays:
    return {name: array[:, order] for name, array in arrays.items()}


def tied(first: int, second: int) -> Arrays:
    expected = detections()
    expected["scores"][0, second] = expected["scores"][0, first] - 1e-7
    expected["scores"] = np.sort(expected["scores"])[:, ::-1].copy()
    return expected


def test_rows_that_nearly_tie_may_swap() -> None:
    expected = tied(7, 8)
    order = list(range(40))
    order[7], order[8] = 8, 7
    actual = reordered(expected, order)
    assert not compare(expected, actual).within(1e-4)
    assert compare(expected, aligned(expected, actual, ROWS)).within(1e-4)


def test_others_may_not() -> None:
    expected = detections()
    for order in (list(range(40))[::-1], [*range(20), 30, *range(21, 30), 20, *range(31, 40)]):
        actual = reordered(expected, order)
        assert not compare(expected, aligned(expected, actual, ROWS)).within(1e-2)


def test_outputs_of_one_ranking_swap_together() -> None:
    expected = tied(7, 8)
    actual = {name: array.copy() for name, array in expected.items()}
    actual["boxes"][0, [7, 8]] = actual["boxes"][0, [8, 7]]  # but not the classes
    assert not compare(expected, aligned(expected, actual, ROWS)).within(1e-2)


def test_a_wrong_row_stays_wrong() -> None:
    expected = detections()
    actual = {name: array.copy() for name, array in expected.items()}
    actual["boxes"][0, 11] += 0.2
    assert not compare(expected, aligned(expected, actual, ROWS)).within(1e-2)


def test_what_is_cut_off_at_the_end_is_no_matter() -> None:
    expected = detections()
    expected["scores"][0, -2:] = 0.1
    actual = {name: array.copy() for name, array in expected.items()}
    actual["boxes"][0, -1] = 0.5
    actual["classes"][0, -1] = 79
    assert compare(expected, aligned(expected, actual, ROWS)).within(1e-4)
    actual["boxes"][0, -6:] = 0.5
    assert not compare(expected, aligned(expected, actual, ROWS)).within(1e-2)


def test_without_scores_rows_are_a_set() -> None:
    expected = {"boxes": detections()["boxes"]}
    actual = reordered(expected, list(np.random.default_rng(1).permutation(40)))
    assert compare(expected, aligned(expected, actual, {"boxes": ROWS["boxes"]})).within(0)


def test_shapes_that_differ_are_left_to_the_comparison() -> None:
    expected = detections()
    assert aligned(expected, {"boxes": expected["boxes"][:, :3]}, ROWS)["boxes"].shape == (1, 3, 4)
