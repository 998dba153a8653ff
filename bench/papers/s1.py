"""S1, a light head and pruning by sensitivity: `python bench/papers/s1.py --standard detector-standard.onnx`.

Three rows as in the source: YOLOv3 on MobileNetV1 with a standard head (written by `examples/detector/train.py --head
standard`), with a separable head (`examples/detector/detector.onnx`), and that with its head pruned by sensitivity,
here without retraining. Latencies are medians of runs by turns on this machine, instructions those of one inference on
ARM.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import onnx_ir as ir
from artefacts import BOARD, measured
from quantization_tasks import TASKS

from edgec.compress.pruner import Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.sensitivity import measure_sensitivity
from edgec.data.metrics.base import MetricContext
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.run_metrics import run_metrics
from edgec.evaluation.task import Task
from edgec.jobs.workers import Workers
from edgec.model.cost import layer_costs, total_cost
from edgec.model.load import load
from edgec.model.serialize import weight_bytes
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference

PUBLISHED = """
Published, Jetson TX2: 5.0 frames a second with the standard head, 9.6 with the separable, 12.0 pruned (x 2.4); size
-67.9 % and -78.5 %, almost no loss of mAP; with retraining."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--standard", type=Path, help="trained with a standard head; else that row is left out")
    parser.add_argument("--untrained", action="store_true", help="it was not trained to the end: no mAP for it")
    parser.add_argument("--calibration", type=int, default=96)
    parser.add_argument("--tests", type=int, default=300)
    parser.add_argument("--max-loss", type=float, default=0.01)
    options = parser.parse_args()
    task = TASKS["detector"]
    separable = prepare(task.load())
    rows: dict[str, ir.Model] = {}
    if options.standard:
        rows["standard head"] = prepare(fix_shapes(load(options.standard).model, {}))
    rows["separable head"] = separable
    rows["separable head, pruned"] = pruned(separable, options.calibration, options.max_loss)
    test = list(task.samples("test", options.tests))
    figures = measured(rows)
    print(f"| head | parameters | MB | MACs | mAP, {len(test)} pictures | host, ms | M instructions, {BOARD} |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, model in rows.items():
        cost = total_cost(layer_costs(model))
        known = not (options.untrained and name == "standard head")
        value = (
            run_metrics(Reference(model, optimize=True).run, test, {"map": task.make()})["map"].value if known else 0.0
        )
        words = f"{value:.3f}" if known else "not trained"
        size = f"{cost.parameters:,} | {weight_bytes(model) / 1e6:.2f} | {cost.macs / 1e6:.1f} M"
        milliseconds, instructions = figures[name]
        print(f"| {name} | {size} | {words} | {milliseconds:.2f} | {instructions / 1e6:.1f} |")
    print(PUBLISHED)


def pruned(model: ir.Model, samples: int, accepted: float) -> ir.Model:
    """Return the network with its head pruned by sensitivity within `accepted` mAP, capped at 0.7, and repaired."""
    task = TASKS["detector"]
    calibration = list(task.samples("calibration", samples))
    options = PruneOptions(max_loss=accepted, include=("/head/*",), multiple=4)
    ranked = RankedChannels.of(model, options, calibration)
    evaluator = Evaluator(model, Task(calibration, "map", MetricContext(task.read())))
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        report = measure_sensitivity(
            model, ranked.groups, ranked.rankings, evaluator, criterion="obs", journal=journal, moments=ranked.moments,
            workers=Workers(0),
        )  # fmt: skip
    return prune(Pruner(ranked, evaluator, multiple=options.multiple), options, sensitivity=report).model


if __name__ == "__main__":
    main()
