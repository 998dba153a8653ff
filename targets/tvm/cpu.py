"""The board's CPU as LLVM and Linux know it: the target to compile for, and what a machine needs to run the result."""

from __future__ import annotations

import tvm

from edgec.errors import BadOption
from edgec.targets.board import Board
from edgec.targets.tvm.cpu_flags import machine_flags

CPU_FLAGS = {
    # LLVM's feature -> name in /proc/cpuinfo; only sets that compiled code uses and some CPUs of the architecture lack
    "sse4.2": "sse4_2",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "bmi": "bmi1",
    "bmi2": "bmi2",
    "lzcnt": "abm",
    "movbe": "movbe",
    "gfni": "gfni",
    "vaes": "vaes",
    "vpclmulqdq": "vpclmulqdq",
    "avxvnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512cd": "avx512cd",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512vp2intersect": "avx512_vp2intersect",
    "amx-tile": "amx_tile",
    "amx-int8": "amx_int8",
    "amx-bf16": "amx_bf16",
    "neon": "asimd",
    "lse": "atomics",
    "rdm": "asimdrdm",
    "dotprod": "asimddp",
    "fullfp16": "asimdhp",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
}


def resolve(board: Board) -> Board:
    """Return `board` with the CPU name `host` replaced by this machine's, without features that the machine hides.

    Raises:
        BadOption: LLVM does not know the CPU.
    """
    if board.cpu == "host":
        name = str(tvm.get_global_func("target.llvm_get_system_cpu")())
        board = board.model_copy(update={"cpu": name})
        present = machine_flags()
        # Virtual machines hide instruction sets that LLVM infers from the CPU's name.
        inferred = features(llvm_target(board))
        hidden = [feature for feature in inferred if CPU_FLAGS.get(feature, "") not in present | {""}]
        board = board.model_copy(update={"features": (*board.features, *(f"-{feature}" for feature in hidden))})
    if not tvm.get_global_func("target.llvm_is_valid_cpu")(board.cpu, board.triple):
        remedy = f"Name one that `llc -mtriple={board.triple} -mcpu=help` lists."
        problem = f"board {board.name}: LLVM does not know the {board.architecture} CPU {board.cpu!r}"
        raise BadOption(problem, remedy=remedy)
    return board


def llvm_target(board: Board) -> tvm.target.Target:
    """Return TVM's target for the (resolved) board."""
    description = {"kind": "llvm", "mtriple": board.triple, "mcpu": board.cpu, "num-cores": board.threads}
    if board.features:
        description["mattr"] = list(board.features)
    return tvm.target.Target(description)


def features(target: tvm.target.Target) -> frozenset[str]:
    """Return LLVM's names of the features that code for `target` may use."""
    names = frozenset(map(str, tvm.get_global_func("target.llvm_get_cpu_features")(target)))
    given = [str(name) for name in target.attrs.get("mattr", ())]
    removed = {name[1:] for name in given if name.startswith("-")}
    added = {name[1:] for name in given if name.startswith("+")}
    return (names | added) - removed


def needed_flags(board: Board) -> list[str]:
    """Return the /proc/cpuinfo names of the instruction sets that code for the (resolved) board may use, sorted."""
    return sorted({CPU_FLAGS[name] for name in features(llvm_target(board)) if name in CPU_FLAGS})
