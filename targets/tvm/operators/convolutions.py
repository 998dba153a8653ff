"""Convolutions over one, two and three spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax, te, tirx

from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, cast
from edgec.targets.tvm.operators.sampling import bilinear
from edgec.targets.tvm.operators.windows import Window, cropped, window_of

FORWARD = {4: (relax.op.nn.conv2d, "NCHW", "OIHW"), 5: (relax.op.nn.conv3d, "NCDHW", "OIDHW")}
TRANSPOSED = {4: (relax.op.nn.conv2d_transpose, "NCHW", "IOHW"), 5: (relax.op.nn.conv3d_transpose, "NCDHW", "IODHW")}
MOST_AXES = 3


def _conv(n: OnnxNode) -> Expr:
    return _biased(n, _convolution(n, n[0], n[1], n.shape(1)), 2)


def _convolution(n: OnnxNode, x: Expr, weights: Expr, shape: tuple[int, ...]) -> Expr:
    """Return the convolution of `x` with `weights` of `shape`, by the attributes of the node."""
    _check_axes(len(shape) - 2)
    x, window, extents = cropped(x, window_of(n, shape[2:]), n.shape(0))
    if len(shape) == MOST_AXES:
        return _as_picture(n, x, weights, extents, shape, window)
    operator, layout, kernel = FORWARD[len(shape)]
    return operator(
        x,
        weights,
        strides=list(window.strides),
        padding=window.padding,
        dilation=list(window.dilations),
        groups=n.attribute("group", 1),
        data_layout=layout,
        kernel_layout=kernel,
    )


def _as_picture(
    n: OnnxNode, x: Expr, weights: Expr, extents: tuple[int, ...], shape: tuple[int, ...], window: Window
) -> Expr:
    """A sequence is treated as a picture of one row, so that the schedules for pictures apply."""
    result = relax.op.nn.conv2d(
        relax.op.reshape(x, (*extents[:2], 1, extents[2])),
        relax.op.reshape(weights, (*shape[:2], 1, shape[2])),
        strides=[1, *window.strides],
        padding=[0, *window.before, 0, *window.after],
        dilation=[1, *window.dilations],
        groups=n.attribute("group", 1),
    )
    return relax.op.reshape(result, n.output_shape)


def _conv_integer(n: OnnxNode) -> Expr:
    """ConvInteger: convolves int32 differences to the zero points; filters may have one per output channel."""
    x, weights = cast(n[0], "int32"), cast(n[1], "int32")
    if n.has(2):
        x = relax.op.subtract(x, relax.op.reshape(cast(n[2], "int32"), ()))
    if n.has(3):
        shape = () if int(np.prod(n.shape(3))) == 1 else (-1, *[1] * (n.rank(1) - 1))
        weights = relax.op.subtract(weights, relax.op.reshape(cast(n[3], "int32"), shape))
    return _convolution(n, n.emit(x), n.emit(weights), n.shape(1))


def _conv_transpose(n: OnnxNode) -> Expr:
    """ConvTranspose; output padding that exceeds the padding appends rows of zeros behind the last tap."""
    x, weights, shape, extents = n[0], n[1], n.shape(1), n.shape(0)
    spatial = len(shape) - 2
    _check_axes(spatial)
    window = window_of(n, shape[2:])
    extra = n.attribute("output_padding") or (0,) * spatial
    if spatial == 1:
        x, weights = (
            relax.op.reshape(x, (*extents[:2], 1, extents[2])),
            relax.op.reshape(weights, (*shape[:2], 1, shape[2])),
        )
        window = Window(*((pad, *each) for pad, each in zip((1, 1, 1, 0, 0), _fields(window), strict=True)))
        extra = (0, *extra)
    behind = [max(0, more - pad) for more, pad in zip(extra, window.after, strict=True)]
    after = [max(0, pad - more) for more, pad in zip(extra, window.after, strict=True)]
    whole = all(more < step for more, step in zip(extra, window.strides, strict=True))
    operator, layout, kernel = TRANSPOSED[len(window.kernel) + 2]
    result = operator(
        x,
        weights,
        strides=list(window.strides),
        padding=window.padding if whole else [*window.before, *after],
        output_padding=list(extra) if whole else [0] * len(extra),
        dilation=list(window.dilations),
        groups=n.attribute("group", 1),
        data_layout=layout,
        kernel_layout=kernel,
    )
    if not whole and any(behind):
        result = relax.op.nn.pad(result, [0, 0, 0, 0, *(each for pad in behind for each in (0, pad))])
    if spatial == 1:
        result = relax.op.reshape(result, n.output_shape)
    return _biased(n, result, 2)


def _fields(window: Window) -> tuple[tuple[int, ...], ...]:
    return window.kernel, window.strides, window.dilations, window.before, window.after


def _biased(n: OnnxNode, result: Expr, index: int) -> Expr:
    if not n.has(index):
        return result
    return relax.op.add(result, relax.op.reshape(n[index], (1, -1, *[1] * (n.rank(0) - 2))))


def _check_axes(spatial: int) -> None:
    if not 1 <= spatial <= MOST_AXES:
        raise Refused(f"over {spatial} spatial axes")


def _deform_conv(n: OnnxNode) -> Expr:
    """DeformConv: samples at the taps' positions shifted by the offsets, then a 1x1 convolution over them."""
    if n.rank(0) != 4:
        raise Refused(f"over {n.rank(0) - 2} spatial axes")
    batch, channels, *_ = n.shape(0)
    window = window_of(n, n.shape(1)[2:])
    rows, columns = window.kernel
    sampled = (batch, channels * rows * columns, *n.output_shape[2:])
    each = channels // n.attribute("offset_group", 1)

    def taps(x: te.Tensor, offset: te.Tensor, *mask: te.Tensor) -> te.Tensor:
        def value(b: Any, c: Any, h: Any, w: Any) -> Any:
            channel, tap = tirx.floordiv(c, rows * columns), tirx.floormod(c, rows * columns)
            group = tirx.floordiv(channel, each)
            at = group * (rows * columns) + tap
            y = h * window.strides[0] - window.before[0] + tirx.floordiv(tap, columns) * window.dilations[0]
            z = w * window.strides[1] - window.before[1] + tirx.floormod(tap, columns) * window.dilations[1]
            y, z = y.astype(x.dtype) + offset[b, at * 2, h, w], z.astype(x.dtype) + offset[b, at * 2 + 1, h, w]
            element = bilinear(lambda *place: x(b, channel, *place), tuple(map(int, x.shape[2:])), (y, z))
            return element * mask[0][b, at, h, w] if mask else element

        return te.compute(sampled, value, name="taps")

    arguments = [n[0], n[2], *([n[4]] if n.has(4) else [])]
    read = n.compute(taps, *arguments, name="deformed_taps")
    filters = relax.op.reshape(n[1], (n.shape(1)[0], n.shape(1)[1] * rows * columns, 1, 1))
    return _biased(n, relax.op.nn.conv2d(read, filters, groups=n.attribute("group", 1)), 3)


