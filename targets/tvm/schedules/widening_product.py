"""Products of bytes on NEON without a dot product: multiplied to int16, two products added there, then to int32.

Eight channels of four pixels and one output channel are six multiplications of eight bytes and two pairwise additions.
The sums of a pixel stay split over two lanes until the end, when `gather` adds them and turns four output channels of
four pixels into the order they are stored in.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.schedules.dot_product import register

SMULL, SADDLP, ADDP = (f"llvm.aarch64.neon.{name}" for name in ("smull.v8i16", "saddlp.v4i32.v8i16", "addp.v4i32"))
PIXELS, QUAD, HALVES = 4, 4, 2
LEAST_WEIGHT = -127
"""Two products of a byte and a weight of at least that fit an int16."""


@cache
def products(quads: int, stride: int) -> str:
    """Return the name of the intrinsic C[p, j] += sum_qt A[q, stride p, 2 j + t] * W[q, 2 j + t].

    Args:
        quads: Groups of four channels, one or two: an int16 sum takes no more.
        stride: Distance of the pixels, 1 or 2.
    """
    span = (PIXELS - 1) * stride + 1
    order = [stride * pixel for pixel in range(PIXELS)]

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (quads, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (quads, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:2], A[0:quads, 0:1, 0:span, 0:4], W[0:quads, 0:4])
            T.writes(C[0:4, 0:2])
            for p, j, q, t in T.grid(4, 2, quads, 2):
                with T.sblock("update"):
                    vp, vj, vq, vt = T.axis.remap("SSRR", [p, j, q, t])
                    C[vp, vj] = C[vp, vj] + T.cast(A[vq, 0, vp * stride, vj * 2 + vt], "int32") * T.cast(
                        W[vq, vj * 2 + vt], "int32"
                    )

    @T.prim_func(s_tir=True, private=True)
    def single(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (1, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (1, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:2], A[0, 0, 0:span, 0:4], W[0, 0:4])
            T.writes(C[0:4, 0:2])
            for p, j, _, t in T.grid(4, 2, 1, 2):
                with T.sblock("update"):
                    vp, vj, vt = T.axis.remap("SSR", [p, j, t])
                    C[vp, vj] = C[vp, vj] + T.cast(A[0, 0, vp * stride, vj * 2 + vt], "int32") * T.cast(
                        W[0, vj * 2 + vt], "int32"
                    )

    def half(buffer_a: Any, buffer_w: Any, which: int) -> Any:
        total = None
        for quad in range(quads):
            pixels = buffer_a.vload([quad, 0, 2 * which, 0], "int8x8")
            if stride > 1:
                loads = [buffer_a.vload([quad, 0, 4 * i, 0], "int8x16") for i in range(stride)]
                words = [tirx.reinterpret("int32x4", load) for load in loads]
                pixels = tirx.reinterpret("int8x8", tirx.Shuffle(words, order[2 * which : 2 * which + 2]))
            # Loaded together, then taken from lanes: loads that replicate have no offsets in their addresses.
            words = tirx.reinterpret(
                f"int32x{quads}" if quads > 1 else "int32", buffer_w.vload([0, 0], f"int8x{4 * quads}")
            )
            weights = tirx.Broadcast(tirx.Shuffle([words], [quad]) if quads > 1 else words, 2)
            product = tirx.call_llvm_pure_intrin("int16x8", SMULL, pixels, tirx.reinterpret("int8x8", weights))
            total = product if total is None else total + product
        return tirx.call_llvm_pure_intrin("int32x4", SADDLP, total)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (quads, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (quads, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:2], A[0:quads, 0:1, 0:span, 0:4], W[0:quads, 0:4])
            T.writes(C[0:4, 0:2])
            C[0, T.ramp(T.int32(0), 1, 4)] = C.vload([0, 0], "int32x4") + half(A, W, 0)
            C[2, T.ramp(T.int32(0), 1, 4)] = C.vload([2, 0], "int32x4") + half(A, W, 1)

    return register(f"edgec_smull_{quads}_{stride}", single if quads == 1 else description, implementation)


@cache
def gather() -> str:
    """Return the name of the intrinsic C[p, b] += A[b, p, 0] + A[b, p, 1]."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, 1, 4, 2), "int32", offset_factor=1, strides=[T.int32(), T.int32(), 2, 1])  # noqa: N806
        C = T.match_buffer(c, (4, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:4], A[0:4, 0:1, 0:4, 0:2])
            T.writes(C[0:4, 0:4])
            for p, b, j in T.grid(4, 4, 2):
                with T.sblock("add"):
                    vp, vb, vj = T.axis.remap("SSR", [p, b, j])
                    C[vp, vb] = C[vp, vb] + A[vb, 0, vp, vj]

    def pixel(buffer: Any, index: int) -> Any:
        rows = [
            tirx.call_llvm_pure_intrin(
                "int32x4", ADDP, buffer.vload([b, 0, 0, 0], "int32x4"), buffer.vload([b, 0, 2, 0], "int32x4")
            )
            for b in range(4)
        ]
        return tirx.Shuffle(rows, [4 * b + index for b in range(4)])

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, 1, 4, 2), "int32", offset_factor=1, strides=[T.int32(), T.int32(), 2, 1])  # noqa: N806
        C = T.match_buffer(c, (4, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:4], A[0:4, 0:1, 0:4, 0:2])
            T.writes(C[0:4, 0:4])
            C[0, T.ramp(T.int32(0), 1, 4)] = C.vload([0, 0], "int32x4") + pixel(A, 0)
            C[1, T.ramp(T.int32(0), 1, 4)] = C.vload([1, 0], "int32x4") + pixel(A, 1)
            C[2, T.ramp(T.int32(0), 1, 4)] = C.vload([2, 0], "int32x4") + pixel(A, 2)
            C[3, T.ramp(T.int32(0), 1, 4)] = C.vload([3, 0], "int32x4") + pixel(A, 3)

    return register("edgec_gather", description, implementation)
