"""Accuracy of quantized networks, ours and others', on the same pictures: the tables of docs/results/quantization.md.

`python bench/quantization.py [TASK ...] [--peers PYTHON] [--only ROW ...] [--calibration 128] [--test 500]`
PYTHON is an interpreter that has nncf, onnxruntime and aimet-onnx. Rows are appended to a file of results as they are
measured; what it holds already is not measured again. `--print` prints its tables and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from quantization_tasks import TASKS, Task

from edgec.compress.quantization import quantize_model
from edgec.data.decoders.base import Decoder
from edgec.data.decoders.detections import DetectionDecoder
from edgec.data.labels import Boxes, ClassLabel, Text
from edgec.data.metrics.base import MetricResult
from edgec.data.samples import Sample
from edgec.model.serialize import save
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference

Outputs = Mapping[str, Any]
Row = dict[str, Any]
Maker = Callable[[Path], None]
RESULTS = Path(__file__).parents[1] / "build" / "quantization.jsonl"
W4 = {"weight_bits": 4, "activations": False}
OURS: dict[str, dict[str, Any]] = {
    "edgec": {},
    "edgec fixed-point": {"calibrator": "fixed-point"},
    "edgec fixed-point, nearest, no equalization": {"calibrator": "fixed-point", "repair": False, "equalize": False},
    "edgec W4": W4,
    "edgec W4A8": {"weight_bits": 4},
    "edgec W4, nearest": {**W4, "repair": False},
    "edgec W3": {**W4, "weight_bits": 3},
    "edgec W2": {**W4, "weight_bits": 2},
    "edgec kmeans 4": {**W4, "codec": "kmeans"},
    "edgec kmeans 3": {**W4, "codec": "kmeans", "weight_bits": 3},
    "edgec kmeans 2": {**W4, "codec": "kmeans", "weight_bits": 2},
    "edgec log2 4": {**W4, "codec": "log2"},
    "edgec binary": {**W4, "codec": "binary", "weight_bits": 1},
}
PEERS = ("nncf", "nncf-full", "ort-minmax", "ort-entropy", "ort-percentile", "aimet")
NAMES = {
    "nncf": "NNCF",
    "nncf-full": "NNCF, full bias correction",
    "ort-minmax": "ONNX Runtime minmax",
    "ort-entropy": "ONNX Runtime entropy",
    "ort-percentile": "ONNX Runtime percentile",
    "aimet": "AIMET",
}
SURE = 0.3
"""Score from which a box of the float network counts as its answer."""


def main() -> None:
    """Measure the rows that are missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--peers", help="Python interpreter with the peers; default: none are run")
    parser.add_argument("--only", nargs="*", help="rows to measure; default: all")
    parser.add_argument("--calibration", type=int, default=128)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--print", action="store_true", help="print the tables of all results, measure nothing")
    options = parser.parse_args()
    if not options.print:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        for name in options.tasks:
            measure(name, options)
    tables(read(options.results), options.tasks, (options.calibration, options.test))


def read(results: Path) -> list[Row]:
    """Return all rows of the file, the last of each kind."""
    lines = results.read_text().splitlines() if results.exists() else []
    return list({key(row): row for row in map(json.loads, lines)}.values())


def key(row: Row) -> tuple[Any, ...]:
    return row["task"], row["row"], row["calibration"], row["test"]


def measure(name: str, options: argparse.Namespace) -> None:
    """Append the rows of a task that are not in the file."""
    task, common = TASKS[name], {"task": name, "calibration": options.calibration, "test": options.test}
    done = {key(row) for row in read(options.results)}
    with tempfile.TemporaryDirectory() as folder:
        makers: dict[str, Maker] = {"float": lambda path: save(task.load(), path)}
        makers |= {variant: ours(task, settings, options) for variant, settings in OURS.items()}
        if options.peers:
            makers |= {peer: theirs(task, peer, Path(folder), options) for peer in PEERS}
        chosen = {variant: {**common, "row": variant} for variant in options.only or makers}
        left = {variant: row for variant, row in chosen.items() if key(row) not in done}
        if not left:
            return
        test = list(task.samples("test", options.test))
        agreed = relabelled(task, test, Reference(task.load(), threads=options.threads, optimize=True))
        for variant, row in left.items():
            path, start = Path(folder) / "quantized.onnx", time.perf_counter()
            try:
                makers[variant](path)
            except subprocess.CalledProcessError as error:
                row["failure"] = ((error.stderr or "").strip().splitlines()[-1:] or ["?"])[0]
            else:
                row.update({"s": time.perf_counter() - start, "MB": path.stat().st_size / 1e6})
                made = Reference(path.read_bytes(), threads=options.threads, optimize=True)
                row.update(judged(task, test, agreed, made))
            with options.results.open("a") as file:
                print(json.dumps(row), file=file, flush=True)
            print(json.dumps(row), flush=True)


