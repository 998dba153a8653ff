"""Convolutions of sequences, against TVM's own unscheduled operators: they are pictures of one row throughout."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tvm")
from tvm import relax

from tests.support.lowered import check

OPS = relax.op


def weights(rng, *shape):
    return relax.const(rng.standard_normal(shape).astype("float32") / np.sqrt(np.prod(shape[1:])))


def along_columns(x, rng, out, taps, *, padding=0, stride=1, groups=1):
    """A convolution of [N, C, L, 1], as exporters of TensorFlow write it."""
    filters = weights(rng, out, int(x.ty.shape.values[1]) // groups, taps, 1)
    return rng.emit(OPS.nn.conv2d(x, filters, padding=(padding, 0), strides=(stride, 1), groups=groups))


def along_sequence(x, rng, out, taps, *, padding=0, stride=1):
    """A convolution of [N, C, L] with a bias, as Conv is imported."""
    n, c, length = (int(extent) for extent in x.ty.shape.values)
    picture = rng.emit(OPS.reshape(x, (n, c, 1, length)))
    y = rng.emit(OPS.nn.conv2d(picture, weights(rng, out, c, 1, taps), padding=(0, padding), strides=(1, stride)))
    y = rng.emit(OPS.reshape(y, (n, out, int(y.ty.shape.values[3]))))
    return rng.emit(OPS.add(y, weights(rng, 1, out, 1)))


def test_a_picture_one_column_wide_takes_tiles_along_it():
    def build(x, rng):
        y = rng.emit(OPS.nn.relu(along_columns(x, rng, 32, 5)))
        y = rng.emit(OPS.add(y, weights(rng, 1, 32, 1, 1)))
        y = rng.emit(OPS.multiply(y, weights(rng, 30, 1)))
        y = along_columns(y, rng, 32, 3, padding=1, groups=32)
        return OPS.sigmoid(along_columns(y, rng, 8, 1))

    report = check(build, [(2, 16, 34, 1)])
    # The last two are the shapes of the network's input and output.
    assert report.counts() == {"conv": 2, "depthwise": 1, "unpack": 1, "injective": 2}
    assert "16x1x34 > 32x1x30, 1x5" in str(report)


def test_pools_and_joins_of_columns_stay_columns():
    def build(x, rng):
        y = along_columns(x, rng, 16, 3, padding=1, stride=2)
        z = rng.emit(OPS.nn.max_pool2d(y, (3, 1), strides=(1, 1), padding=(1, 0, 1, 0)))
        return OPS.concat([y, z], 1)

    assert not check(build, [(1, 8, 31, 1)]).fallbacks()


def test_sequences_stay_in_blocks_between_convolutions():
    def build(x, rng):
        y = OPS.nn.relu(along_sequence(x, rng, 16, 3, padding=1))
        y = rng.emit(y)
        z = along_sequence(y, rng, 16, 3, padding=1)
        y = rng.emit(OPS.nn.relu(OPS.add(y, z)))
        gate = rng.emit(OPS.sigmoid(OPS.mean(y, [2], keepdims=True)))
        return along_sequence(rng.emit(OPS.multiply(y, gate)), rng, 8, 5, stride=2)

    counts = check(build, [(1, 8, 29)]).counts()
    assert counts == {"conv": 3, "global_pool": 1, "elementwise": 1, "unpack": 1, "injective": 2}


def test_what_reads_a_turned_value_otherwise_gets_its_own_shape():
    def build(x, rng):
        y = rng.emit(OPS.nn.relu(along_columns(x, rng, 16, 3)))
        z = along_columns(y, rng, 16, 3)
        return OPS.add(OPS.mean(y, [1, 2], keepdims=True), rng.emit(OPS.permute_dims(z, [0, 3, 2, 1])))

    check(build, [(1, 8, 20, 1)])
