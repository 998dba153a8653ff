"""Products of bytes summed in int32 by one instruction, as tensor intrinsics.

`channels` sums over `DEPTH` input channels of a pixel, for convolutions and dense layers: C[p, b] += A[p, i] * W[b, i].
`taps` sums over `DEPTH` neighbouring pixels of each channel, for depthwise convolutions: C[b] += A[i, b] * W[b, i].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T  # noqa: N812 (the name its parser expects)

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.facts import Array
from edgec.targets.tvm.schedules.int8.byte_products import FORMS, form_of

DEPTH = 4
"""Number of bytes in an int32 lane."""
SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"
NEON_PIXELS = 4


def pixels_of_step(cpu: CpuModel) -> int:
    """Return the number of pixels of one `channels` intrinsic: NEON's takes its bytes from lanes of one register."""
    return NEON_PIXELS if cpu.isa == "neon" else 1


def channels(cpu: CpuModel, block: int, packed: Array, stride: int = 1) -> str:
    """Return the name of the intrinsic for one vector of `block` output channels and pixels `stride` apart.

    `packed` are the layer's weights, with the four of a sum adjacent.
    """
    return _sdot_channels(stride) if cpu.isa == "neon" else _x86_channels(form_of(cpu, packed), block)


def taps(cpu: CpuModel, block: int, packed: Array) -> str:
    """Return the name of x86's intrinsic for one vector of `block` channels; `packed` as above."""
    return _taps(form_of(cpu, packed), block)


@cache
def _x86_channels(form: str, block: int) -> str:
    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4], W[0:block, 0:4])
            T.writes(C[0:block])
            for i, k in T.grid(block, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(W[vi, vk], "int32")

    dot = _dot(form, block)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4], W[0:block, 0:4])
            T.writes(C[0:block])
            C[T.ramp(T.int32(0), 1, block)] = dot(
                C.vload([0], f"int32x{block}"),
                T.broadcast(T.reinterpret(A.vload([0], "uint8x4"), dtype="int32"), block),
                W.vload([0, 0], f"int8x{4 * block}"),
            )

    return register(f"edgec_{form}_channels_{block}", description, implementation)


@cache
def _sdot_channels(stride: int) -> str:
    span = (NEON_PIXELS - 1) * stride + 1

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (span, 4), "int8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (4, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:4], A[0:span, 0:4], W[0:4, 0:4])
            T.writes(C[0:4, 0:4])
            for p, i, k in T.grid(4, 4, 4):
                with T.sblock("update"):
                    vp, vi, vk = T.axis.remap("SSR", [p, i, k])
                    C[vp, vi] = C[vp, vi] + T.cast(A[vp * stride, vk], "int32") * T.cast(W[vi, vk], "int32")

    dot, pixel = _dot("sdot", 4), _pixel_of(stride)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (span, 4), "int8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (4, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (4, 4), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:4, 0:4], A[0:span, 0:4], W[0:4, 0:4])
            T.writes(C[0:4, 0:4])
            C[0, T.ramp(T.int32(0), 1, 4)] = dot(C.vload([0, 0], "int32x4"), pixel(A, 0), W.vload([0, 0], "int8x16"))
            C[1, T.ramp(T.int32(0), 1, 4)] = dot(C.vload([1, 0], "int32x4"), pixel(A, 1), W.vload([0, 0], "int8x16"))
            C[2, T.ramp(T.int32(0), 1, 4)] = dot(C.vload([2, 0], "int32x4"), pixel(A, 2), W.vload([0, 0], "int8x16"))
            C[3, T.ramp(T.int32(0), 1, 4)] = dot(C.vload([3, 0], "int32x4"), pixel(A, 3), W.vload([0, 0], "int8x16"))

    return register(f"edgec_sdot_channels_{stride}", description, implementation)


def _pixel_of(stride: int) -> Callable[[Any, int], Any]:
    """Return the broadcast of the four channels of one of four pixels, which LLVM folds into the product by lane."""

    def pixel(buffer: Any, index: int) -> Any:
        first = tirx.reinterpret("int32x4", buffer.vload([0, 0], "int8x16"))
        lanes = [first]
        if stride == 2:
            lanes.append(tirx.reinterpret("int32x4", buffer.vload([4, 0], "int8x16")))
        return tirx.Broadcast(tirx.Shuffle(lanes, [index * stride]), 4)

    return pixel


@cache
def _taps(form: str, block: int) -> str:
    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, block), "uint8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4, 0:block], W[0:block, 0:4])
            T.writes(C[0:block])
            for i, k in T.grid(block, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk, vi], "int32") * T.cast(W[vi, vk], "int32")

    dot = _dot(form, block)
    order = [pixel * block + channel for channel in range(block) for pixel in range(4)]

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, block), "uint8", offset_factor=1)  # noqa: N806
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)  # noqa: N806
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)  # noqa: N806
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4, 0:block], W[0:block, 0:4])
            T.writes(C[0:block])
            C[T.ramp(T.int32(0), 1, block)] = dot(
                C.vload([0], f"int32x{block}"),
                T.Shuffle([A.vload([0, 0], f"uint8x{4 * block}")], order),
                W.vload([0, 0], f"int8x{4 * block}"),
            )

    return register(f"edgec_{form}_taps_{block}", description, implementation)


def _dot(form: str, block: int) -> Callable[[Any, Any, Any], Any]:
    """Return the products as a function of sums, activations and weights."""
    all_bytes = f"int8x{DEPTH * block}"

    def dot(sums: Any, activations: Any, weights: Any) -> Any:
        activations = tirx.reinterpret(all_bytes, activations)
        if form == "sdot":
            # The product is commutative; with the activations last, LLVM takes them from a lane.
            return tirx.call_llvm_pure_intrin(f"int32x{block}", SDOT, sums, weights, activations)
        return FORMS[form](sums, activations, weights, block)

    return dot


def register(name: str, description: Any, implementation: Any) -> str:
    """Register an intrinsic, given as its description and its implementation; return its name."""
    TensorIntrin.register(name, description, implementation, override=True)
    return name
