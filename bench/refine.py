"""Metric-driven search of fraction lengths, against the exhaustive one: prints the table of docs/quantization.md.

`python bench/refine.py [--task rec] [--samples 64] [--test 300] [--exhaustive]`: every scale of activations and weights
a power of two; evaluations are counted in runs of the whole network over all samples.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from quantization_tasks import TASKS, Task

from edgec.data.metrics.base import MetricContext
from edgec.passes.quantize.equalize import apply_scales
from edgec.passes.quantize.insert_pairs import QUANTIZED, insert_pairs
from edgec.passes.quantize.judge import Judge
from edgec.passes.quantize.placement import place
from edgec.passes.quantize.quantize import QuantizeOptions, quantize
from edgec.passes.quantize.refine import refine
from edgec.passes.quantize.rest import Rest
from edgec.passes.quantize.workflow import calibrate_model
from edgec.quantization import CalibrationTable, Scheme, TensorRange

POWER_OF_TWO = Scheme(kind="power-of-two")


def main() -> None:
    """Print a row for each way of choosing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="rec")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--exhaustive", action="store_true")
    options = parser.parse_args()
    task = TASKS[options.task]
    print("| | metric, samples searched on | metric, test | evaluations | s |\n| --- | --- | --- | --- | --- |")
    for calibrator in ("kl", "adaptive-kl"):
        run(task, calibrator, options, search=False)
        run(task, calibrator, options, search=True)
    if options.exhaustive:
        run(task, "adaptive-kl", options, search=True, exhaustively=True)


def run(task: Task, calibrator: str, options: Any, *, search: bool, exhaustively: bool = False) -> None:
    """Calibrate, search if asked to, and print the row."""
    original, samples = task.canonical(), task.samples("calibration", options.samples)
    table = calibrate_model(original, samples, calibrator=calibrator, scheme=POWER_OF_TWO, threads=1)
    model = apply_scales(original, table.equalized)
    feeds = [sample.inputs for sample in samples]
    placement = place(model)
    changed = quantize(model, table, feeds, QuantizeOptions(activations=False), threads=1).simulated
    insert_pairs(changed, placement, table)
    context = MetricContext(task.read())
    judge = Judge(model, samples, task.metric, context, threads=1)
    start, work = time.perf_counter(), 0.0
    if exhaustively:
        table, work = exhaustive(changed, placement, table, judge)
    elif search:
        refined = refine(changed, placement, table, judge, threads=1)
        table, work = refined.table, refined.work
    seconds = time.perf_counter() - start
    found = judge.run(changed)[0].value
    final = quantize(model, table, feeds, QuantizeOptions(), threads=1)
    test = Judge(model, task.samples("test", options.test), task.metric, context, threads=1)
    name = calibrator + (", exhaustive" if exhaustively else " + refine" if search else "")
    result = test.run(final.simulated)[0].value
    print(f"| {name} | {found:.4f} | {result:.4f} | {work:.1f} | {seconds:.0f} |", flush=True)


def exhaustive(model: Any, placement: Any, table: CalibrationTable, judge: Judge) -> tuple[CalibrationTable, float]:
    """Try all fraction lengths of each tensor in turn by the metric; return the table and the number of evaluations.

    What lies before the tensor is not run again here either; an evaluation counts as one all the same.
    """
    pairs = {node.name: node for node in model.graph if node.op_type == "QuantizeLinear"}
    order = {node: place for place, node in enumerate(model.graph)}
    groups = [[pairs[name + QUANTIZED] for name in group] for group in placement.members()]
    groups.sort(key=lambda nodes: min(order[node] for node in nodes))
    rest = Rest(model, judge, threads=1)
    best = judge.run(model)[0]
    for nodes in groups:
        names = [(node.name or "").removesuffix(QUANTIZED) for node in nodes]
        low, high = (
            end(getattr(table.tensors[name], side) for name in names) for end, side in ((min, "low"), (max, "high"))
        )
        rest.cut(min(nodes, key=order.__getitem__), [value for node in nodes for value in node.inputs[1:3]])
        kept = 0
        for position in (-4, -3, -2, -1, 1, 2, 3):
            result = rest.judge(_constants(nodes, low * 2.0**position, high * 2.0**position))
            if result.loss_against(best) < 0:
                kept, best = position, result
        for name, array in _constants(nodes, low * 2.0**kept, high * 2.0**kept).items():
            model.graph.initializers[name].const_value = _tensor(array, name)
        factor = 2.0**kept
        table = table.with_ranges(
            {n: TensorRange(low=table.tensors[n].low * factor, high=table.tensors[n].high * factor) for n in names}
        )
    return table.filled(), float(rest.evaluations)


def _constants(nodes: list[Any], low: float, high: float) -> Mapping[str, Any]:
    params = POWER_OF_TWO.params(low, high)
    result: dict[str, Any] = {}
    for node in nodes:
        result[node.inputs[1].name] = np.array(params.scale[0], np.float32)
        result[node.inputs[2].name] = np.array(params.zero_point, params.dtype)
    return result


def _tensor(array: Any, name: str) -> Any:
    import onnx_ir as ir  # noqa: PLC0415

    return ir.tensor(array, name=name)


if __name__ == "__main__":
    main()
