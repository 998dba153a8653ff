"""Products of bytes summed in int32 by one instruction, as tensor intrinsics.

A step multiplies `DEPTH` channels. `channels` sums over input channels, for convolutions and dense layers; `taps` sums
over neighbouring pixels of each channel, for depthwise convolutions.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from edgec.targets.tvm.target_model import TargetModel

DEPTH = 4
"""Bytes of an int32 lane."""
VNNI = {16: "llvm.x86.avx512.vpdpbusd.512", 8: "llvm.x86.avx512.vpdpbusd.256", 4: "llvm.x86.avx512.vpdpbusd.128"}
SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"


def supported(model: TargetModel) -> bool:
    """Whether there are intrinsics for the CPU."""
    return model.dot_product != "none"


def pixels_of_step(model: TargetModel) -> int:
    """Return how many pixels one `channels` intrinsic covers: NEON's takes its bytes from lanes of one register."""
    return 4 if model.isa == "neon" else 1


def channels(model: TargetModel, block: int) -> str:
    """Return the name of the intrinsic C[p, b] += sum_i A[p, i] * W[b, i] for one vector of `block` channels."""
    return _sdot_lanes() if model.isa == "neon" else _vnni_broadcast(block)


def taps(model: TargetModel, block: int) -> str:
    """Return the name of the intrinsic C[b] += sum_i A[i, b] * W[b, i]; A are `DEPTH` pixels in memory order."""
    return _sdot_taps() if model.isa == "neon" else _vnni_taps(block)


@cache
def _vnni_broadcast(block: int) -> str:
    width, all_bytes, unsigned = f"int32x{block}", f"int8x{4 * block}", "uint8x4"

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4], W[0:block, 0:4])
            T.writes(C[0:block])
            for i, k in T.grid(block, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(W[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "uint8", offset_factor=1)
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4], W[0:block, 0:4])
            T.writes(C[0:block])
            C[T.ramp(T.int32(0), 1, block)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(VNNI[block]),
                C.vload([0], width),
                T.reinterpret(
                    T.broadcast(T.reinterpret(A.vload([0], unsigned), dtype="int32"), block), dtype=all_bytes
                ),
                W.vload([0, 0], dtype=all_bytes),
                dtype=width,
            )

    return _register(f"edgec_vnni_{block}", description, implementation)


@cache
def _vnni_taps(block: int) -> str:
    width, all_bytes, unsigned = f"int32x{block}", f"int8x{4 * block}", f"uint8x{4 * block}"
    order = [pixel * block + channel for channel in range(block) for pixel in range(4)]

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, block), "uint8", offset_factor=1)
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4, 0:block], W[0:block, 0:4])
            T.writes(C[0:block])
            for i, k in T.grid(block, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk, vi], "int32") * T.cast(W[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, w: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4, block), "uint8", offset_factor=1)
        W = T.match_buffer(w, (block, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (block,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:block], A[0:4, 0:block], W[0:block, 0:4])
            T.writes(C[0:block])
            C[T.ramp(T.int32(0), 1, block)] = T.call_llvm_pure_intrin(
                T.llvm_lookup_intrinsic_id(VNNI[block]),
                C.vload([0], width),
                T.reinterpret(T.Shuffle([A.vload([0, 0], unsigned)], order), dtype=all_bytes),
                W.vload([0, 0], dtype=all_bytes),
                dtype=width,
            )

    return _register(f"edgec_vnni_taps_{block}", description, implementation)


def _register(name: str, description: Any, implementation: Any) -> str:
    TensorIntrin.register(name, description, implementation, override=True)
    return name
