"""Whatever a tuning run may choose computes the same; the rule's choice comes first; stale choices are refused."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.pipeline import Lowering, lower_with_report
from edgec.targets.tvm.schedules.choices import Choice
from tests.support.lowered import HOST, MODEL, SMALL_MODELS, build_module, execute

TARGET = llvm_target(resolve(HOST))
NEON = SMALL_MODELS[-1]


def pointwise(x, rng):
    return rng.emit(relax.op.nn.relu(rng.emit(relax.op.nn.conv2d(x, weights(rng, 32, 16, 1, 1)))))


def square(x, rng):
    return rng.emit(relax.op.nn.conv2d(x, weights(rng, 32, 16, 3, 3), padding=1))


def depthwise(x, rng):
    return rng.emit(relax.op.nn.conv2d(x, weights(rng, 16, 1, 3, 3), padding=1, groups=16, strides=2))


def grouped(x, rng):
    return rng.emit(relax.op.nn.conv2d(x, weights(rng, 24, 8, 3, 3), padding=1, groups=2))


def product(x, rng):
    return rng.emit(relax.op.matmul(x, relax.const(rng.standard_normal((24, 40)).astype("float32"))))


def weights(rng, *shape):
    return relax.const(rng.standard_normal(shape).astype("float32"))


def packed(build):
    """Behind a pool, so that the layer reads a packed tensor."""
    return lambda x, rng: build(rng.emit(relax.op.nn.max_pool2d(x, (1, 1))), rng)


LAYERS = {
    "pointwise": (packed(pointwise), (1, 16, 10, 12)),
    "square": (packed(square), (1, 16, 13, 12)),
    "depthwise": (packed(depthwise), (1, 16, 14, 15)),
    "grouped": (packed(grouped), (1, 16, 9, 10)),
    "product": (product, (3, 20, 24)),
}


@pytest.mark.parametrize(("layer", "model"), [*((layer, MODEL) for layer in LAYERS), ("pointwise", NEON)])
def test_every_kind_of_choice_computes_the_same(layer: str, model: CpuModel) -> None:
    build, shape = LAYERS[layer]
    lowering = Lowering(build_module(build, [shape]), model, TARGET)
    ((workload, choices),) = lowering.workloads().items()
    by_rule = lowering.emit({})
    assert set(by_rule.report.workloads.values()) == {workload.key}
    inputs = [np.random.default_rng(1).standard_normal(shape).astype("float32")]
    expected = execute(by_rule.module, TARGET, inputs)[0]
    for choice in some_of_each_kind(choices):
        emitted = lowering.emit({workload.key: choice})
        assert not emitted.report.refusals, (choice, emitted.report.refusals)
        got = execute(emitted.module, TARGET, inputs)[0]
        # Winograd's transforms lose two bits.
        np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max(), err_msg=str(choice))


def some_of_each_kind(choices: list[Choice]) -> list[Choice]:
    """The first and the last of every combination of rule, flat and who makes all channels."""
    kinds: dict[tuple[object, ...], list[Choice]] = {}
    for choice in choices[1:]:
        plan = choice.plan
        traits = (getattr(plan, name, None) for name in ("flat", "by_channels"))
        kinds.setdefault((choice.rule, *traits, getattr(plan, "rows", None) is None), []).append(choice)
    return [choice for kind in kinds.values() for choice in (kind[0], kind[-1])][:4]


def test_the_rules_own_choice_comes_first_and_none_twice() -> None:
    for build, shape in LAYERS.values():
        lowering = Lowering(build_module(build, [shape]), MODEL, TARGET)
        ((workload, choices),) = lowering.workloads().items()
        assert len(set(choices)) == len(choices)
        same = lowering.emit({workload.key: choices[0]})
        assert same.report.details == lowering.emit({}).report.details


def test_winograd_and_direct_are_both_offered() -> None:
    build, shape = LAYERS["square"]
    ((_, choices),) = Lowering(build_module(build, [shape]), MODEL, TARGET).workloads().items()
    assert {choice.rule for choice in choices[:2]} == {"conv", "winograd"}


def test_a_tuned_choice_is_taken_and_one_that_is_not_offered_is_refused() -> None:
    build, shape = LAYERS["pointwise"]
    ((workload, choices),) = Lowering(build_module(build, [shape]), MODEL, TARGET).workloads().items()
    by_rule, wanted = choices[0].as_json(), choices[-1].as_json()
    module, tuned = build_module(build, [shape]), {workload.key: [{"baseline": by_rule, "choice": wanted}]}
    assert lower_with_report(module, MODEL, TARGET, tuned).report.tuned == {workload.key: wanted}
    wrong = {workload.key: [{"baseline": by_rule, "choice": wanted | {"columns": 7}}]}
    report = lower_with_report(build_module(build, [shape]), MODEL, TARGET, wrong).report
    assert report.tuned == {}
    assert report.refusals == [(workload.key, "the rules no longer offer the tuned choice: the default is used")]


def test_what_was_tuned_beside_another_choice_of_the_rule_is_refused() -> None:
    build, shape = LAYERS["square"]
    lowering = Lowering(build_module(build, [shape]), MODEL, TARGET)
    ((workload, choices),) = lowering.workloads().items()
    by_rule, other, best = (choice.as_json() for choice in choices[:3])
    elsewhere, here = {"baseline": other, "choice": by_rule}, {"baseline": by_rule, "choice": best}
    reason = "it was tuned in a network where the default is another choice: tune this network"
    assert lowering.select({workload.key: [elsewhere]}) == ({}, [(workload.key, reason)])
    assert lowering.select({workload.key: [elsewhere, here]}) == ({workload.key: choices[2]}, [])
