"""Products of bytes summed in int32 on x86: by VNNI's instruction, or by multiplying and adding pairs.

Without VNNI, one instruction multiplies unsigned with signed bytes and adds pairs, but saturates at int16. If no
activations can make the pairs of a layer exceed int16 (`fit_pairs`), a second instruction adds up the sums. Other
weights are widened to int16 first, which is always exact, and takes two multiplications instead of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import tirx

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.regions.facts import Array

DOT = {lanes: f"llvm.x86.avx512.vpdpbusd.{bits}" for lanes, bits in ((16, 512), (8, 256), (4, 128))}
"""Instructions by number of int32 lanes. Without AVX-512, LLVM uses the encoding of AVX-VNNI."""
PAIRS = {16: "llvm.x86.avx512.pmaddubs.w.512", 8: "llvm.x86.avx2.pmadd.ub.sw", 4: "llvm.x86.ssse3.pmadd.ub.sw.128"}
"""Unsigned by signed bytes, pairs added, saturated to int16."""
WORDS = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd", 4: "llvm.x86.sse2.pmadd.wd"}
"""int16 by int16, pairs added in int32."""
MOST_OF_PAIR = 128
"""Maximum sum of two weights of one sign: 255 times it still fits int16."""


def fit_pairs(packed: Array) -> bool:
    """Return whether any activations times neighbours on the last axis of int8 `packed` add up within int16."""
    pairs = packed.reshape(-1, 2).astype(np.int16)
    return bool(max(np.maximum(pairs, 0).sum(axis=1).max(), -np.minimum(pairs, 0).sum(axis=1).min()) <= MOST_OF_PAIR)


def form_of(cpu: CpuModel, packed: Array) -> str:
    """Return the name of the form, a key of `FORMS`, for a layer's packed weights, with the four of a sum adjacent."""
    return "vnni" if cpu.dot_product == "vnni" else "pairs" if fit_pairs(packed) else "words"


def _vnni(sums: Any, activations: Any, weights: Any, lanes: int) -> Any:
    return tirx.call_llvm_pure_intrin(f"int32x{lanes}", DOT[lanes], sums, activations, weights)


def _pairs(sums: Any, activations: Any, weights: Any, lanes: int) -> Any:
    pairs = tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", PAIRS[lanes], activations, weights)
    ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * lanes)
    return sums + tirx.call_llvm_pure_intrin(f"int32x{lanes}", WORDS[lanes], pairs, ones)


def _words(sums: Any, activations: Any, weights: Any, lanes: int) -> Any:
    # Bytes 0 and 2 of each sum, then 1 and 3: these are the halves of int16, so no shuffle is needed.
    eight = tirx.Broadcast(tirx.const(8, "int16"), 2 * lanes)
    unsigned = tirx.reinterpret(f"uint16x{2 * lanes}", activations)
    signed = tirx.reinterpret(f"int16x{2 * lanes}", weights)
    low = tirx.Broadcast(tirx.const(255, "uint16"), 2 * lanes)
    halves = (
        (unsigned & low, (signed << eight) >> eight),
        (unsigned >> tirx.reinterpret(f"uint16x{2 * lanes}", eight), signed >> eight),
    )
    for activation, weight in halves:
        positive = tirx.reinterpret(f"int16x{2 * lanes}", activation)
        sums = sums + tirx.call_llvm_pure_intrin(f"int32x{lanes}", WORDS[lanes], positive, weight)
    return sums


FORMS: dict[str, Callable[[Any, Any, Any, int], Any]] = {"vnni": _vnni, "pairs": _pairs, "words": _words}
"""Maps sums, activations, weights (int8, four times as many) and the number of lanes to new sums."""