def _col_to_im(n: OnnxNode) -> Expr:
    """Col2Im: each element is the sum of its values in all windows that contain it."""
    picture, kernel = (tuple(map(int, n.constant(at, what))) for at, what in ((1, "image_shape"), (2, "block_shape")))
    window, shape = window_of(n, kernel), n.output_shape
    counts = [
        (size + before + after - reach) // step + 1
        for size, before, after, reach, step in zip(
            picture, window.before, window.after, window.reach, window.strides, strict=True
        )
    ]

    def sums(columns: te.Tensor) -> te.Tensor:
        taps = [te.reduce_axis((0, size), name=f"tap{axis}") for axis, size in enumerate(kernel)]

        def value(b: Any, c: Any, *at: Any) -> Any:
            inside, block, tap = tirx.const(True, "bool"), tirx.const(0, "int32"), c
            for axis, position in enumerate(at):
                place = position + window.before[axis] - taps[axis] * window.dilations[axis]
                step = tirx.floordiv(place, window.strides[axis])
                exact = tirx.floormod(place, window.strides[axis]) == 0
                inside = tirx.all(inside, place >= 0, exact, step < counts[axis])
                block, tap = block * counts[axis] + step, tap * kernel[axis] + taps[axis]
            read = tirx.if_then_else(inside, columns[b, tap, block], tirx.const(0, columns.dtype))
            return te.sum(read, axis=taps)

        return te.compute(shape, value, name="sums")

    return n.compute(sums, n[0], name="col2im")


CONVERTERS: dict[str, Converter] = {
    "Col2Im": _col_to_im,
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "DeformConv": _deform_conv,
}
