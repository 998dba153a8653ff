"""Compile the demo detector for three boards, run what runs here, compress it, draw and report: `make demo`."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from dataset import split
from decode import preprocess
from PIL import Image
from rich.console import Console
from rich.table import Table

import edgec
from edgec.errors import CannotRunHere
from edgec.targets.tvm.run import SYSROOTS

HERE = Path(__file__).parent
OUT = Path("demo")
BOARDS = ("host", "rpi4", "jetson-tx2")
SCALE = 4  # of the drawing
MAX_LOSS = 0.03  # of mAP; with few pictures, for the demo's sake, less could not be told from chance
ARM = "aarch64"
PRUNED = "/head/*_32/*"  # three quarters of the head's weights

sys.path.append(str(HERE.parent.parent / "bench" / "insn_count"))
from count import regions, run  # noqa: E402


def main() -> None:
    """Compile, run, print the table, draw."""
    console = Console()
    picture = split("validation", 1)[0].picture
    golden = {"image": preprocess(picture)}
    table = Table("target", "precision", "size", "error*", "speed", box=None, pad_edge=False)
    remedies = {}
    for board in BOARDS:
        with console.status(f"compiling for {board}") as status:
            artefact = edgec.compile(
                HERE / "detector.onnx",
                target=board,
                output=OUT / f"detector.{board}",
                inputs=golden,
                decoder=str(HERE / "detector.json"),
                progress=lambda stage, board=board, status=status: status.update(f"{board}: {stage}"),
            )
            try:
                verification = artefact.verify()
                error = f"{verification.worst:.1e} ({_where(verification.where)})"
                speed = _speed(artefact)
            except CannotRunHere as refusal:
                error, speed = "on the board", "on the board"
                remedies[board] = f"{refusal.problem}. {refusal.remedy or ''}"
        size = f"{artefact.size / 2**20:.1f} MiB"
        table.add_row(board, artefact.manifest.options.precision, size, error, speed)
    console.print(table)
    console.print("* largest difference to ONNX Runtime, relative to the range of the output", highlight=False)
    for board, remedy in remedies.items():
        console.print(f"{board}: {remedy}", highlight=False, markup=False)
    report = _compress(console, golden)

    size = (SCALE * picture.shape[1], SCALE * picture.shape[0])
    enlarged = Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)
    found = edgec.load(OUT / "detector.host").predict(enlarged)
    found.draw(enlarged).save(OUT / "detections.png")
    console.print(f"{OUT}/detections.png: {', '.join(found.names)}", highlight=False)
    _detect_as_the_board(console, enlarged)
    console.print(f"report: {report}", highlight=False)


def _compress(console: Console, golden: dict[str, np.ndarray]) -> Path:
    """Compress within an accepted loss, for this machine; say what came of it, and return the report's path."""
    with console.status("compressing") as status:
        artefact = edgec.compile(
            HERE / "detector.onnx",
            target="host",
            output=OUT / "detector.small",
            inputs=golden,
            data=f"{HERE / 'pictures.py'}:calibration",
            metric="map",
            decoder=str(HERE / "detector.json"),
            max_loss=MAX_LOSS,
            prune={"include": [PRUNED]},
            progress=lambda stage: status.update(f"compressing: {stage}"),
        )
        artefact.verify(keep=True)
        artefact.bench(runs=50, keep=True)
    compression = artefact.manifest.compression
    first, last = compression.steps[0], compression.steps[-1]
    saved = f"weights {last.weight_bytes / first.weight_bytes - 1:+.0%}, MACs {last.macs / first.macs - 1:+.0%}"
    lost = f"{compression.before:.3f} to {compression.after:.3f} ({compression.held_out} pictures held out)"
    console.print(f"compressed: {saved}, mAP {lost}", highlight=False)
    report = OUT / "report.html"
    edgec.Report(artefact).save(report)
    return report


def _detect_as_the_board(console: Console, picture: Image.Image) -> None:
    """Let the Raspberry Pi's own program read, detect and draw, where its code can be run."""
    emulator = shutil.which(f"qemu-{ARM}")
    sysroot, _ = SYSROOTS[ARM]
    if platform.machine() != ARM and (emulator is None or not sysroot.exists()):
        return
    picture.save(OUT / "picture.png")
    by_emulator = [] if platform.machine() == ARM else [emulator, "-L", sysroot]
    program, drawn = OUT / "detector.rpi4" / "edgec-detect", OUT / "rpi4"
    command = [*by_emulator, program, OUT / "picture.png", "--output", drawn, "--json", "--threads", "1"]
    said = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    names = ", ".join(each["name"] for each in json.loads(said)["detections"])
    console.print(f"{drawn}/picture.png: {names} (by the rpi4 artefact's own program)", highlight=False)


def _where(description: str) -> str:
    return "emulated" if description.startswith("qemu") else description


def _speed(artefact: edgec.Artefact) -> str:
    board = artefact.manifest.board
    if board.architecture == platform.machine():
        latency = artefact.bench(runs=50)
        return f"{latency.median:.2f} ms, {latency.threads} threads"
    command = [artefact.folder / "edgec-run", "--threads", "1", "--runs", "1", "--mark"]
    counts = regions(run(command, cpu=board.emulator_cpu or "max"))[0]
    return f"{counts['total'] / 1e6:.1f} M instructions"


if __name__ == "__main__":
    main()
