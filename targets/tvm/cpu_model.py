"""What the schedules know of a CPU: vector width, registers, FMA ports, caches; read from a board and LLVM's tables."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tvm

from edgec.options import Precision
from edgec.targets.board import Board
from edgec.targets.tvm.cpu import features, llvm_target, resolve

Isa = Literal["avx512", "avx2", "sse", "neon"]
DotProduct = Literal["none", "pairs", "vnni", "sdot", "smmla"]
Float = Literal["float32", "float16"]

DOUBLE_PUMPED = frozenset({"znver4"})
"""CPUs that issue a 512-bit operation as two halves: vectors of half the width have the same peak."""

KIB = 1024
DEFAULT_L1, DEFAULT_L2 = 32 * KIB, 256 * KIB
CPU_CACHE_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class CpuModel:
    """A CPU as the tile choice sees it; sizes in bytes, `lanes` counts elements of `arithmetic` in one vector."""

    isa: Isa
    lanes: int
    registers: int
    fma_ports: int
    fma_latency: int
    l1: int
    l2: int
    cores: int
    dot_product: DotProduct = "none"
    half_width_same_peak: bool = False
    fp16_arithmetic: bool = False
    """Whether it has multiply-adds of fp16 vectors."""
    storage: Float = "float32"
    """Type of packed activations, and of the weights, in memory."""
    arithmetic: Float = "float32"
    """Type in which convolutions and matrix products multiply and add up."""

    @property
    def multiplies_by_lane(self) -> bool:
        """Whether a multiply-add can take one lane of a vector register as scalar (NEON's `fmla` by element)."""
        return self.isa == "neon"

    @property
    def multiplies_from_memory(self) -> bool:
        """Whether a multiply-add can take a scalar from memory for all lanes (AVX-512's embedded broadcast)."""
        return self.isa == "avx512"

    @property
    def byte_type(self) -> Literal["uint8", "int8"] | None:
        """Type of the activations that integer kernels multiply with int8 weights; None: there are no such kernels."""
        if self.isa == "neon":
            return "int8"
        return None if self.dot_product == "none" else "uint8"

    @property
    def converts(self) -> bool:
        """Whether values are loaded in another type than the one in which they are multiplied."""
        return self.storage != self.arithmetic

    def stored(self, dtype: str) -> str:
        """Return the type in which packed values of `dtype` lie in memory."""
        return self.storage if dtype == "float32" else dtype

    def at_precision(self, precision: Precision) -> CpuModel:
        """Return the model that keeps floats, and multiplies them where the CPU can, as `precision` says."""
        if precision != "fp16":
            return self
        if self.fp16_arithmetic:
            return replace(self, lanes=2 * self.lanes, storage="float16", arithmetic="float16")
        return replace(self, storage="float16")


def cpu_model(board: Board) -> CpuModel:
    """Return the model of `board`'s CPU, from its record and LLVM's feature table of that CPU."""
    known = resolve(board)
    l1, l2 = _caches(board)
    return model_of(features(llvm_target(known)), cpu=known.cpu, l1=l1, l2=l2, cores=board.threads)


def model_of_target(target: tvm.target.Target) -> CpuModel:
    """Return the model of TVM's `target`, an LLVM CPU; caches are this machine's where it has that CPU."""
    cpu = str(target.attrs.get("mcpu", "generic"))
    here = cpu == str(tvm.get_global_func("target.llvm_get_system_cpu")())
    l1, l2 = (_host_cache(1, DEFAULT_L1), _host_cache(2, DEFAULT_L2)) if here else (DEFAULT_L1, DEFAULT_L2)
    return model_of(features(target), cpu=cpu, l1=l1, l2=l2, cores=int(target.attrs.get("num-cores", 1)))


def model_of(feature_names: AbstractSet[str], *, cpu: str, l1: int, l2: int, cores: int) -> CpuModel:
    """Return the model of a CPU with LLVM's `feature_names`, caches of `l1` and `l2` bytes and `cores` threads."""
    if "neon" in feature_names:
        dot: DotProduct = "smmla" if "i8mm" in feature_names else "sdot" if "dotprod" in feature_names else "none"
        fp16 = "fullfp16" in feature_names
        return CpuModel("neon", 4, 32, 2, 4, l1, l2, cores, dot, fp16_arithmetic=fp16)
    if "avx512f" in feature_names:
        dot = "vnni" if "avx512vnni" in feature_names else "pairs"
        return CpuModel("avx512", 16, 32, 2, 4, l1, l2, cores, dot, half_width_same_peak=cpu in DOUBLE_PUMPED)
    if "avx2" in feature_names and "fma" in feature_names:
        return CpuModel("avx2", 8, 16, 2, 4, l1, l2, cores, "vnni" if "avxvnni" in feature_names else "pairs")
    return CpuModel("sse", 4, 16, 1, 4, l1, l2, cores)


def _caches(board: Board) -> tuple[int, int]:
    if board.cache is not None:
        return board.cache.l1_kib * KIB, board.cache.l2_kib * KIB
    if board.cpu != "host":
        return DEFAULT_L1, DEFAULT_L2
    return _host_cache(1, DEFAULT_L1), _host_cache(2, DEFAULT_L2)


def _host_cache(level: int, default: int) -> int:
    """Return the size of this machine's data cache of `level` in bytes, as Linux tells, else `default`."""
    for folder in sorted(CPU_CACHE_FOLDER.glob("index*")):
        try:
            found, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if int(found) == level and kind != "Instruction" and size.endswith("K"):
            return int(size[:-1]) * KIB
    return default
