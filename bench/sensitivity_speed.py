"""Sensitivity of the demo detector, edgec's way and the naive one: `python bench/sensitivity_speed.py`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import onnx_ir as ir
from quantization_tasks import TASKS

from edgec.compress.sensitivity import RATIOS, measure_sensitivity
from edgec.data.metrics.base import MetricContext, make_metric
from edgec.data.samples import spread
from edgec.data.source import open_samples
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.run_metrics import run_metrics
from edgec.evaluation.task import Task
from edgec.model.signature import inputs_of
from edgec.passes.channels.masked import masked_weights
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import choose
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="COCO .json that examples/detector/write_pictures.py wrote")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--every", type=int, default=1, help="naive way: time every n-th point only, and extrapolate")
    parser.add_argument("--include", nargs="*", default=["/head/*"])
    options = parser.parse_args()
    task = TASKS["detector"]
    model = prepare(task.load())
    samples = spread(open_samples(options.data, inputs_of(model), task.preprocessing), options.pictures)
    ranked = RankedChannels.of(model, PruneOptions(ratio=0.5, criterion="l1", include=tuple(options.include)), None)
    context = MetricContext(task.read(), samples.classes)
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.monotonic(), cpu_seconds()
        evaluator = Evaluator(model, Task(samples, task.metric, context))
        report = measure_sensitivity(
            model, ranked.groups, ranked.rankings, evaluator, criterion="l1", journal=Path(folder) / "journal"
        )
        ours, our_cpu = time.monotonic() - start, cpu_seconds() - before
    points = [(group, ratio) for group in ranked.groups for ratio in RATIOS]
    timed = points[:: options.every]
    worst, start, before = 0.0, time.monotonic(), cpu_seconds()
    for group, ratio in timed:
        plan = PrunePlan.of({group.name: (group, choose(group, ranked.rankings[group.name], ratio))})
        pruned = model.clone()
        for name, array in masked_weights(model, ranked.channels, plan).items():
            pruned.graph.initializers[name].const_value = ir.tensor(array, name=name)
        value = run_metrics(Reference(pruned, threads=1).run, samples, {"m": make_metric(task.metric, context)})[
            "m"
        ].value
        loss = report.groups[group.name].losses[RATIOS.index(ratio)]
        worst = max(worst, abs(report.baseline - value - loss))
    scale = len(points) / len(timed)
    naive, naive_cpu = (time.monotonic() - start) * scale, (cpu_seconds() - before) * scale
    print(f"{len(points)} points, {len(samples)} pictures, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"edgec {ours:.0f} s, naive {naive:.0f} s: {naive / ours:.1f} times; largest difference {worst:.1e}")
    print(f"processor time: edgec {our_cpu:.0f} s (in {os.cpu_count()} processes), naive {naive_cpu:.0f} s (in one)")


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
