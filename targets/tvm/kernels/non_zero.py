"""The positions of elements that are not zero, in row-major order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.kernels.opaque import OPAQUE


def non_zero(shape: Sequence[int], dtype: str) -> Any:
    """Return the kernel: x [elements] of a tensor of `shape` -> indices [rank, elements], zeros behind; count [1]."""
    sizes = tuple(shape) or (1,)
    rank, length = len(sizes), 1
    for size in sizes:
        length *= size
    last = rank - 1

    @T.prim_func(s_tir=True, private=True)
    def kernel(x: T.handle, y: T.handle, c: T.handle) -> None:
        T.func_attr(OPAQUE)
        X = T.match_buffer(x, (length,), dtype)  # noqa: N806
        Y = T.match_buffer(y, (rank, length), "int64")  # noqa: N806
        C = T.match_buffer(c, (1,), "int64")  # noqa: N806
        with T.sblock("root"):
            count: T.int32 = 0
            for i in T.serial(length):
                Y[last, count] = T.cast(i, "int64")
                count = count + _is_set(X[i])  # without a branch, which the CPU could not predict
            C[0] = T.cast(count, "int64")
            for axis in T.serial(last):
                for i in T.serial(count):
                    Y[axis, i] = _index(Y[last, i], axis, sizes)
            for i in T.serial(count):
                Y[last, i] = T.floormod(Y[last, i], T.int64(sizes[last]))
            for axis in T.serial(rank):
                for i in T.serial(length - count):
                    Y[axis, count + i] = T.int64(0)

    return kernel


def _is_set(element: Any) -> Any:
    dtype = str(element.ty.dtype)
    found = element if dtype == "bool" else element != tirx.const(0, dtype)
    return tirx.Select(found, tirx.const(1, "int32"), tirx.const(0, "int32"))


def _index(place: Any, axis: Any, sizes: Sequence[int]) -> Any:
    """Return the index along `axis`, a loop's variable, of the flat `place`."""
    chosen, stride = None, 1
    for at in reversed(range(len(sizes))):
        index = tirx.floormod(tirx.floordiv(place, tirx.const(stride, "int64")), tirx.const(sizes[at], "int64"))
        chosen = index if chosen is None else tirx.Select(axis == at, index, chosen)
        stride *= sizes[at]
    return chosen
