"""Uses of operators that read between pixels, of attention, losses and signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.uses.use import Array, Draw, Use

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize")


def resize(d: Draw) -> Use:
    mode = d.one("nearest", "linear", "cubic")
    rank = {"nearest": d.integer(1, 5), "linear": d.one(2, 3, 4, 4, 5), "cubic": d.one(2, 4)}[mode]
    x = d.array(tuple(d.integer(2, 7) for _ in range(rank)), d.one("float32", "float32", *_integers(mode)))
    # ONNX Runtime interpolates over the last two axes, or three.
    spatial = {"nearest": d.integer(1, rank), "linear": 3 if rank == 5 else 2, "cubic": 2}[mode]
    axes = list(range(rank - spatial, rank))
    factors = {axis: d.one(2.0, 2.0, 3.0, 0.5, 1.3, 0.6, 1.0) for axis in axes}
    scales = [factors.get(axis, 1.0) for axis in range(rank)]
    sizes = [max(1, int(size * scale)) for size, scale in zip(x.shape, scales, strict=True)]
    scales = [s if int(n * s) else m / n for s, n, m in zip(scales, x.shape, sizes, strict=True)]
    if d.opset < 11:
        return _old_resize(d, x, "nearest" if mode == "cubic" else mode, scales)
    coordinates = d.one(*COORDINATES, *(["half_pixel_symmetric"] if d.opset >= 19 else []))
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if coordinates == "half_pixel" and d.flag():
        del attributes["coordinate_transformation_mode"]
    attributes |= _of_mode(d, mode, antialiases=coordinates not in ("tf_crop_and_resize", "half_pixel_symmetric"))
    roi = np.zeros(0, np.float32) if d.opset < 13 and d.flag() else None
    if coordinates == "tf_crop_and_resize":
        within = np.array([axis in axes for axis in range(rank)])
        first, last = d.array((rank,), "float32", 0, 0.4), 1 - d.array((rank,), "float32", -0.2, 0.4)
        roi = np.concatenate([np.where(within, first, 0), np.where(within, last, 1)]).astype(np.float32)
        attributes |= d.maybe(extrapolation_value=d.one(0.0, 2.5))
    if d.opset >= 18 and d.flag(0.3):
        attributes["axes"] = [axis - rank if d.flag(0.3) else axis for axis in axes]
        scales, sizes = [scales[axis] for axis in axes], [sizes[axis] for axis in axes]
        roi = None if roi is None else np.concatenate([roi[axes], roi[[axis + rank for axis in axes]]])
    by_scales, by_sizes = np.array(scales, np.float32), np.array(sizes, np.int64)
    if d.flag(0.6):
        inputs = [x, roi, by_scales]
    elif d.opset < 13 and d.flag(0.7):  # an empty tensor stands for what is left out
        inputs = [x, np.zeros(0, np.float32) if roi is None else roi, np.zeros(0, np.float32), by_sizes]
    else:
        inputs = [x, roi, None, by_sizes]
    return d.made("Resize", inputs, attributes, constants=[1, 2, 3])


def _integers(mode: str) -> tuple[str, ...]:
    return ("uint8", "int32") if mode == "nearest" else ()


def _of_mode(d: Draw, mode: str, *, antialiases: bool) -> dict[str, Any]:
    if mode == "nearest":
        return d.maybe(nearest_mode=d.one("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
    cubic = d.maybe(cubic_coeff_a=d.one(-0.75, -0.5), exclude_outside=d.one(0, 1)) if mode == "cubic" else {}
    return cubic | ({"antialias": 1} if antialiases and d.opset >= 18 and d.flag(0.25) else {})


def _old_resize(d: Draw, x: Array, mode: str, scales: list[float]) -> Use:
    if d.opset == 10:
        return d.made("Resize", [x, np.array(scales, np.float32)], {"mode": mode}, constants=[1])
    larger = [max(1.0, scale) for scale in scales]
    if d.opset < 9:
        return d.made("Upsample", [x], {"mode": mode, "scales": larger})
    return d.made("Upsample", [x, np.array(larger, np.float32)], {"mode": mode}, constants=[1])


def grid_sample(d: Draw) -> Use:
    axes = 2 if d.opset < 20 else d.one(2, 2, 3)
    names = (
        ("bilinear", "nearest", "bicubic")
        if d.opset < 20
        else ("linear", "nearest", *(("cubic",) if axes == 2 else ()))
    )
    x = d.array((d.integer(1, 2), d.integer(1, 3), *(d.integer(2, 6) for _ in range(axes))))
    grid = d.array((x.shape[0], *(d.integer(1, 5) for _ in range(axes)), axes), "float32", -1.6, 1.6)
    attributes = d.maybe(padding_mode=d.one("zeros", "border", "reflection"), align_corners=d.one(0, 1))
    return d.made("GridSample", [x, grid], {"mode": d.one(*names), **attributes}, weights=[1], tolerance=3)


def affine_grid(d: Draw) -> Use:
    axes, batch = d.one(2, 3), d.integer(1, 2)
    size = np.array([batch, 3, *(d.integer(2, 5) for _ in range(axes))])
    theta = d.array((batch, axes, axes + 1))
    return d.made("AffineGrid", [theta, size], d.maybe(align_corners=d.one(0, 1)), constants=[1])


def attention(d: Draw) -> Use:
    heads, length, depth = d.integer(1, 3), d.integer(1, 5), d.integer(1, 4)
    other = length if d.flag() else d.integer(1, 5)
    queries, keys = (2, heads, length, depth), (2, heads, other, depth)
    inputs: list[Any] = [d.array(queries), d.array(keys), d.array((*keys[:3], d.integer(1, 4)))]
    attributes = d.maybe(scale=0.3, is_causal=d.one(0, 1), softcap=d.one(0.0, 2.0))
    if d.flag(0.4):
        inputs.append(
            d.array((length, other))
            if d.flag()
            else d.array((length, other), "bool") | np.eye(length, other, dtype=bool)
        )
    return d.made("Attention", inputs, attributes)


def rotary_embedding(d: Draw) -> Use:
    heads, length, half = d.integer(1, 3), d.integer(1, 5), d.integer(1, 3)
    x = d.array((2, heads, length, 2 * half))
    caches = [d.array((8, half)), d.array((8, half)), d.array((2, length), "int64", 0, 7)]
    return d.made("RotaryEmbedding", [x, *caches], d.maybe(interleaved=d.one(0, 1)), weights=[1, 2])


def window(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        return d.made(op_type, [np.array(d.integer(2, 12))], d.maybe(periodic=d.one(0, 1)), constants=[0])

    return draw


def dft(d: Draw) -> Use:
    size = d.integer(2, 9)
    complex_input, inverse = d.flag(0.3), d.flag(0.3)
    x = d.array((d.integer(1, 2), size, d.integer(1, 3), 2 if complex_input or inverse else 1))
    onesided = 0 if complex_input or inverse else d.one(0, 1)
    attributes: dict[str, Any] = {"inverse": int(inverse), "onesided": onesided}
    if d.opset < 20:
        return d.made("DFT", [x], {**attributes, **d.maybe(axis=1)}, tolerance=10)
    return d.made("DFT", [x, None, np.array(1)], attributes, constants=[1, 2], tolerance=10)


def stft(d: Draw) -> Use:
    frame = d.integer(4, 8)
    x = d.array((d.integer(1, 2), 24, 1))
    inputs: list[Any] = [x, np.array(d.integer(2, 5)), None, np.array(frame)]
    if d.flag():
        inputs[2] = d.array((frame,), "float32", 0.1, 1)
    return d.made("STFT", inputs, {"onesided": d.one(0, 1)}, constants=[1, 2, 3], tolerance=10)


def loss(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        shape = (d.integer(1, 4), d.integer(2, 5), *d.shape(0, 2, 4))
        labels = d.array((shape[0], *shape[2:]), "int64", 0, shape[1] - 1)
        inputs: list[Any] = [d.array(shape), labels]
        if d.flag():
            inputs.append(d.array((shape[1],), "float32", 0.2, 1))
        attributes = d.maybe(reduction=d.one("none", "sum", "mean"), ignore_index=d.one(0, -1))
        return d.made(op_type, inputs, attributes)

    return draw


GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{name: window(name) for name in ("BlackmanWindow", "HammingWindow", "HannWindow")},
    **{name: loss(name) for name in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")},
    "AffineGrid": affine_grid,
    "Attention": attention,
    "DFT": dft,
    "GridSample": grid_sample,
    "Resize": resize,
    "RotaryEmbedding": rotary_embedding,
    "STFT": stft,
}
