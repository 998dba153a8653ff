"""Kills `edgec tune` at ten random moments and lets it go on each time: what the database holds after each.

python bench/tuning_kills.py [--folder FOLDER] [--network detector]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx_ir as ir
from networks import network

from edgec.targets.tvm.tuning.database import Database

KILLS, EARLIEST_S, LATEST_S = 10, 5.0, 45.0


def measurements(path: Path) -> list[str]:
    """Return the lines of the database that hold a measurement."""
    return [each.model_dump_json() for each in Database(path).measurements]


def main() -> None:
    """Print a line for each kill; fail where a measurement got lost or was made twice in a first look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("tuning-kills"))
    parser.add_argument("--network", default="detector")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    model, path = options.folder / "model.onnx", options.folder / "tune.db"
    path.unlink(missing_ok=True)
    ir.save(network(options.network), model)
    command = [sys.executable, "-c", "from edgec.cli import main; main()", "tune", str(model), "-o", str(path)]
    rng, before = random.Random(0), []
    for kill in range(1, KILLS + 1):
        moment = rng.uniform(EARLIEST_S, LATEST_S)
        process = subprocess.Popen([*command, "--time", "10m", "-q"], start_new_session=True)
        time.sleep(moment)
        there = measurements(path)  # on the disk, so acknowledged
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        after = measurements(path)
        assert after[: len(before)] == before, "a measurement of an earlier run is gone"
        assert after[: len(there)] == there, "an acknowledged measurement is gone"
        first = [(each.workload, str(each.choice)) for each in Database(path).measurements if each.stage == "first"]
        assert len(first) == len(set(first)), "a first look was made twice"
        print(
            f"kill {kill} after {moment:.0f} s: {len(after)} measurements, {len(after) - len(before)} new", flush=True
        )
        before = after


if __name__ == "__main__":
    main()
