"""Products of 2x8 by 8x2 bytes by one instruction (SMMLA), as tensor intrinsics.

Sums of two pixels and two output channels share a register; `gather` brings the channels of a pixel side by side.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.schedules.dot_product import register

SMMLA = "llvm.aarch64.neon.smmla.v4i32.v16i8"
PIXELS, QUADS = 4, 2


@cache
def products(stride: int) -> str:
    """Return the name of the intrinsic C[x, g, p, o] += sum_qt A[q, stride (2 x + p), t] * W[g, o, q, t].

    Args:
        stride: Distance of the four pixels 2 x + p, 1 or 2; channels are 2 g + o.
    """
    span = (PIXELS - 1) * stride + 1

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (2, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (2, 2, 2, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 2, 2, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:2, 0:2, 0:2, 0:2], A[0:2, 0:1, 0:span, 0:4], W[0:2, 0:2, 0:2, 0:4])
            T.writes(C[0:2, 0:2, 0:2, 0:2])
            for x, g, p, o, q, t in T.grid(2, 2, 2, 2, 2, 4):
                with T.sblock("update"):
                    vx, vg, vp, vo, vq, vt = T.axis.remap("SSSSRR", [x, g, p, o, q, t])
                    C[vx, vg, vp, vo] = C[vx, vg, vp, vo] + T.cast(
                        A[vq, 0, (vx * 2 + vp) * stride, vt], "int32"
                    ) * T.cast(W[vg, vo, vq, vt], "int32")

    def product(buffers: tuple[Any, Any, Any], x: int, g: int) -> Any:
        source, weights, sums = buffers
        words = [
            tirx.reinterpret("int32x4", source.vload([quad, 0, PIXELS * at, 0], "int8x16"))
            for quad in range(QUADS)
            for at in range(stride)
        ]
        order = [quad * PIXELS * stride + pixel * stride for pixel in (2 * x, 2 * x + 1) for quad in range(QUADS)]
        pixels = tirx.reinterpret("int8x16", tirx.Shuffle(words, order))
        return tirx.call_llvm_pure_intrin(
            "int32x4", SMMLA, sums.vload([x, g, 0, 0], "int32x4"), pixels, weights.vload([g, 0, 0, 0], "int8x16")
        )

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (2, 1, span, 4), "int8", offset_factor=1, strides=[T.int32(), T.int32(), 4, 1])  # noqa: N806
        W = T.match_buffer(w, (2, 2, 2, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 2, 2, 2), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:2, 0:2, 0:2, 0:2], A[0:2, 0:1, 0:span, 0:4], W[0:2, 0:2, 0:2, 0:4])
            T.writes(C[0:2, 0:2, 0:2, 0:2])
            C[0, 0, 0, T.ramp(T.int32(0), 1, 4)] = product((A, W, C), 0, 0)
            C[0, 1, 0, T.ramp(T.int32(0), 1, 4)] = product((A, W, C), 0, 1)
            C[1, 0, 0, T.ramp(T.int32(0), 1, 4)] = product((A, W, C), 1, 0)
            C[1, 1, 0, T.ramp(T.int32(0), 1, 4)] = product((A, W, C), 1, 1)

    return register(f"edgec_smmla_{stride}", description, implementation)


@cache
def gather() -> str:
    """Return the name of the intrinsic C[p, b] = A[b / 2, p, b % 2]."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (2, 2, 2), "int32", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(A[0:2, 0:2, 0:2])
            T.writes(C[0:2, 0:4])
            for p, b in T.grid(2, 4):
                with T.sblock("move"):
                    vp, vb = T.axis.remap("SS", [p, b])
                    C[vp, vb] = A[vb // 2, vp, vb % 2]

    def pixel(buffer: Any, first: int) -> Any:
        groups = [buffer.vload([g, 0, 0], "int32x4") for g in range(2)]
        return tirx.Shuffle(groups, [first, first + 1, first + 4, first + 5])

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (2, 2, 2), "int32", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (2, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(A[0:2, 0:2, 0:2])
            T.writes(C[0:2, 0:4])
            C[0, T.ramp(T.int32(0), 1, 4)] = pixel(A, 0)
            C[1, T.ramp(T.int32(0), 1, 4)] = pixel(A, 2)

    return register("edgec_smmla_gather", description, implementation)
