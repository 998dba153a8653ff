"""Time on this machine and instructions on ARM of the artefacts of several networks."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

sys.path.append(str(Path(__file__).parent / "insn_count"))
import onnx_ir as ir
from count import regions
from count import run as count

import edgec

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

BOARD = "rpi4"
TURNS = 7
RUNS = 30


def measured(models: Mapping[str, ir.Model]) -> dict[str, tuple[float, float]]:
    """Return, by name, milliseconds on this machine (one thread, median, by turns) and instructions on `BOARD`."""
    with tempfile.TemporaryDirectory() as folder:
        here, there = (
            {
                name: edgec.compile(model, target=target, output=f"{folder}/{number}.{target}", threads=1)
                for number, (name, model) in enumerate(models.items())
            }
            for target in ("host", BOARD)
        )
        times: dict[str, list[float]] = {name: [] for name in models}
        for _ in range(TURNS):
            for name, artefact in here.items():
                times[name].append(artefact.bench(runs=RUNS).median)
        result = {}
        for name, arm in there.items():
            command = [arm.folder / "edgec-run", "--threads", "1", "--runs", "1", "--mark"]
            total = regions(count(command, cpu=arm.manifest.board.emulator_cpu or "max"))[0]["total"]
            result[name] = (median(times[name]), float(total))
        return result
