"""The repair gives back what can be given back, layer after layer."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.channels.groups import find_groups
from edgec.passes.channels.plan import PrunePlan
from edgec.passes.channels.slice import SliceChannels
from edgec.passes.prepare import prepare
from edgec.passes.prune.repair import RepairReport, repair
from edgec.reference.session import Reference
from tests.support.architectures import ARCHITECTURES
from tests.support.models import model, random_weights

LINEAR_CHAIN = """g (float[1, 3, 8, 8] x) => (float[1, 5, 6, 6] y) {
    a = Conv (x, v, b)  y = Conv (a, w, c) }"""


def feeds_for(built: ir.Model, count: int = 16) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    (value,) = built.graph.inputs
    return [{value.name: rng.standard_normal(value.shape.numpy(), dtype=np.float32)} for _ in range(count)]


def plan_of(built: ir.Model, count: int) -> PrunePlan:
    return PrunePlan.of({g.name: (g, range(min(count, g.units // 3))) for g in find_groups(built).groups})


def repaired(built: ir.Model, plan: PrunePlan) -> tuple[float, float, RepairReport]:
    """Return the relative errors of the outputs without and with repair, on other data than it was made with."""
    pruned = SliceChannels(plan)(built.clone()).model
    tests = feeds_for(built, 24)[16:]

    def error(candidate: ir.Model) -> float:
        pairs = [(Reference(built).run(f), Reference(candidate).run(f)) for f in tests]
        wanted = np.concatenate([np.ravel(next(iter(a.values()))) for a, _ in pairs])
        given = np.concatenate([np.ravel(next(iter(b.values()))) for _, b in pairs])
        return float(np.linalg.norm(given - wanted) / np.linalg.norm(wanted))

    before = error(pruned)
    report = repair(built, pruned, plan, feeds_for(built))
    return before, error(pruned), report


def test_what_is_linear_comes_back_whole() -> None:
    # Six channels of three inputs: any three of them carry everything.
    built = model(LINEAR_CHAIN, random_weights(v=(6, 3, 1, 1), b=(6,), w=(5, 6, 3, 3), c=(5,)), opset=18)
    plan = PrunePlan.of({g.name: (g, [0, 2, 5]) for g in find_groups(built).groups})
    before, after, report = repaired(built, plan)
    assert before > 0.3
    assert after < 1e-2
    assert report.refitted["y"][1] < 1e-4 < report.refitted["y"][0]


def test_an_upsampling_head_comes_back_whole() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 2, 16, 16] y) {
        a = Conv (x, v)  y = ConvTranspose <strides = [2, 2]> (a, w, c) }"""
    built = model(text, random_weights(v=(6, 3, 1, 1), w=(6, 2, 2, 2), c=(2,)), opset=18)
    plan = PrunePlan.of({g.name: (g, [0, 2, 5]) for g in find_groups(built).groups})
    before, after, _ = repaired(built, plan)
    assert before > 0.3
    assert after < 1e-2


def test_convolutions_of_one_dimension() -> None:
    text = """g (float[1, 3, 20] x) => (float[1, 5, 18] y) {
        a = Conv (x, v, b)  r = Relu (a)  d = Conv (r, u)  y = Conv (d, w) }"""
    built = model(text, random_weights(v=(6, 3, 1), b=(6,), u=(8, 6, 1), w=(5, 8, 3)), opset=18)
    before, after, report = repaired(built, plan_of(built, 2))
    assert after < before
    assert set(report.refitted) == {"d", "y"}


def test_nothing_removed_nothing_refitted() -> None:
    built = model(LINEAR_CHAIN, random_weights(v=(6, 3, 1, 1), b=(6,), w=(5, 6, 3, 3), c=(5,)), opset=18)
    assert repaired(built, PrunePlan())[2] == RepairReport({}, {})


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3", "resnext", "densenet", "yolox", "transformer"])
def test_every_kind_of_layer_gains(name: str) -> None:
    built = prepare(fix_shapes(load(ARCHITECTURES[name]()).model, {}))
    before, after, report = repaired(built, plan_of(built, 4))
    assert after < 0.85 * before  # random weights have no redundancy to fall back on
    assert not report.skipped
    assert all(new <= old + 1e-6 for old, new in report.refitted.values())


def test_shared_weights_are_left_alone() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 5, 8, 8] y) {
        a = Conv (x, v)  r = Relu (a)  p = Conv (r, w)  q = Conv (a, w)  y = Add (p, q) }"""
    built = model(text, random_weights(v=(6, 3, 1, 1), w=(5, 6, 1, 1)), opset=18)
    report = repaired(built, PrunePlan.of({g.name: (g, [0]) for g in find_groups(built).groups}))[2]
    assert report.skipped == dict.fromkeys(("p", "q"), "shares its weights with another layer")
