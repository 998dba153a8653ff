"""What pruning keeps, without labels or training: prints the tables of docs/results/pruning.md.

    python bench/pruning.py orientation --results FOLDER [--macs 0.4 0.6] [--ways naive l1 fpgm obs sensitivity]
    python bench/pruning.py orientation --results FOLDER --artefacts "sensitivity 40%" ...

The first form prunes in every way until that share of the multiply-accumulates is gone; the second compiles what it
wrote, for this machine and for an ARM board. Results are kept in FOLDER as they come, pruned networks beside them:
interrupted, either goes on where it was. The table of all that is there is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
import onnx_ir as ir
from artefacts import measured
from quantization import judged, relabelled
from quantization_tasks import TASKS, Task

from edgec.compress.pruner import Pruned, Pruner
from edgec.compress.pruning_search import prune
from edgec.compress.sensitivity import measure_sensitivity
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.data.samples import Sample
from edgec.evaluation import task as evaluation
from edgec.evaluation.evaluator import Evaluator
from edgec.jobs.workers import Workers
from edgec.model.cost import layer_costs, total_cost
from edgec.model.load import load
from edgec.model.serialize import save, weight_bytes
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import rank
from edgec.passes.prune.ranked_channels import RankedChannels
from edgec.pruning import PruneOptions
from edgec.reference.session import Reference

WAYS = {
    "naive": ("l1", False, "L1, no repair"),
    "l1": ("l1", True, "L1"),
    "fpgm": ("fpgm", True, "FPGM"),
    "obs": ("obs", True, "obs"),
    "sensitivity": ("obs", True, "obs by sensitivity"),
}
"""Criterion, whether it is repaired, and the name in the table."""
MULTIPLE = 4
"""Widths that are kept: the lanes of an ARM CPU."""
CAP = 0.7
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
BISECTIONS = 8
ORIGINAL = "original"


@dataclass
class Bench:
    """One network with its data in memory.

    Attributes:
        task: The network and what it is judged by.
        folder: Where results and pruned networks are kept.
        calibration: What is repaired by; its labels are not looked at.
        watched: What sensitivities and candidates are measured on, without labels: other pictures than those.
        tests: How many pictures the figures of the table are measured on.
        exclude: Patterns of layers whose filters stay.
    """

    task: Task
    folder: Path
    calibration: Sequence[Sample]
    watched: Sequence[Sample]
    tests: int
    exclude: tuple[str, ...] = ()

    @cached_property
    def model(self) -> ir.Model:
        """The network as pruning takes it."""
        return prepare(self.task.load())

    @cached_property
    def test(self) -> list[Sample]:
        """Pictures that nothing was calibrated on."""
        return list(self.task.samples("test", self.tests))

    @cached_property
    def by_obs(self) -> RankedChannels:
        """Groups, moments, and the ranking by `obs`."""
        return RankedChannels.of(self.model, PruneOptions(ratio=0.5, exclude=self.exclude), self.calibration, threads=1)

    def ranked(self, criterion: str) -> RankedChannels:
        """Return the same with another ranking."""
        base = self.by_obs
        if criterion == "obs":
            return base
        return replace(base, rankings={g.name: rank(base.model, g, criterion, base.moments) for g in base.groups})

    @cached_property
    def evaluator(self) -> Evaluator:
        """Measures the error of the outputs."""
        return Evaluator(self.model, evaluation.Task(self.watched), threads=1)

    @cached_property
    def sensitivity(self) -> SensitivityReport:
        """Every group by itself."""
        ranked = self.by_obs
        return measure_sensitivity(
            ranked.model, ranked.groups, ranked.rankings, self.evaluator, criterion="obs",
            journal=self.folder / "sensitivity.jsonl", moments=ranked.moments, ratios=RATIOS, workers=Workers(0),
        )  # fmt: skip

    def prune(self, way: str, removed: float) -> Pruned:
        """Prune until `removed` of the multiply-accumulates are gone."""
        criterion, repaired, _ = WAYS[way]
        ranked = self.ranked(criterion)
        if way == "sensitivity":
            options = PruneOptions(target_macs=1 - removed, cap=CAP)
            pruner = Pruner(ranked, self.evaluator, multiple=MULTIPLE, threads=1)
            return prune(pruner, options, sensitivity=self.sensitivity)
        ratio = self.uniform_ratio(ranked, 1 - removed)
        return prune(Pruner(ranked, multiple=MULTIPLE, refit=repaired, threads=1), PruneOptions(ratio=ratio))

    def uniform_ratio(self, ranked: RankedChannels, left: float) -> float:
        """Return the least share of every group by which at most `left` of the multiply-accumulates are left."""
        whole = total_cost(layer_costs(self.model)).macs
        low, high = 0.0, CAP
        for _ in range(BISECTIONS):
            ratio = (low + high) / 2
            plan = ranked.plan(dict.fromkeys((group.name for group in ranked.groups), ratio), MULTIPLE)
            macs = total_cost(layer_costs(SliceChannels(plan)(self.model.clone()).model)).macs
            low, high = (low, ratio) if macs <= left * whole else (ratio, high)
        return high

    @cached_property
    def labelled(self) -> list[Sample]:
        """The test pictures with what the original finds as their labels."""
        return relabelled(self.task, self.test, Reference(self.model, threads=1, optimize=True))

    def judge(self, model: ir.Model) -> dict[str, Any]:
        """Return the figures of a row."""
        cost = total_cost(layer_costs(model))
        found = judged(self.task, self.test, self.labelled, Reference(model, threads=1, optimize=True))
        return {**found, "macs": cost.macs, "parameters": cost.parameters, "bytes": weight_bytes(model)}


class Results:
    """Rows by name, one JSON object a line; what comes later adds to what is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            row = json.loads(line)
            self.rows.setdefault(row["row"], {}).update(row)

    def add(self, name: str, figures: Mapping[str, Any]) -> None:
        """Keep figures of a row."""
        self.rows.setdefault(name, {}).update(figures)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": name, **figures}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--results", type=Path, required=True, help="folder")
    parser.add_argument("--macs", type=float, nargs="*", default=(0.4, 0.6, 0.25, 0.75, 0.1), help="shares removed")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--calibration", type=int, default=128)
    parser.add_argument("--watched", type=int, default=32, help="further pictures, for sensitivities")
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--exclude", nargs="*", default=[], help="patterns of layers whose filters stay")
    parser.add_argument("--artefacts", nargs="*", help="rows to compile and to measure, besides the original")
    options = parser.parse_args()
    task, folder = TASKS[options.task], options.results / options.task
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder / "rows.jsonl")
    if options.artefacts is not None:
        names = [ORIGINAL, *options.artefacts]
        models = {name: load(folder / f"{name}.onnx").model for name in names}
        for name, (milliseconds, instructions) in measured(models).items():
            results.add(name, {"milliseconds": milliseconds, "instructions": instructions})
    elif options.macs:
        samples = list(task.samples("calibration", options.calibration + options.watched))
        calibration, watched = samples[: options.calibration], samples[options.calibration :]
        bench = Bench(task, folder, calibration, watched, options.tests, tuple(options.exclude))
        fill(bench, results, options.macs, options.ways)
    print_table(options.task, results.rows)


