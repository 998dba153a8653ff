"""Pools, concat, resizing and elementwise work on packed tensors, against TVM's own unscheduled operators."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")
from tvm import relax

from tests.support.lowered import SMALL_MODELS, check

OPS = relax.op


def pointwise(x, rng, out):
    """A convolution, so that what follows it is packed."""
    x = rng.emit(x) if not isinstance(x, relax.Var) else x
    cin = int(x.ty.shape.values[1])
    w = rng.standard_normal((out, cin, 1, 1)).astype("float32") / np.sqrt(cin)
    return rng.emit(OPS.nn.conv2d(x, relax.const(w)))


POOLS = {
    "max 3x3 stride 2": lambda x: OPS.nn.max_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)),
    "max 2x2": lambda x: OPS.nn.max_pool2d(x, (2, 2), (2, 2)),
    "max 5x5 stride 1": lambda x: OPS.nn.max_pool2d(x, (5, 5), (1, 1), (2, 2, 2, 2)),
    "max 3x3, asymmetric": lambda x: OPS.nn.max_pool2d(x, (3, 2), (1, 2), (0, 1, 2, 0)),
    "max, ceil": lambda x: OPS.nn.max_pool2d(x, (3, 3), (2, 2), ceil_mode=True),
    "average 2x2": lambda x: OPS.nn.avg_pool2d(x, (2, 2), (2, 2)),
    "average 3x3 without padding": lambda x: OPS.nn.avg_pool2d(x, (3, 3), (2, 2), (1, 1, 1, 1)),
    "average 3x3 with padding": lambda x: OPS.nn.avg_pool2d(x, (3, 3), (1, 1), (1, 1, 1, 1), count_include_pad=True),
    "global average": lambda x: OPS.nn.avg_pool2d(x, (11, 13)),
    "mean of H and W": lambda x: OPS.mean(x, [2, 3], keepdims=True),
}


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS.keys())
@pytest.mark.parametrize("channels", [16, 21])
def test_pool(pool, channels, model):
    report = check(lambda x, rng: OPS.nn.relu(pool(x)), [(2, channels, 11, 13)], model)
    assert not report.refusals and not report.fallbacks()


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)
@pytest.mark.parametrize(("begin", "end"), [(0, 16), (16, 32), (3, 24), (24, 29), (-8, 40)])
def test_channels_are_taken_in_packed_layout(begin, end, model):
    def build(x, rng):
        part = rng.emit(OPS.strided_slice(pointwise(x, rng, 40), axes=[1], begin=[begin], end=[end]))
        return pointwise(OPS.nn.relu(part), rng, 8)

    report = check(build, [(2, 16, 5, 7)], model)
    assert report.counts().get("channels") == 1 and not report.left_out()


RESIZES = {
    "linear, twice": ("linear", "half_pixel", (10, 14)),
    "linear, by 3/2 and 3/7": ("linear", "pytorch_half_pixel", (15, 3)),
    "linear, corners aligned": ("linear", "align_corners", (9, 13)),
    "linear, asymmetric, to one row": ("linear", "asymmetric", (1, 28)),
    "nearest, rounding down": ("nearest_neighbor", "asymmetric", (7, 5)),
}


@pytest.mark.parametrize("model", SMALL_MODELS[::2], ids=lambda model: model.isa)
@pytest.mark.parametrize("case", RESIZES.values(), ids=RESIZES.keys())
def test_resizing_stays_packed(case, model):
    method, mode, size = case

    def build(x, rng):
        x = pointwise(x, rng, 21)
        resized = OPS.image.resize2d(
            x, size, method=method, coordinate_transformation_mode=mode, rounding_method="floor", layout="NCHW"
        )
        return pointwise(OPS.nn.relu(resized), rng, 16)

    report = check(build, [(2, 16, 5, 7)], model)
    assert "resize" in report.rules.values() and not report.left_out()
    assert report.counts().get("pack", 0) + report.counts().get("unpack", 0) <= 2, "at the ends only"


@pytest.mark.parametrize("widths", [(16, 32), (8, 24), (5, 7, 9), (16, 3), (3, 16), (12, 12, 12), (1, 16, 1)])
@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)
def test_concat_of_any_widths(widths, model):
    def build(x, rng):
        parts = [pointwise(x, rng, width) for width in widths]
        return OPS.nn.relu(OPS.concat(parts, axis=1))

    report = check(build, [(2, 16, 5, 7)], model)
    assert not report.refusals and "concat" in report.rules.values()


def test_nested_concat_is_one_kernel():
    def build(x, rng):
        a, b, c = (pointwise(x, rng, width) for width in (16, 32, 16))
        return OPS.concat([OPS.concat([a, b], axis=1), c], axis=1)

    report = check(build, [(1, 16, 5, 7)])
    assert sum(rule == "concat" for rule in report.rules.values()) == 1


@pytest.mark.parametrize("factors", [(2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize("mode", [("asymmetric", "floor"), ("half_pixel", "round")])
def test_nearest_upsampling(factors, mode):
    size = (5 * factors[0], 6 * factors[1])

    def build(x, rng):
        y = pointwise(x, rng, 24)
        return OPS.image.resize2d(
            y, size, method="nearest_neighbor", coordinate_transformation_mode=mode[0], rounding_method=mode[1]
        )

    report = check(build, [(1, 16, 5, 6)])
    assert "upsample" in report.rules.values()


BROADCASTS = {
    "channels": (1, 24, 1, 1),
    "pixels": (1, 1, 5, 6),
    "row": (1, 1, 1, 6),
    "everything": (1, 24, 5, 6),
    "vector": (6,),
    "scalar": (),
}


@pytest.mark.parametrize("shape", BROADCASTS.values(), ids=BROADCASTS.keys())
@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda model: model.isa)
def test_constants_broadcast_in_a_region(shape, model):
    def build(x, rng):
        y = OPS.nn.relu(pointwise(x, rng, 24))
        return OPS.multiply(OPS.add(y, relax.const(rng.standard_normal(shape).astype("float32"))), y)

    report = check(build, [(2, 16, 5, 6)], model)
    assert not report.refusals


def test_squeeze_and_excite():
    def build(x, rng):
        y = pointwise(x, rng, 24)
        s = OPS.mean(y, [2, 3], keepdims=True)
        s = rng.emit(OPS.nn.relu(pointwise(s, rng, 8)))
        s = OPS.sigmoid(pointwise(s, rng, 24))
        return OPS.multiply(y, s)

    assert not check(build, [(2, 16, 5, 6)]).fallbacks()


def test_spatial_attention_broadcasts_one_channel():
    def build(x, rng):
        y = pointwise(x, rng, 24)
        return OPS.multiply(y, OPS.sigmoid(pointwise(y, rng, 1)))

    assert not check(build, [(2, 16, 5, 6)]).refusals


ACTIVATIONS = {
    "silu": OPS.nn.silu,
    "sigmoid": OPS.sigmoid,
    "tanh": OPS.tanh,
    "exp": OPS.exp,
    "leaky relu": lambda y: OPS.nn.leakyrelu(y, 0.1),
    "clip": lambda y: OPS.clip(y, -0.5, 0.5),
    "hard swish": lambda y: OPS.divide(
        OPS.multiply(y, OPS.clip(OPS.add(y, relax.const(3.0, "float32")), 0, 6)), relax.const(6.0, "float32")
    ),
    "abs, sqrt": lambda y: OPS.sqrt(OPS.abs(y)),
    "square, negative": lambda y: OPS.negative(OPS.square(y)),
}


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
def test_activation_joins_the_convolution(activation):
    report = check(lambda x, rng: activation(pointwise(x, rng, 32)), [(1, 16, 5, 6)])
    assert report.counts() == {"pack": 1, "conv": 1, "unpack": 1} or report.counts() == {"conv": 1, "unpack": 1}


def test_several_inputs_and_outputs():
    def build(x, y, rng):
        a, b = pointwise(x, rng, 16), pointwise(y, rng, 16)
        total = rng.emit(OPS.add(a, b))
        return relax.Tuple([total, OPS.nn.relu(total), a])

    assert not check(build, [(1, 16, 5, 6), (1, 8, 5, 6)]).refusals


def test_an_input_may_be_an_output():
    check(lambda x, rng: relax.Tuple([x, pointwise(x, rng, 16)]), [(1, 16, 5, 6)])
