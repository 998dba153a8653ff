"""Small networks at the corners of what operators may do: pruned soundly, or left whole."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgec.compress.allocation import measured_curves
from edgec.compress.sensitivity import measure_sensitivity
from edgec.compress.sensitivity_report import GroupSensitivity, SensitivityReport
from edgec.data.samples import Sample
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.task import Task
from edgec.jobs.workers import Workers
from edgec.passes.channels.groups import find_groups, readers_of
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.layerwise.moments import layer_moments
from edgec.passes.prepare import prepare
from edgec.passes.prune.rank import rank
from edgec.passes.prune.repair import repair
from edgec.reference.session import Reference
from edgec.report.sensitivity_curves import draw_curves
from tests.support.masked_channels import assert_identity, random_plan
from tests.support.models import model, random_weights

CORNERS = {
    "a single place, counted from the end": (
        "=> (float[1, 5] y) <int64 k = {5}> { a = Conv (x, v)  s = Gather <axis = -1> (a, k)  y = Gemm (s, w) }",
        {"w": (6, 5)},
    ),
    "places in two axes": (
        "=> (float[1, 5, 2, 2] y) <int64[2, 2] k = {5, 1, 2, 0}>"
        " { a = Conv (x, v)  s = Gather <axis = -1> (a, k)  y = Conv (s, w) }",
        {"w": (5, 6, 1, 1)},
    ),
    "part of the channels is an output": (
        "=> (float[1, 2, 8] z, float[1, 5, 8] y) <int64[1] from = {0}, int64[1] to = {2}, int64[1] axis = {1}>"
        " { a = Conv (x, v)  z = Slice (a, from, to, axis)  y = Conv (a, w) }",
        {"w": (5, 6, 1)},
    ),
    "steps of an LSTM": (
        "=> (float[1, 1, 4] h, float[1, 5, 8] y) { a = Conv (x, v)  t = Transpose <perm = [1, 0, 2]> (a)"
        "  q, h, c = LSTM <hidden_size = 4> (t, W, R)  y = Conv (a, w) }",
        {"w": (5, 6, 1), "W": (1, 16, 8), "R": (1, 16, 4)},
    ),
    "batch of an LSTM": (
        "=> (float[1, 6, 4] h, float[1, 5, 8] y)"
        " { a = Conv (x, v)  q, h, c = LSTM <hidden_size = 4> (a, W, R)  y = Conv (a, w) }",
        {"w": (5, 6, 1), "W": (1, 16, 8), "R": (1, 16, 4)},
    ),
    "no axes are all axes": (
        "=> (float[1, 5, 8] y) <int64[0] k = {}>"
        " { a = Conv (x, v)  m = ReduceMean (a, k)  s = Add (a, m)  y = Conv (s, w) }",
        {"w": (5, 6, 1)},
    ),
    "channels resized to as many": (
        "=> (float[1, 5, 16] y) <float[3] k = {1, 1.15, 2}> { a = Conv (x, v)  m = Resize <mode = "
        '"nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (a, , k)  y = Conv (m, w) }',
        {"w": (5, 6, 1)},
    ),
    "a computed scale": (
        "=> (float[1, 3, 6] y, float[1, 5] z) <int64[1] k = {2}, int64[1] six = {6}> { p = ReduceMean <keepdims = 0>"
        " (x, k)  a = Gemm (p, u)  s = Reshape (a, six)  t = MatMul (x, m)  y = LayerNormalization (t, s)"
        "  z = Gemm (a, w) }",
        {"u": (3, 6), "m": (8, 6), "w": (6, 5)},
    ),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_corner(corner: str) -> None:
    text, shapes = CORNERS[corner]
    built = prepare(model(f"g (float[1, 3, 8] x) {text}", random_weights(v=(6, 3, 1), **shapes), opset=18))
    for seed in range(4):
        assert_identity(built, random_plan(built, seed))


def test_weights_that_are_an_output_too_stay_one() -> None:
    text = "g (float[1, 3, 8] x) => (float[1, 5, 8] y, float[5, 6, 1] w) { a = Conv (x, v)  y = Conv (a, w) }"
    built = model(text, random_weights(v=(6, 3, 1), w=(5, 6, 1)), opset=18)
    feeds = {"x": np.ones((1, 3, 8), np.float32)}
    pruned, plan = remove(built, "a", [0, 2])
    repair(built, pruned, plan, [feeds] * 4)
    np.testing.assert_array_equal(Reference(pruned).run(feeds)["w"], Reference(built).run(feeds)["w"])


def remove(built, layer, units):
    group = next(g for g in find_groups(built).groups if any(member.node.endswith(layer) for member in g.makers))
    plan = PrunePlan.of({group.name: (group, units)})
    return SliceChannels(plan)(built.clone()).model, plan


def noise(*shape: int, count: int = 12):
    rng = np.random.default_rng(0)
    return [{"x": rng.standard_normal(shape, dtype=np.float32)} for _ in range(count)]


def test_the_repair_leaves_a_bias_that_another_branch_reads() -> None:
    text = """g (float[1, 4, 3] x) => (float[1, 4, 5] y, float[1, 4, 5] z) {
        a = MatMul (x, v)  r = Relu (a)  m = MatMul (r, w)  y = Add (m, b)  q = MatMul (x, u)  z = Add (q, b) }"""
    built = prepare(model(text, random_weights(v=(3, 6), w=(6, 5), u=(3, 5), b=(1, 1, 5)), opset=18))
    feeds = noise(1, 4, 3)
    pruned, plan = remove(built, "a", [0, 2, 5])
    repair(built, pruned, plan, feeds)
    np.testing.assert_allclose(Reference(pruned).run(feeds[0])["z"], Reference(built).run(feeds[0])["z"], atol=1e-6)


def test_the_repair_takes_channels_that_are_rows_of_a_product() -> None:
    text = """g (float[1, 3, 8] x) => (float[1, 5, 7] y) {
        a = Conv (x, v)  m = MatMul (a, t)  r = Relu (m)  y = Conv (r, w) }"""
    built = prepare(model(text, random_weights(v=(60, 3, 1), t=(8, 7), w=(5, 60, 1)), opset=18))
    feeds = noise(1, 3, 8)
    pruned, plan = remove(built, "a", range(0, 60, 2))
    wanted, before = Reference(built).run(feeds[0])["y"], Reference(pruned).run(feeds[0])["y"]
    repair(built, pruned, plan, feeds)
    after = Reference(pruned).run(feeds[0])["y"]
    assert np.linalg.norm(after - wanted) < 0.5 * np.linalg.norm(before - wanted)


@pytest.mark.parametrize("criterion", ["obs", "reconstruction"])
def test_a_layer_that_sees_only_zeros_is_ranked(criterion: str) -> None:
    text = "g (float[1, 3, 8] x) => (float[1, 5, 8] y) { a = Conv (x, v, b)  r = Relu (a)  y = Conv (r, w) }"
    weights = random_weights(v=(6, 3, 1), w=(5, 6, 1)) | {"b": np.full(6, -1e6, np.float32)}
    built = prepare(model(text, weights, opset=18))
    groups = find_groups(built).groups
    moments = layer_moments(built, readers_of(groups), noise(1, 3, 8))
    assert sorted(rank(built, groups[0], criterion, moments).order) == list(range(6))


INFINITE = GroupSensitivity(units=8, order=tuple(range(8)), ratios=(0.2, 0.4, 0.6), losses=(0.1, 0.2, math.inf))


def test_an_infinite_loss_is_kept_and_not_gone_to(tmp_path: Path) -> None:
    report = SensitivityReport(
        model="", criterion="l1", compensated=False, metric="top1", samples=1, baseline=0.0, higher_is_better=False,
        groups={"a": INFINITE},
    )  # fmt: skip
    report.save(tmp_path / "s.json")
    json.loads((tmp_path / "s.json").read_text(), parse_constant=pytest.fail)
    assert SensitivityReport.load(tmp_path / "s.json") == report
    group = dataclasses.make_dataclass("Group", ["name"])("a")
    assert measured_curves(report, [group], 0.7)["a"].max() == pytest.approx(0.2)
    draw_curves(report, tmp_path / "s.svg")
    assert "nan" not in (tmp_path / "s.svg").read_text()


def test_a_journal_of_other_data_is_refused_and_an_empty_one_begun(tmp_path: Path) -> None:
    text = "g (float[1, 3, 8] x) => (float[1, 5, 8] y) { a = Conv (x, v)  r = Relu (a)  y = Conv (r, w) }"
    built = prepare(model(text, random_weights(v=(6, 3, 1), w=(5, 6, 1)), opset=18))
    groups = find_groups(built).groups
    rankings = {group.name: rank(built, group, "l1") for group in groups}

    def measured(scale: float) -> SensitivityReport:
        samples = [Sample(str(n), {"x": scale * feeds["x"]}) for n, feeds in enumerate(noise(1, 3, 8, count=2))]
        return measure_sensitivity(
            built, groups, rankings, Evaluator(built, Task(samples)), criterion="l1",
            journal=tmp_path / "journal", ratios=(0.5,), workers=Workers(0),
        )  # fmt: skip

    (tmp_path / "journal").touch()
    measured(1.0)
    with pytest.raises(BadOption, match="another data"):
        measured(2.0)