def fill(bench: Bench, results: Results, macs: Sequence[float], ways: Sequence[str]) -> None:
    """Add the rows that are not there yet."""
    wanted = {f"{way} {removed:.0%}": (way, removed) for removed in macs for way in ways}
    missing = [name for name in (ORIGINAL, *wanted) if name not in results.rows]
    for name in missing:
        start = time.process_time()
        pruned = bench.prune(*wanted[name]) if name in wanted else None
        model = bench.model if pruned is None else pruned.model
        figures: dict[str, Any] = {
            "tests": bench.tests,
            "calibration": len(bench.calibration),
            "watched": len(bench.watched),
        }
        if pruned is not None:
            gone = sum(len(plan.removed) for plan in pruned.plan.groups.values())
            figures["filters"] = gone / sum(group.units for group in bench.by_obs.groups)
            figures["seconds"] = time.process_time() - start
        save(model, bench.folder / f"{name}.onnx")
        results.add(name, {**figures, **bench.judge(model)})
        print(name, results.rows[name], flush=True)


def print_table(task: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what is known of one network: a line for each share; accuracy and agreement, then what it costs."""
    whole = rows[ORIGINAL]
    pictures = f"{whole['calibration']} to repair by, {whole['watched']} to choose by, {whole['tests']} to judge by"
    print(f"\n{task}, {TASKS[task].metric} / agreement; pictures: {pictures}\n")
    heads = ["MACs", "filters", *(name for _, _, name in WAYS.values()), "MB", "host, ms", "M instructions"]
    print(f"| {' | '.join(heads)} |\n" + "| --- " * len(heads) + "|")
    shares = sorted({name.split()[1] for name in rows if name != ORIGINAL}, key=lambda percent: int(percent[:-1]))
    for share in (ORIGINAL, *shares):
        own = {way: rows.get(f"{way} {share}", {}) for way in WAYS} if share != ORIGINAL else {"naive": whole}
        costs = [row for row in (own.get("obs") or own["naive"], own.get("sensitivity", {})) if row]
        ways = [f"{own[way]['metric']:.3f} / {own[way]['agreement']:.3f}" if own.get(way) else "" for way in WAYS]
        removed = [f"{row['macs'] / whole['macs'] - 1:+.0%}" for row in costs]
        filters = [f"-{row['filters']:.0%}" for row in costs if "filters" in row]
        size = [f"{row['bytes'] / 1e6:.2f}" for row in costs]
        times = [f"{row['milliseconds']:.2f}" for row in costs if "milliseconds" in row]
        instructions = [f"{row['instructions'] / 1e6:.1f}" for row in costs if "instructions" in row]
        cells = [removed, filters, *([way] for way in ways), size, times, instructions]
        print(f"| {' | '.join(' / '.join(cell) for cell in cells)} |")


if __name__ == "__main__":
    main()
