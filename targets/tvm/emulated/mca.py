"""Cycles of blocks of AArch64 instructions, as llvm-mca models a core."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from edgec.errors import MissingDependency

VERSIONS = (19, 20, 21, 22, 23, 18, 17, 16)
"""Versions of LLVM, that of the fit first; older ones have no model of the A76."""
REMEDY = "sudo apt-get install llvm-19"
ITERATIONS = 100
"""Number of iterations of a block: its speed in a loop is what matters."""
BATCH = 100
"""Number of blocks per call of llvm-mca."""
TARGETS_OF_JUMPS = re.compile(r"^((?:b|bl|b\.\w+|cbn?z|tbn?z) .*?)#-?\d+$")
LABEL = ".Ltarget"

Block = tuple[str, ...]
"""Opcodes in hexadecimal, as the plugin writes them."""


@dataclass(frozen=True)
class Tools:
    """Paths of the disassembler and of the model."""

    mc: str
    mca: str


def find_tools() -> Tools:
    """Return LLVM's tools on this machine.

    Raises:
        MissingDependency: There are none, or they are too old.
    """
    for suffix in (*(f"-{version}" for version in VERSIONS), ""):
        mc, mca = shutil.which(f"llvm-mc{suffix}"), shutil.which(f"llvm-mca{suffix}")
        if mc and mca and (suffix or _version(mca) >= min(VERSIONS)):
            return Tools(mc, mca)
    raise MissingDependency(
        f"llvm-mca of LLVM {min(VERSIONS)} or newer is needed for the time of a board, and is not installed",
        remedy=REMEDY,
    )


def cycles(blocks: Sequence[Block], core: str, tools: Tools) -> list[float]:
    """Return the cycles of each block in a loop on LLVM's CPU `core`, without waiting for memory."""
    known = disassembled(sorted({opcode for block in blocks for opcode in block}), tools)
    texts = ["\n".join(known[opcode] for opcode in block) for block in blocks]
    found: list[float] = []
    for first in range(0, len(texts), BATCH):
        found += _cycles(texts[first : first + BATCH], core, tools)
    return found


def disassembled(opcodes: Sequence[str], tools: Tools) -> dict[str, str]:
    """Return the assembly of each opcode; jumps go to `LABEL`, and opcodes unknown to LLVM become `nop`."""
    text = "\n".join(" ".join(f"0x{opcode[place : place + 2]}" for place in (6, 4, 2, 0)) for opcode in opcodes)
    command = [tools.mc, "--disassemble", "-triple=aarch64", "-mattr=+all"]
    done = subprocess.run(command, input=text + "\n", capture_output=True, text=True, check=False)
    unknown = {int(line) - 1 for line in re.findall(r"^<stdin>:(\d+):", done.stderr, re.MULTILINE)}
    lines = iter(" ".join(line.split()) for line in done.stdout.splitlines() if line.strip() not in {"", ".text"})
    return {
        opcode: "nop" if place in unknown else TARGETS_OF_JUMPS.sub(rf"\1{LABEL}", next(lines, "nop"))
        for place, opcode in enumerate(opcodes)
    }


def total_cycles(report: str) -> dict[int, float]:
    """Return the cycles of an iteration of each region `block N` in a report of llvm-mca."""
    regions = re.finditer(r"Code Region - block (\d+)\n.*?Total Cycles:\s+(\d+)", report, re.DOTALL)
    return {int(region[1]): int(region[2]) / ITERATIONS for region in regions}


def _version(mca: str) -> int:
    """Return the LLVM version of a tool whose name does not contain it."""
    told = subprocess.run([mca, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", told)
    return int(found[1]) if found else 0


def _cycles(texts: Sequence[str], core: str, tools: Tools) -> list[float]:
    parts = [f"# LLVM-MCA-BEGIN block {place}\n{text}\n# LLVM-MCA-END" for place, text in enumerate(texts)]
    command = [tools.mca, "-mtriple=aarch64", f"-mcpu={core}", "-mattr=+all", f"-iterations={ITERATIONS}"]
    command += ["-instruction-info=0", "-resource-pressure=0"]
    source = "\n".join([f"{LABEL}:", *parts, ""])
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    found = total_cycles(done.stdout)
    if done.returncode == 0 and len(found) == len(texts):
        return [found[place] for place in range(len(texts))]
    if len(texts) == 1:  # for an instruction that the model lacks, assume two instructions per cycle
        return [(texts[0].count("\n") + 1) / 2]
    half = len(texts) // 2
    return _cycles(texts[:half], core, tools) + _cycles(texts[half:], core, tools)
