"""Graphs that were at fault once, as small as they could be cut: stages, opset and text of each."""

from __future__ import annotations

ROW_SUMS = """
p = Mul (x, x)  m = ReduceMean <axes = [-1], keepdims = 1> (p)  n = Add (m, e)  s = Sqrt (n)  v = Div (x, s)
"""

FOUND: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a running sum of what lies in the arena": (
        ("cpu",),
        16,
        "g (float[2, 1, 3, 3] x) => (float[2, 1, 3, 3] y) <int64 a = {-4}, float e = {0.01}>"
        f"{{ {ROW_SUMS} y = CumSum (v, a) }}",
    ),
    "a ranking of what lies in the arena": (
        ("cpu",),
        16,
        "g (float[2, 3, 8] x) => (float[2, 3, 2] y, int64[2, 3, 2] at) <int64[1] k = {2}, float e = {0.01}>"
        f"{{ {ROW_SUMS} y, at = TopK (v, k) }}",
    ),
    "rows put into what lies in the arena": (
        ("cpu",),
        16,
        "g (float[4, 3] x) => (float[4, 3] y)"
        "<int64[2, 1] at = {3, 1}, float[2, 3] new = {1, 2, 3, 4, 5, 6}, float e = {0.01}>"
        f"{{ {ROW_SUMS} y = ScatterND (v, at, new) }}",
    ),
    "a bias that is one number": (
        ("quantize", "prune"),
        19,
        "g (float[1, 2] x) => (float[1, 3] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}, float b = {0.25}>"
        "{ y = Gemm <transB = 1> (x, w, b) }",
    ),
    "as many channels as the data chooses": (
        ("quantize",),
        11,
        "g (float[1, 4, 3] x) => (float[1, 2, 3] y)"
        "<bool[4] kept = {1, 0, 1, 1}, float[2, 3, 1] w = {1, 2, 3, 4, 5, 6}>"
        "{ some = Compress <axis = 1> (x, kept)  y = Conv (some, w) }",
    ),
    "a number without axes, transposed": (
        ("canonicalize",),
        15,
        "g (float x) => (float y) { a = Cast <to = 6> (x)  b = Transpose (a)  c = Cast <to = 1> (b)  y = Relu (c) }",
    ),
}
