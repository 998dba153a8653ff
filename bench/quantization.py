"""Accuracy of quantized networks, ours and others', on the same pictures: prints the tables of docs/quantization.md.

`python bench/quantization.py [TASK ...] [--peers PYTHON] [--bits 8 4] [--calibration 128] [--test 500]`
PYTHON is an interpreter that has nncf, onnxruntime and aimet-onnx.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from quantization_tasks import TASKS, Task

from edgec.data.decoders.detections import DetectionDecoder
from edgec.data.labels import Boxes, ClassLabel, Label, Text
from edgec.data.samples import Sample
from edgec.model.serialize import save
from edgec.passes.quantize.workflow import QuantizeSettings, quantize_model
from edgec.reference.session import Reference

Outputs = Mapping[str, Any]
PEERS = ("nncf", "nncf-full", "ort-minmax-macs", "ort-entropy-macs", "ort-percentile-macs", "aimet")
OURS: dict[str, dict[str, Any]] = {
    "edgec": {},
    "edgec minmax": {"calibrator": "minmax"},
    "edgec minmax, no repair": {"calibrator": "minmax", "repair": False},
    "edgec fixed-point": {"calibrator": "fixed-point"},
    "edgec fixed-point, no repair": {"calibrator": "fixed-point", "repair": False},
    "edgec W4A8": {"weight_bits": 4},
    "edgec W4": {"weight_bits": 4, "activations": False},
    "edgec W4, nearest": {"weight_bits": 4, "activations": False, "repair": False},
    "edgec W3": {"weight_bits": 3, "activations": False},
    "edgec W2": {"weight_bits": 2, "activations": False},
}


def main() -> None:
    """Print a table for each task, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--peers", help="Python interpreter with the peers; default: none are run")
    parser.add_argument("--only", nargs="*", help="rows to measure")
    parser.add_argument("--calibration", type=int, default=128)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for name in options.tasks:
        table(name, options)


def table(name: str, options: argparse.Namespace) -> None:
    task = TASKS[name]
    test = list(task.samples("test", options.test))
    original = task.load()
    run = Reference(original, threads=options.threads, optimize=True).run
    expected = [run(sample.inputs) for sample in test]
    agreed = relabelled(task, test, expected)
    print(f"\n### {name}: {options.calibration} calibration, {options.test} test pictures\n", flush=True)
    print("| | metric | agreement | MB | s |\n| --- | --- | --- | --- | --- |", flush=True)
    print(row("float", score(task, test, expected), 1.0, task.path.stat().st_size, 0.0), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        makers: dict[str, Callable[[Path], None]] = {}
        for variant, settings in OURS.items():
            makers[variant] = ours(task, settings, options)
        if options.peers:
            for peer in PEERS:
                makers[peer] = theirs(task, peer, Path(folder), options)
        for variant, make in makers.items():
            if options.only and variant not in options.only:
                continue
            path, start = Path(folder) / "quantized.onnx", time.perf_counter()
            try:
                make(path)
            except subprocess.CalledProcessError as error:
                last = (error.stderr or "").strip().splitlines()[-1:] or ["?"]
                print(f"| {variant} | failed: {last[0][:100]} | | | |", flush=True)
                continue
            seconds = time.perf_counter() - start
            result = Reference(path.read_bytes(), threads=options.threads, optimize=True).run
            got = [result(sample.inputs) for sample in test]
            print(
                row(
                    variant,
                    score(task, test, got),
                    score(task, agreed, got, agreement=True),
                    path.stat().st_size,
                    seconds,
                ),
                flush=True,
            )


def ours(task: Task, settings: dict[str, Any], options: argparse.Namespace) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        samples = task.samples("calibration", options.calibration)
        result = quantize_model(task.canonical(), samples, QuantizeSettings(**settings), threads=options.threads)
        save(result.quantized.model, path)

    return make


def theirs(task: Task, peer: str, folder: Path, options: argparse.Namespace) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        data, model = folder / "calibration.npz", folder / "float.onnx"
        if not data.exists():
            samples = task.samples("calibration", options.calibration)
            np.savez(data, samples=np.concatenate([next(iter(sample.inputs.values())) for sample in samples]))
            save(task.load(), model)
        script = Path(__file__).with_name("quantization_peers.py")
        command = [options.peers, str(script), peer, str(model), str(data), str(path)]
        subprocess.run(command, check=True, capture_output=True, text=True)

    return make


def score(task: Task, samples: list[Sample], outputs: list[Outputs], *, agreement: bool = False) -> float:
    """Return exact match for texts, top-1, or average precision; against other labels, the agreement."""
    boxes = {"map": "map50"}
    metric = replace(task, metric=boxes.get(task.metric, task.metric)).make() if agreement else task.make()
    for sample, each in zip(samples, outputs, strict=True):
        metric.update(each, sample)
    result = metric.result()
    return float(result.details.get("exact-match", result.value))


def relabelled(task: Task, samples: list[Sample], outputs: list[Outputs]) -> list[Sample]:
    """Return the samples with what the float model finds as their labels."""
    decoder = task.read()
    result = []
    for sample, each in zip(samples, outputs, strict=True):
        label: Label
        if isinstance(decoder, DetectionDecoder):
            found = decoder(each, sample)
            sure = found.scores >= 0.3
            label = Boxes.of(found.boxes[sure], found.labels[sure])
        elif decoder is not None:
            label = Text(decoder(each, sample))
        else:
            label = ClassLabel(int(next(iter(each.values())).argmax()))
        result.append(replace(sample, label=label))
    return result


def row(name: str, metric: float, agreement: float, size: int, seconds: float) -> str:
    return f"| {name} | {metric:.3f} | {agreement:.3f} | {size / 1e6:.2f} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
