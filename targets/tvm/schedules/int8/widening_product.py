"""Products of bytes on NEON without a dot product: two int16 products are added in int16, then to an int32 sum.

The four channels of a pixel are broadcast over a register; one multiplication multiplies them with the weights of two
output channels. Eight channels of a pixel and four output channels are four multiplications and two pairwise additions.
The sums of an output channel stay split over two lanes until `gather` adds them at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.schedules.int8.dot_product import register

SMULL, SADDLP, ADDP, TBL = (
    f"llvm.aarch64.neon.{name}" for name in ("smull.v8i16", "saddlp.v4i32.v8i16", "addp.v4i32", "tbl1.v16i8")
)
PIXELS, QUAD, HALVES = 2, 4, 2
LEAST_WEIGHT = -127
"""Minimum weight: two products of bytes with weights from this one up fit int16."""


@cache
def products(quads: int, stride: int) -> str:
    """Return the name of the intrinsic C[p, b, j] += sum_qt A[q, stride p, 2 j + t] * W[q, b, 2 j + t].

    Args:
        quads: Number of groups of four channels, one or two: an int16 sum can contain no more.
        stride: Distance between the pixels, 1 or 2.
    """
    span = (PIXELS - 1) * stride + 1

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (quads, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (2, quads, 2, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:2, 0:4, 0:2], A[0:quads, 0:1, 0:span, 0:4], W[0:2, 0:quads, 0:2, 0:4])
            T.writes(C[0:2, 0:4, 0:2])
            for p, b, j, q, t in T.grid(2, 4, 2, quads, 2):
                with T.sblock("update"):
                    vp, vb, vj, vq, vt = T.axis.remap("SSSRR", [p, b, j, q, t])
                    C[vp, vb, vj] = C[vp, vb, vj] + T.cast(A[vq, 0, vp * stride, vj * 2 + vt], "int32") * T.cast(
                        W[vb // 2, vq, vb % 2, vj * 2 + vt], "int32"
                    )

    @T.prim_func(s_tir=True, private=True)
    def single(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (1, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (2, 1, 2, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:2, 0:4, 0:2], A[0, 0, 0:span, 0:4], W[0:2, 0, 0:2, 0:4])
            T.writes(C[0:2, 0:4, 0:2])
            for p, b, j, _, t in T.grid(2, 4, 2, 1, 2):
                with T.sblock("update"):
                    vp, vb, vj, vt = T.axis.remap("SSSR", [p, b, j, t])
                    C[vp, vb, vj] = C[vp, vb, vj] + T.cast(A[0, 0, vp * stride, vj * 2 + vt], "int32") * T.cast(
                        W[vb // 2, 0, vb % 2, vj * 2 + vt], "int32"
                    )

    lanes = 2 * stride

    def words(buffer_a: Any, quad: int) -> Any:
        return tirx.reinterpret(f"int32x{lanes}", buffer_a.vload([quad, 0, 0, 0], f"int8x{QUAD * lanes}"))

    def sums(buffer_a: Any, buffer_w: Any, pixel: int, pair: int) -> Any:
        if quads == 1:
            spread = tirx.Broadcast(tirx.Shuffle([words(buffer_a, 0)], [pixel * stride]), 2)
            return _pairwise(_multiply(buffer_w.vload([pair, 0, 0, 0], "int8x8"), tirx.reinterpret("int8x8", spread)))
        both = tirx.Shuffle([words(buffer_a, quad) for quad in range(quads)], [0, stride, lanes, lanes + stride])
        order = [QUAD * (2 * quad + pixel) + byte for quad in range(quads) for _ in range(2) for byte in range(QUAD)]
        # A table look-up, which LLVM does not change: it would replace a shuffle by a narrower one for each half.
        spread = tirx.call_llvm_pure_intrin("int8x16", TBL, tirx.reinterpret("int8x16", both), _bytes(order))
        weights = buffer_w.vload([pair, 0, 0, 0], "int8x16")
        halves = [
            _multiply(half("int8x8", weights), half("int8x8", spread)) for half in (tirx.vectorlow, tirx.vectorhigh)
        ]
        return _pairwise(halves[0] + halves[1])

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (quads, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (2, quads, 2, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:2, 0:4, 0:2], A[0:quads, 0:1, 0:span, 0:4], W[0:2, 0:quads, 0:2, 0:4])
            T.writes(C[0:2, 0:4, 0:2])
            C[0, 0, T.ramp(T.int32(0), 1, 4)] = C.vload([0, 0, 0], "int32x4") + sums(A, W, 0, 0)
            C[0, 2, T.ramp(T.int32(0), 1, 4)] = C.vload([0, 2, 0], "int32x4") + sums(A, W, 0, 1)
            C[1, 0, T.ramp(T.int32(0), 1, 4)] = C.vload([1, 0, 0], "int32x4") + sums(A, W, 1, 0)
            C[1, 2, T.ramp(T.int32(0), 1, 4)] = C.vload([1, 2, 0], "int32x4") + sums(A, W, 1, 1)

    return register(f"edgec_smull_{quads}_{stride}", single if quads == 1 else description, implementation)


def _multiply(a: Any, b: Any) -> Any:
    return tirx.call_llvm_pure_intrin("int16x8", SMULL, a, b)


def _pairwise(products: Any) -> Any:
    return tirx.call_llvm_pure_intrin("int32x4", SADDLP, products)


def _bytes(values: Sequence[int]) -> Any:
    return tirx.Shuffle([tirx.const(value, "int8") for value in values], list(range(len(values))))


@cache
def gather() -> str:
    """Return the name of the intrinsic C[b] += A[b, 0] + A[b, 1]."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, 2), "int32", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4], A[0:4, 0:2])
            T.writes(C[0:4])
            for b, j in T.grid(4, 2):
                with T.sblock("add"):
                    vb, vj = T.axis.remap("SR", [b, j])
                    C[vb] = C[vb] + A[vb, vj]

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, 2), "int32", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4], A[0:4, 0:2])
            T.writes(C[0:4])
            C[T.ramp(T.int32(0), 1, 4)] = C.vload([0], "int32x4") + tirx.call_llvm_pure_intrin(
                "int32x4", ADDP, A.vload([0, 0], "int32x4"), A.vload([2, 0], "int32x4")
            )

    return register("edgec_gather", description, implementation)