def ours(task: Task, settings: dict[str, Any], options: argparse.Namespace) -> Maker:
    def make(path: Path) -> None:
        samples = task.samples("calibration", options.calibration)
        result = quantize_model(task.canonical(), samples, QuantizeOptions(**settings), threads=options.threads)
        save(result.quantized.model, path)

    return make


def theirs(task: Task, peer: str, folder: Path, options: argparse.Namespace) -> Maker:
    def make(path: Path) -> None:
        data, model = folder / "calibration.npz", folder / "float.onnx"
        if not data.exists():
            samples = task.samples("calibration", options.calibration)
            np.savez(data, samples=np.concatenate([next(iter(sample.inputs.values())) for sample in samples]))
            save(task.load(), model)
        script = Path(__file__).with_name("quantization_peers.py")
        command = [options.peers, str(script), peer, str(model), str(data), str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment)

    return make


def judged(task: Task, test: list[Sample], agreed: list[Sample], network: Reference) -> Row:
    """Return the metric against the labels and, as agreement, against what the float network finds."""
    boxes = {"map": "map50"}
    own, same = task.make(), replace(task, metric=boxes.get(task.metric, task.metric)).make()
    for sample, expected in zip(test, agreed, strict=True):
        outputs = network.run(sample.inputs)
        own.update(outputs, sample)
        same.update(outputs, expected)
    result = own.result()
    row = {"metric": _first(result), "agreement": _first(same.result())}
    similarity = result.details.get("edit-distance")
    return row if similarity is None else {**row, "similarity": float(similarity)}


def _first(result: MetricResult) -> float:
    """Return exact match for texts; else the metric itself."""
    return float(result.details.get("exact-match", result.value))


def relabelled(task: Task, samples: Iterable[Sample], network: Reference) -> list[Sample]:
    """Return the samples with what the float network finds as their labels."""
    decoder = task.read()
    return [replace(sample, label=_found(decoder, network.run(sample.inputs), sample)) for sample in samples]


def _found(decoder: Decoder | None, outputs: Outputs, sample: Sample) -> Boxes | Text | ClassLabel:
    if decoder is None:
        return ClassLabel(int(next(iter(outputs.values())).argmax()))
    if not isinstance(decoder, DetectionDecoder):
        return Text(decoder(outputs, sample))
    found = decoder(outputs, sample)
    sure = found.scores >= SURE
    return Boxes.of(found.boxes[sure], found.labels[sure])


def tables(rows: list[Row], tasks: Iterable[str], counts: tuple[int, int]) -> None:
    """Print a table for each figure: ways down, tasks across; numbers of pictures where they are not `counts`."""
    present = [task for task in tasks if any(row["task"] == task for row in rows)]
    texts = [task for task in present if any(row["task"] == task and "similarity" in row for row in rows)]
    ways = [way for way in ("float", *OURS, *PEERS) if any(row["row"] == way for row in rows)]
    for figure, digits in (("metric", 3), ("agreement", 3), ("MB", 2)):
        columns = [(task, task, figure) for task in present]
        if figure == "metric":
            columns += [(f"{task}, edit similarity", task, "similarity") for task in texts]
        print(f"\n| {figure} | {' | '.join(title for title, _, _ in columns)} |\n|{' --- |' * (len(columns) + 1)}")
        for way in ways:
            cells = []
            for _, task, which in columns:
                found = [row for row in rows if (row["task"], row["row"]) == (task, way)]
                cells.append(_cell(found, which, digits, counts))
            print(f"| {NAMES.get(way, way)} | {' | '.join(cells)} |")


def _cell(rows: list[Row], figure: str, digits: int, counts: tuple[int, int]) -> str:
    """Return the figure on the most pictures."""
    if not rows:
        return ""
    row = max(rows, key=lambda row: (row["test"], row["calibration"]))
    if figure not in row:
        return "failed" if "failure" in row else ""
    text = f"{row[figure]:.{digits}f}"
    pictures = row["calibration"], row["test"]
    return text if pictures == counts else f"{text} ({pictures[0]} / {pictures[1]})"


if __name__ == "__main__":
    main()
