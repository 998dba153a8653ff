"""Recovery by gradients after pruning and few bits: `python bench/papers/recovery.py --only heads --minutes 10`.

It needs PyTorch. Every network is pruned or quantized with the repair by least squares, then trained for some minutes
to give the original's outputs again, without labels (`edgec recover`). The metric is measured on pictures that nothing
was fitted to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import onnx_ir as ir
from quantization_tasks import TASKS, Task

from edgec.compress.pruner import Pruner
from edgec.compress.quantization import quantize_model
from edgec.data.kept import KeptSamples
from edgec.data.samples import Samples
from edgec.evaluation.run_metrics import run_metrics
from edgec.model.cost import layer_costs, total_cost
from edgec.passes.prepare import prepare
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.progress import Reporter
from edgec.pruning import PruneOptions
from edgec.quantizing import QuantizeOptions
from edgec.recovering import RecoverOptions
from edgec.recovery.recover import recover_model
from edgec.reference.session import Reference

Change = Callable[[ir.Model, Samples], ir.Model]


def macs(model: ir.Model, part: str) -> int:
    """Return the multiply-accumulates of the layers whose names begin with `part`."""
    return sum(layer.macs for layer in layer_costs(model) if layer.name.startswith(part))


def pruned(left: float, part: str = "") -> Change:
    """Prune every group of `part` by the one ratio that leaves this fraction of its multiply-accumulates."""

    def change(model: ir.Model, samples: Samples) -> ir.Model:
        include = (f"{part}*",) if part else ()
        ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, include=include), samples)
        pruner = Pruner(ranked)
        names = [group.name for group in ranked.groups]
        plans = (pruner.plan(dict.fromkeys(names, percent / 100)) for percent in range(5, 95))
        enough = (plan for plan in plans if macs(pruner.sliced(plan), part) <= left * macs(model, part))
        return pruner.prune(next(enough)).model

    return change


def few_bits(bits: int) -> Change:
    """Store the weights in so many bits."""

    def change(model: ir.Model, samples: Samples) -> ir.Model:
        return quantize_model(model, samples, QuantizeOptions(weight_bits=bits, activations=False)).quantized.model

    return change


CASES: dict[str, tuple[str, str, Change]] = {
    "heads": ("detector", "demo detector, its heads at -50 % of their MACs", pruned(0.5, "/head/")),
    "orientation": ("orientation", "orientation, -75 % of the MACs", pruned(0.25)),
    "rec": ("rec", "PP-OCRv4 rec, -60 % of the MACs", pruned(0.4)),
    "w2-detector": ("detector", "demo detector, weights in 2 bits", few_bits(2)),
    "w2-cls": ("cls", "PP-OCR cls, weights in 2 bits", few_bits(2)),
}


def score(model: ir.Model, task: Task, samples: Samples) -> float:
    """Return the metric of the task."""
    return run_metrics(Reference(model, optimize=True).run, samples, {task.metric: task.make()})[task.metric].value


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=CASES, help="these cases alone")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--pictures", type=int, default=512, help="to train on, a fifth of them held out")
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--rate", type=float, default=RecoverOptions().rate)
    options = parser.parse_args()
    print("| network | float | changed, repaired | recovered | held-out loss | epochs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.only or CASES:
        key, what, change = CASES[name]
        task = TASKS[key]
        original = prepare(task.load())
        test = KeptSamples(task.samples("test", options.tests))
        pictures = KeptSamples(task.samples("calibration", options.pictures))
        smaller = change(original, task.samples("calibration", 128))
        listener = Reporter(lambda stage: print(stage, file=sys.stderr, flush=True))
        how = RecoverOptions(seconds=60 * options.minutes, rate=options.rate, patience=1000)
        result = recover_model(smaller, original, pictures, how, report=listener)
        values = [f"{score(model, task, test):.3f}" for model in (original, smaller, result.model)]
        cost = total_cost(layer_costs(smaller)).macs / total_cost(layer_costs(original)).macs
        losses = f"{result.before:.4f} to {result.after:.4f}"
        print(f"| {what} ({cost - 1:+.0%} in all) | {' | '.join(values)} | {losses} | {result.epochs} |", flush=True)


if __name__ == "__main__":
    main()
