"""Convolutions of every kind, lowered and run here, against TVM's own unscheduled operator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("tvm")
from tvm import relax

from edgec.targets.tvm.schedules.float import winograd_plan
from edgec.targets.tvm.schedules.float.conv_plan import ConvShape, group_span, pack_weights, window_weights
from tests.support.lowered import SMALL_MODELS, check


def conv(x, rng, out, kernel, *, strides=1, padding=0, dilation=1, groups=1, bias=True):
    x = x if isinstance(x, relax.Var) else rng.emit(x)
    cin = int(x.ty.shape.values[1])
    w = relax.const(
        rng.standard_normal((out, cin // groups, *kernel)).astype("float32") / np.sqrt(cin * np.prod(kernel))
    )
    y = relax.op.nn.conv2d(x, w, strides=strides, padding=padding, dilation=dilation, groups=groups)
    if not bias:
        return y
    return relax.op.add(y, relax.const(rng.standard_normal((1, out, 1, 1)).astype("float32")))


CASES = {
    "3x3": ((1, 16, 13, 13), 32, (3, 3), {"padding": 1}),
    "odd width, tile does not divide": ((1, 32, 5, 29), 64, (3, 3), {"padding": 1}),
    "asymmetric padding": ((1, 16, 9, 11), 16, (3, 3), {"padding": (0, 1, 2, 3)}),
    "stride 2": ((1, 16, 15, 17), 48, (3, 3), {"padding": 1, "strides": 2}),
    "unequal strides": ((1, 16, 15, 17), 16, (3, 5), {"padding": (1, 2, 1, 2), "strides": (2, 1)}),
    "dilated": ((1, 16, 15, 17), 16, (3, 3), {"padding": 2, "dilation": 2}),
    "dilated beyond the image": ((1, 16, 9, 9), 24, (3, 3), {"padding": 12, "dilation": 12}),
    "dilated, most of it padding": ((1, 16, 9, 11), 24, (3, 3), {"padding": 6, "dilation": 6}),
    "dilated, stride 2, batch 2": ((2, 24, 11, 9), 16, (5, 3), {"padding": (8, 4), "dilation": 4, "strides": 2}),
    "dilated grouped": ((1, 32, 8, 8), 32, (3, 3), {"padding": 5, "dilation": 5, "groups": 4}),
    "dilated depthwise beyond the image": ((1, 16, 7, 7), 16, (3, 3), {"padding": 8, "dilation": 8, "groups": 16}),
    "3x3 on one pixel": ((1, 16, 1, 1), 24, (3, 3), {"padding": 1}),
    "3x3 on few pixels": ((1, 16, 3, 2), 24, (3, 3), {"padding": 1}),
    "no padding, 1x1": ((1, 48, 14, 14), 96, (1, 1), {}),
    "1x1, prime pixels": ((1, 16, 1, 37), 24, (1, 1), {}),
    "1x1 stride 2": ((1, 32, 14, 14), 32, (1, 1), {"strides": 2}),
    "1x1 on one pixel": ((1, 64, 1, 1), 16, (1, 1), {}),
    "1x1 with padding": ((1, 16, 5, 5), 16, (1, 1), {"padding": 1}),
    "padded channels in and out": ((1, 19, 7, 9), 21, (3, 3), {"padding": 1}),
    "few channels": ((1, 5, 8, 8), 3, (3, 3), {"padding": 1}),
    "batch 2": ((2, 16, 9, 9), 32, (3, 3), {"padding": 1}),
    "batch 2, 1x1": ((2, 24, 9, 9), 32, (1, 1), {}),
    "groups of whole blocks": ((1, 64, 7, 7), 64, (3, 3), {"padding": 1, "groups": 2}),
    "groups narrower than a block": ((1, 24, 7, 7), 48, (3, 3), {"padding": 1, "groups": 8}),
    "grouped 1x1": ((1, 40, 6, 6), 80, (1, 1), {"groups": 4}),
    "channel multiplier": ((1, 6, 7, 7), 12, (3, 3), {"padding": 1, "groups": 6}),
    "depthwise": ((1, 32, 15, 13), 32, (3, 3), {"padding": 1, "groups": 32}),
    "depthwise 5x5 stride 2": ((2, 24, 15, 13), 24, (5, 5), {"padding": 2, "groups": 24, "strides": 2}),
    "depthwise dilated, no padding": ((1, 17, 15, 13), 17, (3, 3), {"groups": 17, "dilation": 2}),
    "kernel as large as the image": ((1, 16, 7, 7), 32, (7, 7), {}),
}


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: f"{model.isa}-{model.lanes}")
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_convolution(case, packed, model):
    shape, out, kernel, options = case

    def build(x, rng):
        x = rng.emit(relax.op.nn.max_pool2d(x, (1, 1))) if packed else x
        return relax.op.nn.relu(conv(x, rng, out, kernel, **options))

    report = check(build, [shape], model)
    assert not report.refusals and not report.fallbacks()


WINOGRAD = {
    "whole tiles": (1, 32, 16, 16, 32, 1),
    "ragged tiles, batch 2": (2, 32, 13, 15, 48, 1),
    "no padding": (1, 24, 19, 17, 16, 0),
    "asymmetric padding": (1, 17, 14, 13, 33, (0, 1, 2, 1)),
    "wide rows in several tasks": (1, 16, 12, 150, 16, 1),
}


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: f"{model.isa}-{model.lanes}")
@pytest.mark.parametrize("case", WINOGRAD.values(), ids=WINOGRAD.keys())
@pytest.mark.parametrize("by_channels", [False, True])
def test_winograd(case, model, by_channels, monkeypatch):
    batch, cin, height, width, out, padding = case
    winograd_plan.plan_by_rule.cache_clear()
    monkeypatch.setattr(winograd_plan, "winograd_cycles", lambda _, plan, __: float(plan.by_channels != by_channels))

    def build(x, rng):
        x = rng.emit(relax.op.nn.max_pool2d(x, (1, 1)))
        return relax.op.nn.relu(conv(x, rng, out, (3, 3), padding=padding))

    report = check(build, [(batch, cin, height, width)], model, tolerance=1e-4)
    winograd_plan.plan_by_rule.cache_clear()
    assert "winograd" in report.rules.values() and not report.refusals


def test_plain_input_is_read_without_packing():
    report = check(lambda x, rng: conv(x, rng, 16, (3, 3), strides=2, padding=1), [(1, 3, 16, 16)])
    assert "pack" not in report.rules.values()


TRANSPOSED = {
    "kernel equals stride": ((1, 16, 5, 6), 16, (2, 2), {"strides": 2}),
    "kernel 4 stride 2": ((1, 16, 5, 6), 24, (4, 4), {"strides": 2, "padding": 1}),
    "kernel 3 stride 2, output padding": ((1, 12, 5, 6), 8, (3, 3), {"strides": 2, "padding": 1, "output_padding": 1}),
    "stride 1": ((1, 16, 5, 6), 3, (3, 3), {"padding": 1}),
    "unequal strides, batch 2": ((2, 8, 4, 5), 5, (3, 2), {"strides": (3, 1)}),
}


@pytest.mark.parametrize("case", TRANSPOSED.values(), ids=TRANSPOSED.keys())
def test_transposed_convolution(case):
    shape, out, kernel, options = case

    def build(x, rng):
        w = relax.const(rng.standard_normal((shape[1], out, *kernel)).astype("float32") / np.sqrt(shape[1]))
        y = relax.op.nn.conv2d_transpose(x, w, **options)
        return relax.op.nn.relu(relax.op.add(y, relax.const(rng.standard_normal((1, out, 1, 1)).astype("float32"))))

    report = check(build, [shape])
    assert not report.refusals and not report.fallbacks()


def test_affine_tail_folds_into_the_weights():
    def build(x, rng):
        y = conv(x, rng, 16, (3, 3), padding=1)
        for op in (relax.op.multiply, relax.op.subtract, relax.op.divide):
            y = op(y, relax.const(rng.uniform(0.5, 2, (1, 16, 1, 1)).astype("float32")))
        return y

    assert check(build, [(1, 16, 8, 8)]).counts() == {"conv": 1, "unpack": 1}


def test_residual_add_joins_the_convolution():
    def build(x, rng):
        y = rng.emit(relax.op.nn.relu(conv(x, rng, 16, (3, 3), padding=1)))
        return relax.op.nn.relu(relax.op.add(conv(y, rng, 16, (3, 3), padding=1), y))

    report = check(build, [(1, 16, 8, 8)])
    assert sum(report.calls[name] for name, rule in report.rules.items() if rule == "conv") == 2
    assert "elementwise" not in report.rules.values()


def test_weights_are_stored_in_reading_order():
    w = np.arange(4 * 2 * 1 * 1, dtype="float32").reshape(4, 2, 1, 1)
    packed = pack_weights(w, 2, 2, 1)
    assert packed.shape == (2, 1, 1, 1, 2, 1, 2)
    for group, step, lane in itertools.product(range(2), range(2), range(2)):
        assert packed[group, 0, 0, 0, step, 0, lane] == w[group * 2 + lane, step, 0, 0]


def test_a_tile_reads_the_groups_it_touches():
    shape = ConvShape(1, 12, 4, 4, 24, 4, 4, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), groups=4, packed_input=True)
    assert [group_span(shape, channels) for channels in (4, 8, 24)] == [2, 2, 4]
    wide = window_weights(np.ones((24, 3, 1, 1), "float32"), shape, 8)[:, :, 0, 0]
    assert wide.shape == (24, 6)
    assert wide[5].tolist() == [1, 1, 1, 0, 0, 0] and wide[6].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("channels", "groups", "padding"), [(32, 4, 1), (24, 3, 1), (20, 2, 0)])
def test_channel_shuffle_is_read_by_the_depthwise_convolution(channels, groups, padding):
    def build(x, rng):
        x = rng.emit(relax.op.nn.max_pool2d(x, (1, 1)))
        x = relax.op.reshape(x, (2, groups, channels // groups, 7, 9))
        x = rng.emit(relax.op.reshape(relax.op.permute_dims(x, [0, 2, 1, 3, 4]), (2, channels, 7, 9)))
        return conv(x, rng, channels, (3, 3), padding=padding, groups=channels)

    report = check(build, [(2, channels, 7, 9)])
    assert set(report.rules.values()) == {"pack", "pool", "depthwise", "unpack"}
