"""Sensitivity: the same numbers as the naive way, in several processes, and resumable after any interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image

from edgec.compress.sensitivity import measure_sensitivity
from edgec.compress.sensitivity_report import GroupSensitivity, SensitivityReport
from edgec.data.labels import ClassLabel
from edgec.data.metrics.base import MetricContext
from edgec.data.samples import Sample
from edgec.errors import BadOption, MissingDependency
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.jobs.workers import Workers
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.groups import Group, find_groups, readers_of
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.layerwise.moments import layer_moments
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import Ranking, choose, rank
from edgec.reference.session import Reference
from edgec.report.sensitivity_curves import draw_curves
from tests.support.architectures import ARCHITECTURES

RATIOS = (0.25, 0.5)


def case(name: str, samples: int = 4) -> tuple[ir.Model, tuple[Group, ...], dict[str, Ranking], list[Sample]]:
    built = prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))
    groups = find_groups(built).groups
    rng = np.random.default_rng(0)
    (value,) = built.graph.inputs
    data = [
        Sample(str(n), {value.name: rng.standard_normal(value.shape.numpy(), dtype=np.float32)}, ClassLabel(n % 10))
        for n in range(samples)
    ]
    return built, groups, {group.name: rank(built, group, "l1") for group in groups}, data


def measured(
    name: str,
    journal: Path,
    *,
    workers: int = 0,
    scheduler: str | None = None,
    metric: str = "output-error",
    **options: object,
) -> SensitivityReport:
    built, groups, rankings, data = case(name)
    return measure_sensitivity(
        built, groups, rankings, Evaluator(built, Task(data, metric)), criterion="l1", journal=journal, ratios=RATIOS,
        workers=Workers(workers, scheduler), **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mobilenet_v3", "resnet", "inception", "yolov8", "shufflenet_v2", "recurrent"])
def test_numbers_are_those_of_the_whole_pruned_network(name: str, tmp_path: Path) -> None:
    built, groups, rankings, data = case(name)
    report = measured(name, tmp_path / "journal")
    original = [Reference(built).run(sample.inputs) for sample in data]
    for group in groups[:: max(len(groups) // 4, 1)]:
        for ratio, loss in zip(RATIOS, report.groups[group.name].losses, strict=True):
            plan = PrunePlan.of({group.name: (group, choose(group, rankings[group.name], ratio))})
            pruned = Reference(SliceChannels(plan)(built.clone()).model)
            given = [pruned.run(sample.inputs) for sample in data]
            errors = []
            for output in original[0]:
                wanted = np.stack([each[output] for each in original]).astype(np.float64)
                errors.append(np.linalg.norm(np.stack([e[output] for e in given]) - wanted) / np.linalg.norm(wanted))
            assert loss == pytest.approx(np.mean(errors), rel=1e-4, abs=1e-6)


def test_compensated_losses_are_smaller(tmp_path: Path) -> None:
    built, groups, _rankings, data = case("mobilenet_v2")
    moments = layer_moments(built, readers_of(groups), [sample.inputs for sample in data])
    plain = measured("mobilenet_v2", tmp_path / "plain")
    helped = measured("mobilenet_v2", tmp_path / "helped", moments=moments)
    assert helped.compensated
    losses = [sum(sum(g.losses) for g in report.groups.values()) for report in (plain, helped)]
    assert losses[1] < 0.6 * losses[0]


def test_processes_give_the_same_report(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    alone = measured("resnet", tmp_path / "alone", progress=lambda *at: seen.append(at))
    assert seen[-1] == (16, 16)
    assert measured("resnet", tmp_path / "two", workers=2) == alone


def test_a_metric_with_labels(tmp_path: Path) -> None:
    report = measured("mobilenet_v1", tmp_path / "journal", metric="top1")
    assert report.higher_is_better
    assert 0 <= report.baseline <= 1


def test_what_is_in_the_journal_is_not_measured_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    first = measured("resnet", journal)
    lines = journal.read_text().splitlines()
    changed = json.loads(lines[5]) | {"value": 123.0}
    # Two thirds done, one result marked, the last line cut off by a kill in the middle of a write.
    journal.write_text("\n".join([*lines[:5], json.dumps(changed), *lines[6:9]]) + "\n" + lines[9][:20])
    again = measured("resnet", journal)
    losses = again.groups[changed["group"]].losses
    assert 123.0 in losses
    same = {name: group for name, group in again.groups.items() if name != changed["group"]}
    assert same == {name: group for name, group in first.groups.items() if name != changed["group"]}


def test_a_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    measured("resnet", tmp_path / "journal")
    with pytest.raises(BadOption, match="another model"):
        measured("inception", tmp_path / "journal")


def test_data_that_cannot_travel_is_refused(tmp_path: Path) -> None:
    built, groups, rankings, data = case("resnet")
    task = Task(data, "output-error", MetricContext(reference=lambda sample: {}))
    with pytest.raises(BadOption, match="other processes"):
        measure_sensitivity(
            built, groups, rankings, Evaluator(built, task), criterion="l1", journal=tmp_path / "j",
            workers=Workers(2), ratios=RATIOS,
        )  # fmt: skip


def test_goes_on_after_kill_9(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    expected = measured("densenet", tmp_path / "whole")
    process = multiprocessing.get_context("spawn").Process(target=measured, args=("densenet", journal))
    process.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 6):
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    there = journal.read_bytes().count(b"\n")
    assert there >= 6
    seen: list[int] = []
    report = measured("densenet", journal, progress=lambda done, total: seen.append(done))
    assert seen[0] >= there - 2
    assert report == expected


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_report(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="pip install 'edgec[dask]'")
    expected = measured("resnet", tmp_path / "alone")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        report = measured("resnet", tmp_path / "cluster", scheduler=cluster.scheduler_address)
    assert report == expected


def test_dask_is_asked_for_only_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingDependency, match="Dask"):
        measured("resnet", tmp_path / "journal", scheduler="tcp://127.0.0.1:1")


CURVE = GroupSensitivity(units=8, order=tuple(range(8)), ratios=(0.2, 0.4, 0.6), losses=(0.01, 0.03, 0.02))


def test_loss_never_falls_with_the_ratio() -> None:
    assert [CURVE.loss(r) for r in (0, 0.1, 0.3, 0.6, 0.9)] == pytest.approx([0, 0.005, 0.02, 0.03, 0.03])


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")
    with pytest.raises(BadOption, match="sensitivity"):
        SensitivityReport.load(tmp_path / "s.json")


def test_curves_are_drawn_as_svg_and_png(tmp_path: Path) -> None:
    report = SensitivityReport(
        model="0", criterion="l1", compensated=False, metric="top1", samples=1, baseline=0.9, higher_is_better=True,
        groups={"a<b": CURVE, "c": CURVE},
    )  # fmt: skip
    draw_curves(report, tmp_path / "curves.svg")
    assert "a&lt;b" in (tmp_path / "curves.svg").read_text()
    draw_curves(report, tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 640
    with pytest.raises(BadOption, match=r"\.svg or \.png"):
        draw_curves(report, tmp_path / "curves.pdf")
