"""The largest or smallest elements of rows, in order."""

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.kernels.heap import falling, reversed_order, rising, sifting
from edgec.targets.tvm.kernels.opaque import OPAQUE


def top_k(rows: int, length: int, k: int, dtype: str, *, largest: bool) -> Any:
    """Return the kernel: x [rows, length] -> values, indices [rows, k]; of equal elements the first comes first.

    A heap contains the best elements so far, the worst of them on top: most elements are compared with that one only.
    """
    before = falling if largest else rising
    sift = sifting(reversed_order(before))

    @T.prim_func(s_tir=True, private=True)
    def kernel(x: T.handle, v: T.handle, p: T.handle) -> None:
        T.func_attr(OPAQUE)
        X = T.match_buffer(x, (rows, length), dtype)  # noqa: N806
        V = T.match_buffer(v, (rows, k), dtype)  # noqa: N806
        P = T.match_buffer(p, (rows, k), "int64")  # noqa: N806
        with T.sblock("root"):
            heap = T.alloc_buffer((rows, k), "int32")
            for row in T.parallel(rows):
                at = T.alloc_buffer((1,), "int32", scope="local")
                child = T.alloc_buffer((1,), "int32", scope="local")
                moving = T.alloc_buffer((1,), "int32", scope="local")
                worst = T.alloc_buffer((1,), dtype, scope="local")
                for i in T.serial(k):
                    heap[row, i] = i
                for i in T.serial(k // 2):
                    sift(heap, X, row, at, child, moving, k // 2 - 1 - i, k)
                worst[0] = X[row, heap[row, 0]]
                for i in T.serial(length - k):
                    # Of equal elements the earlier one stays.
                    if _better(X[row, i + k], worst[0], largest):
                        heap[row, 0] = i + k
                        sift(heap, X, row, at, child, moving, 0, k)
                        worst[0] = X[row, heap[row, 0]]
                for i in T.serial(k):
                    P[row, k - 1 - i] = T.cast(heap[row, 0], "int64")
                    V[row, k - 1 - i] = X[row, heap[row, 0]]
                    heap[row, 0] = heap[row, k - 1 - i]
                    sift(heap, X, row, at, child, moving, 0, k - 1 - i)

    return kernel


def _better(element: Any, worst: Any, largest: bool) -> Any:
    return element > worst if largest else element < worst
