"""The demo detector with only its head pruned: prints the table of docs/results/pruning.md.

    python bench/pruning_detector.py --results FOLDER [--torch PYTHON] [--epochs 4] [--model FILE]

Within an accepted loss of mAP, by filters alone and with repair; then to half of the multiply-accumulates; both trained
further where PYTHON has PyTorch, and on integers too. Results and networks are kept in FOLDER as they come. FILE is
another network of examples/detector/train.py than the demo's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import onnx_ir as ir
from pruning import Results
from quantization_tasks import TASKS

from edgec.compress.pruner import Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.quantization import quantize_model
from edgec.compress.sensitivity import measure_sensitivity
from edgec.data.metrics.base import MetricContext
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.run_metrics import run_metrics
from edgec.evaluation.task import Task
from edgec.jobs.workers import Workers
from edgec.model.cost import layer_costs
from edgec.model.load import load
from edgec.model.serialize import save, weight_bytes
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference

TASK = TASKS["detector"]
HEAD = ("/head/*",)
MULTIPLE = 4
CAP = 0.9
REACH = (0.6, 0.7, 0.9)
FINETUNE = Path(__file__).parents[1] / "examples" / "detector" / "finetune.py"


class Bench:
    """The detector and its pictures."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.model = detector(options.model)
        samples = list(TASK.samples("calibration", options.calibration + options.watched))
        self.calibration, watched = samples[: options.calibration], samples[options.calibration :]
        self.evaluator = Evaluator(self.model, Task(watched, "map", MetricContext(TASK.read())), threads=1)
        self.test = list(TASK.samples("test", options.tests))

    def pruned(self, criterion: str, repair: bool, **settings: float) -> ir.Model:
        """Return the detector with its head pruned by sensitivity."""
        options = PruneOptions(criterion=criterion, repair=repair, include=HEAD, multiple=MULTIPLE, **settings)
        ranked = RankedChannels.of(self.model, options, self.calibration if repair else None, threads=1)
        report = measure_sensitivity(
            self.model, ranked.groups, ranked.rankings, self.evaluator, criterion=criterion,
            journal=self.folder / f"{criterion}{repair}.jsonl", moments=ranked.moments, workers=Workers(0),
        )  # fmt: skip
        pruner = Pruner(ranked, self.evaluator, multiple=MULTIPLE, refit=repair, threads=1)
        return prune(pruner, options, sensitivity=report).model

    def tuned(self, name: str) -> ir.Model:
        """Return the network `name` trained further."""
        path = self.folder / f"{name} trained.onnx"
        command = [self.options.torch, FINETUNE, self.folder / f"{name}.onnx", "--output", path, "--threads", "1"]
        subprocess.run([*map(str, command), "--epochs", str(self.options.epochs)], check=True)
        return load(path).model

    def integers(self, name: str) -> ir.Model:
        """Return the network `name` on integers."""
        model = prepare(load(self.folder / f"{name}.onnx").model)
        samples = TASK.samples("calibration", self.options.calibration)
        return quantize_model(model, samples, QuantizeOptions(), threads=1).quantized.model

    def judge(self, model: ir.Model, floats: ir.Model) -> dict[str, Any]:
        """Return the figures of a row: mAP of `model`, the cost of the layers of `floats`."""
        run = Reference(model, threads=1, optimize=True).run
        value = run_metrics(run, self.test, {"map": TASK.make()})["map"].value
        macs, head = _macs_and_head(floats)
        return {"map": value, "head": head, "macs": macs, "bytes": weight_bytes(model)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder")
    parser.add_argument("--model", type=Path, default=TASK.path, help="ONNX file")
    parser.add_argument("--torch", help="Python with PyTorch; without it nothing is trained")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--accepted", type=float, default=0.01, help="loss of mAP")
    parser.add_argument("--left", type=float, default=0.5, help="share of the multiply-accumulates")
    parser.add_argument("--calibration", type=int, default=256, help="pictures to repair by")
    parser.add_argument("--watched", type=int, default=200, help="others, with labels, to measure the loss on")
    parser.add_argument("--tests", type=int, default=500, help="others, to judge by")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    results = Results(options.results / "rows.jsonl")
    bench = cache(lambda: Bench(options.results, options))
    within, half = f"obs, repaired, within {options.accepted:g}", f"obs, repaired, {1 - options.left:.0%} of the MACs"
    further = f"{within}, at most {CAP:.0%} of a group"
    makers: dict[str, Callable[[], ir.Model]] = {
        "original": lambda: bench().model,
        f"L1, no repair, within {options.accepted:g}": lambda: bench().pruned("l1", False, max_loss=options.accepted),
        f"FPGM, no repair, within {options.accepted:g}": lambda: bench().pruned(
            "fpgm", False, max_loss=options.accepted
        ),
        within: lambda: bench().pruned("obs", True, max_loss=options.accepted),
        further: lambda: bench().pruned("obs", True, max_loss=options.accepted, cap=CAP),
        f"{further}, int8": lambda: bench().integers(further),
        half: lambda: bench().pruned("obs", True, target_macs=options.left, cap=CAP),
    }
    for name in (further, half) if options.torch else ():
        makers[f"{name}, trained"] = lambda name=name: bench().tuned(name)
        makers[f"{name}, trained, int8"] = lambda name=name: bench().integers(f"{name}, trained")
    for name, make in makers.items():
        if name in results.rows:
            continue
        model = make()
        floats = load(options.results / f"{name.removesuffix(', int8')}.onnx").model if "int8" in name else model
        save(model, options.results / f"{name}.onnx")
        results.add(name, bench().judge(model, floats))
        print(name, results.rows[name], flush=True)
    print_table(results.rows)
    print_reach(detector(options.model))


def print_table(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what is known."""
    whole = rows["original"]
    print("| | head's parameters | MACs | MB | mAP | loss |\n" + "| --- " * 6 + "|")
    for name, row in rows.items():
        head, macs = (f"{row[key] / whole[key] - 1:+.1%}" for key in ("head", "macs"))
        size = f"{row['bytes'] / 1e6:.2f} ({row['bytes'] / whole['bytes'] - 1:+.0%})"
        print(f"| {name} | {head} | {macs} | {size} | {row['map']:.3f} | {whole['map'] - row['map']:.3f} |")


def detector(path: Path) -> ir.Model:
    """Return the network as pruning takes it."""
    return prepare(fix_shapes(load(path).model, {}))


def print_reach(model: ir.Model) -> None:
    """Print what is saved, whatever is lost, by cutting every group of the head alike."""
    ranked = RankedChannels.of(model, PruneOptions(ratio=REACH[0], criterion="l1", include=HEAD), None)
    macs, head = _macs_and_head(model)
    for ratio in REACH:
        plan = ranked.plan(dict.fromkeys((group.name for group in ranked.groups), ratio), MULTIPLE)
        left_macs, left_head = _macs_and_head(SliceChannels(plan)(model.clone()).model)
        saved = f"head {left_head / head - 1:+.1%}, MACs {left_macs / macs - 1:+.1%}"
        print(f"every group of the head cut by {ratio:.0%}: {saved}")


def _macs_and_head(model: ir.Model) -> tuple[int, int]:
    layers = layer_costs(model)
    return sum(layer.macs for layer in layers), sum(layer.parameters for layer in layers if "/head/" in layer.name)


if __name__ == "__main__":
    main()
