"""Small networks whose sizes depend on the data, and inputs of which they select nothing, some and everything."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.signature import inputs_of
from tests.support.models import model

Array = np.ndarray[Any, Any]

INPUTS = "float[6, 4] x, float[1, 3, 8, 8] picture"
CONSTANTS = """int64[1] zeroth = {0}, int64[1] first = {1}, int64[1] two = {2}, int64[1] rest = {-1}, int64 zero = {0},
    int64 one = {1}, int64[1] three = {3}, float half = {0.5}, float none = {0}, int64[2] axes = {0, 1},
    int64[1] far = {1000}, int64[2] both = {0, 0}, int64[2] flat = {-1, 12}, int64[2] fours = {-1, 4}"""
SELECTED = """
    p = Slice (x, zeroth, first, first)  flags = Greater (p, half)  n = NonZero (flags)
    i = Gather <axis = 0> (n, zero)  rows = Gather (x, i)"""
"""Rows [n, 4] of `x` whose first element is above a half; `i` are their places."""
BOXES = """
    lo = Slice (x, zeroth, two, first)  hi = Slice (x, two, far, first)  size = Abs (hi)  end = Add (lo, size)
    c = Concat <axis = 1> (lo, end)  boxes = Unsqueeze (c, zeroth)
    s = Slice (x, zeroth, two, first)  t = Transpose (s)  scores = Unsqueeze (t, zeroth)"""
"""Six boxes [1, 6, 4] with scores [1, 2, 6] of two classes."""
MASK_COUNT = "m = ReduceMax <keepdims = 0> (x)  d = Mul (m, steps)  k = Cast <to = 7> (d)"

CASES: dict[str, tuple[str, str]] = {
    "places": (f"{SELECTED}  y = Identity (i)", "int64[n]"),
    "places of all axes": ("flags = Greater (x, half)  y = NonZero (flags)", "int64[2, n]"),
    "rows": (f"{SELECTED}  y = Relu (rows)", "float[n, 4]"),
    "rows and their places": (f"{SELECTED}  y = Relu (rows)  z = Identity (i)", "float[n, 4] y, int64[m] z"),
    "compressed": ("""
        p = Slice (x, zeroth, first, first)  flags = Greater (p, half)  f = Reshape (flags, rest)
        c = Compress <axis = 0> (x, f)  y = Neg (c)""", "float[n, 4]"),
    "compressed flat": ("f = Greater (x, half)  q = Reshape (f, rest)  y = Compress (x, q)", "float[n]"),
    "a layer on rows": (f"{SELECTED}  y = MatMul (rows, w)", "float[n, 5]"),
    "a fully connected layer on rows": (f"{SELECTED}  y = Gemm <transB = 1> (rows, v, b)", "float[n, 5]"),
    "sum of rows": (f"{SELECTED}  y = ReduceSum <keepdims = 0> (rows, zeroth)", "float[4]"),
    "largest of rows": (
        f"{SELECTED}  a = Concat <axis = 0> (rows, x)  y = ReduceMax <axes = [0], keepdims = 0> (a)", "float[4]"
    ),
    "softmax over rows": (f"{SELECTED}  y = Softmax <axis = 0> (rows)", "float[n, 4]"),
    "largest of all rows": (f"{SELECTED}  a = Concat <axis = 0> (rows, x)  y = ArgMax <axis = 0> (a)", "int64[1, 4]"),
    "best rows of all": (f"""{SELECTED}  a = Concat <axis = 0> (rows, x)
        y, z = TopK <axis = 0, largest = 0> (a, three)""", "float[3, 4] y, int64[3, 4] z"),
    "best of every row": (f"{SELECTED}  y, z = TopK (rows, two)", "float[n, 2] y, int64[m, 2] z"),
    "running sum from the end": (f"{SELECTED}  y = CumSum <reverse = 1> (rows, zero)", "float[n, 4]"),
    "mean of rows": (f"""{SELECTED}  a = Concat <axis = 0> (rows, x)
        y = ReduceMean <axes = [0], keepdims = 0> (a)""", "float[4]"),
    "normalized rows": (f"{SELECTED}  y = LayerNormalization <axis = -1> (rows, four_ones)", "float[n, 4]"),
    "rows split": (f"{SELECTED}  y, z = Split <axis = 1> (rows)", "float[n, 2] y, float[m, 2] z"),
    "rows repeated": (f"{SELECTED}  y = Tile (rows, axes2)", "float[n, 4]"),
    "rows of one expanded": (f"""{SELECTED}  q = Shape (rows)  o = Slice (x, zeroth, first, zeroth)
        e = Expand (o, q)  y = Add (e, rows)""", "float[n, 4]"),
    "softmax within rows": (f"{SELECTED}  y = Softmax <axis = 1> (rows)", "float[n, 4]"),
    "running sum": (f"{SELECTED}  y = CumSum (rows, zero)", "float[n, 4]"),
    "rows joined with others": (f"{SELECTED}  y = Concat <axis = 0> (x, rows, x)", "float[n, 4]"),
    "two selections joined": (f"""{SELECTED}  l = Less (p, half)  o = NonZero (l)  j = Gather <axis = 0> (o, zero)
        others = Gather (x, j)  y = Concat <axis = 0> (rows, others)""", "float[n, 4]"),
    "a column for every row": (f"""{SELECTED}  q = Shape (rows)  r = Gather (q, zeroth)
        s = Concat <axis = 0> (r, first)  ones = ConstantOfShape <value = float[1] {{1}}> (s)
        y = Concat <axis = 1> (rows, ones)""", "float[n, 5]"),
    "rows numbered": (f"""{SELECTED}  q = Shape (rows)  r = Gather (q, zero)  g = Range (zero, r, one)
        f = Cast <to = 1> (g)  u = Unsqueeze (f, first)  y = Add (rows, u)""", "float[n, 4]"),
    "pairs of rows": (f"""{SELECTED}  u = Unsqueeze (rows, zeroth)  v1 = Unsqueeze (rows, first)  d = Sub (u, v1)
        y = ReduceSum <keepdims = 0> (d, two)""", "float[n, m]"),
    "rows reshaped": (f"{SELECTED}  q = Concat <axis = 1> (rows, rows, rows)  y = Reshape (q, fours)", "float[n, 4]"),
    "rows flattened": (f"{SELECTED}  f = Reshape (rows, rest)  y = Relu (f)", "float[n]"),
    "rows turned": (f"{SELECTED}  y = Transpose (rows)", "float[4, n]"),
    "rows cut": (f"{SELECTED}  y = Slice (rows, first, far, zeroth)", "float[n, 4]"),
    "rows but the last": (f"{SELECTED}  y = Slice (rows, zeroth, rest, zeroth)", "float[n, 4]"),
    "best of rows": (f"""{SELECTED}  c = Slice (rows, first, two, first)  f = Reshape (c, rest)
        q = Shape (f)  k = Min (q, three)  best, at = TopK (f, k)  y = Gather (rows, at)""", "float[n, 4]"),
    "as many as the data says": (f"{MASK_COUNT}  l = Max (k, zero)  o = Min (l, four)  u = Unsqueeze (o, zeroth)"
        "  y, at = TopK <axis = 0> (x, u)", "float[n, 4]"),
    "a range to what the data says": (
        f"{MASK_COUNT}  l = Max (k, zero)  o = Min (l, four)  y = Range (zero, o, one)", "int64[n]"
    ),
    "a branch that the data chooses": ("""m = ReduceMax <keepdims = 0> (x)  c = Greater (m, half)
        y = If (c) <then_branch = t () => (float[6, 4] a) { a = Relu (x) },
                    else_branch = e () => (float[6, 4] q) { q = Neg (x) }>""", "float[6, 4]"),
    "a branch where nothing was selected": (f"""{SELECTED}  q = Size (rows)  c = Equal (q, zero)
        y = If (c) <then_branch = t () => (float[] a) {{ a = Slice (x, zeroth, first, zeroth) }},
                    else_branch = e () => (float[] o) {{ o = Relu (rows) }}>""", "float[n, 4]"),
    "rows padded to six": (f"""{SELECTED}  q = Shape (rows)  r = Gather (q, zeroth)  l = Sub (six, r)
        lengths = Concat <axis = 0> (zeroth, zeroth, l, zeroth, nothing)  y = Pad (rows, lengths)""", "float[6, 4]"),
    "rows put back": (f"""{SELECTED}  d = Relu (rows)  u = Unsqueeze (i, first)  z = Mul (x, none)
        y = ScatterND (z, u, d)""", "float[6, 4]"),
    "suppressed boxes": (f"{BOXES}  y = NonMaxSuppression (boxes, scores, three, overlap, least)", "int64[n, 3]"),
    "suppressed boxes without a limit": (
        f"{BOXES}  y = NonMaxSuppression (boxes, scores, far, overlap)", "int64[n, 3]"
    ),
    "suppressed boxes by centre": (
        f"{BOXES}  y = NonMaxSuppression <center_point_box = 1> (boxes, scores, three, overlap, least)", "int64[n, 3]"
    ),
    "boxes that were kept": (f"""{BOXES}  k = NonMaxSuppression (boxes, scores, three, overlap, least)
        j = Gather <axis = 1> (k, last)  y = Gather (c, j)""", "float[n, 4]"),
    "regions of a picture": (f"""{SELECTED}  q = Shape (i)  on = Expand (zero, q)
        y = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (picture, rows, on)
        """, "float[n, 3, 2, 2]"),
    "a layer on regions": (f"""{SELECTED}  q = Shape (i)  on = Expand (zero, q)  a = Abs (rows)
        r = RoiAlign <output_height = 4, output_width = 4, spatial_scale = 2.0> (picture, a, on)
        y = Conv <pads = [1, 1, 1, 1]> (r, k3)""", "float[n, 5, 4, 4]"),
    "regions of two scales": (f"""{SELECTED}  g = Greater (rows, half)  e = Slice (g, two, three, first)
        f = Reshape (e, rest)  up = NonZero (f)  down = Not (f)  dn = NonZero (down)
        iu = Squeeze (up, zeroth)  id = Squeeze (dn, zeroth)  ru = Gather (rows, iu)  rd = Gather (rows, id)
        su = Shape (iu)  sd = Shape (id)  ou = Expand (zero, su)  od = Expand (zero, sd)
        au = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 1> (picture, ru, ou)
        ad = RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (picture, rd, od)
        sn = Shape (f)  whole = Concat <axis = 0> (sn, three, two, two)  z = ConstantOfShape (whole)
        pu = Unsqueeze (iu, first)  pd = Unsqueeze (id, first)  y1 = ScatterND (z, pu, au)
        y = ScatterND (y1, pd, ad)""", "float[n, 3, 2, 2]"),
    "a loop over what was selected": (f"""{SELECTED}  q = Shape (rows)  trips = Gather (q, zero)
        t = Loop (trips, , zeros) <body = b (int64 at, bool go, float[4] v) => (bool still, float[4] o) {{
            still = Identity (go)  row = Gather (rows, at)  o = Add (v, row) }}>  y = Relu (t)""", "float[4]"),
    "a loop that collects": (f"""{SELECTED}  q = Shape (rows)  trips = Gather (q, zero)
        y = Loop (trips, yes) <body = b (int64 at, bool go) => (bool still, float[4] o) {{
            still = Identity (go)  row = Gather (rows, at)  o = Sigmoid (row) }}>""", "float[n, 4]"),
}  # fmt: skip


def network(name: str, *, opset: int = 17) -> ir.Model:
    """Return the network of CASES with that name."""
    body, outputs = CASES[name]
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((4, 5), np.float32), "v": rng.standard_normal((5, 4), np.float32),
        "b": rng.standard_normal(5).astype(np.float32), "k3": rng.standard_normal((5, 3, 3, 3), np.float32),
        "overlap": np.array([0.4], np.float32), "least": np.array([0.1], np.float32), "last": np.array(2),
        "zeros": np.zeros(4, np.float32), "steps": np.array(5, np.float32), "four": np.array(4), "yes": np.array(True),
        "six": np.array([6]), "nothing": np.zeros(0, np.int64),
        "four_ones": np.ones(4, np.float32), "axes2": np.array([2, 1]),
    }  # fmt: skip
    outputs = outputs if " y" in outputs else f"{outputs} y"
    return model(f"g ({INPUTS}) => ({outputs}) <{CONSTANTS}> {{ {body} }}", weights, opset=opset)


def samples(made: ir.Model) -> list[dict[str, Array]]:
    """Return inputs: random ones, ones of which nothing is selected, and ones of which everything is."""
    drawn = []
    for low, high in ((-1, 1), (-1, 1), (-1, 0), (0.6, 1)):
        rng = np.random.default_rng(len(drawn))
        drawn.append({s.name: rng.uniform(low, high, s.shape).astype(np.float32) for s in inputs_of(made)})
    return drawn
