"""What the schedules know of a CPU: vector width, registers, FMA ports, caches; read from a board and LLVM's tables."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tvm
from tvm.target import Target, codegen

from edgec.targets.board import Board

Isa = Literal["avx512", "avx2", "sse", "neon"]
DotProduct = Literal["none", "vnni", "sdot", "smmla"]

DOUBLE_PUMPED = frozenset({"znver4"})
"""CPUs that issue a 512-bit operation as two halves: vectors of half the width have the same peak."""

KIB = 1024
DEFAULT_L1, DEFAULT_L2 = 32 * KIB, 256 * KIB
CPU_CACHE_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class TargetModel:
    """A CPU as the tile choice sees it; sizes in bytes, `lanes` counts fp32 elements of one vector register."""

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

    @property
    def multiplies_by_lane(self) -> bool:
        """Whether a multiply-add can take one lane of a vector register as scalar (NEON's `fmla` by element)."""
        return self.isa == "neon"


def tvm_target(board: Board) -> Target:
    """Return TVM's target for `board`; the CPU `host` becomes the one LLVM detects."""
    cpu = codegen.llvm_get_system_cpu() if board.cpu == "host" else board.cpu
    fields: dict[str, object] = {"kind": "llvm", "mtriple": board.triple, "mcpu": cpu, "num-cores": board.threads}
    if board.features:
        fields["mattr"] = list(board.features)
    return Target(fields)


def target_model(board: Board) -> TargetModel:
    """Return the model of `board`'s CPU, from its record and LLVM's feature table of that CPU."""
    target = tvm_target(board)
    features = {str(name) for name in codegen.llvm_get_cpu_features(target)}
    features |= {name.removeprefix("+") for name in board.features}
    l1, l2 = _caches(board)
    return model_of(features, cpu=str(target.attrs["mcpu"]), l1=l1, l2=l2, cores=board.threads)


def model_of(features: AbstractSet[str], *, cpu: str, l1: int, l2: int, cores: int) -> TargetModel:
    """Return the model of a CPU with LLVM's `features`, caches of `l1` and `l2` bytes and `cores` threads."""
    if "neon" in features:
        dot: DotProduct = "smmla" if "i8mm" in features else "sdot" if "dotprod" in features else "none"
        fp16 = "fullfp16" in features
        return TargetModel("neon", 4, 32, 2, 4, l1, l2, cores, dot, fp16_arithmetic=fp16)
    if "avx512f" in features:
        dot = "vnni" if "avx512vnni" in features else "none"
        return TargetModel("avx512", 16, 32, 2, 4, l1, l2, cores, dot, half_width_same_peak=cpu in DOUBLE_PUMPED)
    if "avx2" in features and "fma" in features:
        return TargetModel("avx2", 8, 16, 2, 4, l1, l2, cores, "vnni" if "avxvnni" in features else "none")
    return TargetModel("sse", 4, 16, 1, 4, l1, l2, cores)


def vector_bits(model: TargetModel) -> int:
    """Return the width of a vector register of `model` in bits."""
    return model.lanes * tvm.DataType("float32").bits


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
