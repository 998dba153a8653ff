"""What pruning keeps, without labels or training: `python bench/pruning.py orientation --ratios 0.5 --macs 0.6`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from quantization_tasks import TASKS, Task

from edgec.data.evaluate import evaluate
from edgec.data.samples import Sample
from edgec.passes.prepare import prepare
from edgec.passes.prune.probe import Measure
from edgec.passes.prune.prune import Pruned, prune
from edgec.passes.prune.report import SensitivityReport
from edgec.passes.prune.sensitivity import measure_sensitivity
from edgec.passes.prune.study import Study
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference

CALIBRATION = 128
SENSITIVITY_SAMPLES = 32
UNIFORM = (("l1", False), ("l1", True), ("fpgm", True), ("obs", True))
"""Criterion, and whether it is repaired."""
CAP = 0.7

Results = list[Mapping[str, Any]]


@dataclass
class Bench:
    """One network with its data in memory."""

    task: Task
    model: ir.Model
    calibration: Sequence[Sample]
    test: Sequence[Sample]

    @classmethod
    def of(cls, name: str, tests: int) -> Bench:
        """Render the data of the task `name`."""
        task = TASKS[name]
        samples = [list(task.samples(*split)) for split in (("calibration", CALIBRATION), ("test", tests))]
        return cls(task, prepare(task.load()), *samples)

    def score(self, model: ir.Model) -> tuple[float, Results]:
        """Return the metric on the test data, and all outputs."""
        run, outputs = Reference(model).run, []

        def noted(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
            outputs.append(run(feeds))
            return outputs[-1]

        return evaluate(noted, self.test, {"m": self.task.make()})["m"].value, outputs

    def sensitivity(self, study: Study) -> SensitivityReport:
        """Measure every group by the error of the outputs; no labels are looked at."""
        with tempfile.TemporaryDirectory() as folder:
            measure = Measure(self.calibration[:SENSITIVITY_SAMPLES], "output-error")
            return measure_sensitivity(
                study.model,
                study.groups,
                study.rankings,
                measure,
                criterion="obs",
                journal=Path(folder) / "journal",
                moments=study.moments,
                progress=lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--ratios", type=float, nargs="*", default=(0.125, 0.25, 0.5), help="the same for every group")
    parser.add_argument("--macs", type=float, nargs="*", default=(0.6, 0.4), help="shares left, by sensitivity")
    parser.add_argument("--criteria", nargs="*", help="of the uniform rows; default: all")
    parser.add_argument("--tests", type=int, default=400)
    options = parser.parse_args()
    bench = Bench.of(options.task, options.tests)
    value, reference = bench.score(bench.model)
    print(f"{options.task}, {len(bench.test)} test samples: {bench.task.metric} {value:.4f}")
    print("| removed | criterion | MACs | parameters | metric | agreement |\n| --- | --- | --- | --- | --- | --- |")
    for how, pruned in rows(bench, options.ratios, options.macs, options.criteria):
        score, outputs = bench.score(pruned.model)
        macs = pruned.cost_after.macs / pruned.cost_before.macs
        parameters = pruned.cost_after.parameters / pruned.cost_before.parameters
        agree = agreement(reference, outputs)
        print(f"| {how} | {macs - 1:+.1%} | {parameters - 1:+.1%} | {score:.4f} | {agree:.3f} |", flush=True)


def rows(
    bench: Bench, ratios: Sequence[float], macs: Sequence[float], criteria: Sequence[str] | None
) -> Iterator[tuple[str, Pruned]]:
    """Prune in every way, and say how."""

    @cache
    def study(criterion: str, repair: bool) -> Study:
        options = PruneOptions(ratio=0.5, criterion=criterion, repair=repair)
        return Study.of(bench.model, options, bench.calibration if repair else None)

    for criterion, repair in UNIFORM:
        if criteria is not None and criterion not in criteria:
            continue
        for ratio in ratios:
            options = PruneOptions(ratio=ratio, criterion=criterion, repair=repair)
            how = f"{ratio:.1%} of filters | {criterion}{' + refit' if repair else ''}"
            yield how, prune(study(criterion, repair), options)
    if macs:
        start = time.monotonic()
        report = bench.sensitivity(study("obs", True))
        print(f"\nsensitivity: {time.monotonic() - start:.0f} s", file=sys.stderr)
        for target in macs:
            options = PruneOptions(target_macs=target, cap=CAP)
            how = f"{1 - target:.0%} of MACs | obs + refit, by sensitivity"
            yield how, prune(study("obs", True), options, sensitivity=report)


def agreement(first: Results, second: Results) -> float:
    """Return the share of samples for which the largest entries along the last axis are the same everywhere."""
    same = [
        all(np.array_equal(one[name].argmax(axis=-1), other[name].argmax(axis=-1)) for name in one)
        for one, other in zip(first, second, strict=True)
    ]
    return float(np.mean(same))


if __name__ == "__main__":
    main()
