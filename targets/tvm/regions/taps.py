"""Drops taps of a convolution that always lie in padding, as with large dilations."""

from __future__ import annotations

from collections.abc import Sequence

from edgec.targets.tvm.regions.facts import AnyConvolution, pair, sides


def drop_taps(layer: AnyConvolution, source: Sequence[int], result: Sequence[int]) -> None:
    """Crop the weights of `layer` to the taps that read the input at some pixel; adapt the padding.

    Args:
        layer: Altered in place.
        source: Shape of the input, NCHW.
        result: Shape of the output, NCHW.
    """
    weights, padding, dilation = layer.weights, list(layer.padding), list(layer.dilation)
    for axis in (0, 1):
        first, last = kept_taps(
            weights.shape[2 + axis], source[2 + axis], result[2 + axis], layer.strides[axis], dilation[axis],
            (padding[axis], padding[2 + axis]),
        )  # fmt: skip
        padding[axis] -= first * dilation[axis]
        padding[2 + axis] -= (weights.shape[2 + axis] - 1 - last) * dilation[axis]
        weights = weights.take(range(first, last + 1), axis=2 + axis)
        dilation[axis] = 1 if first == last else dilation[axis]
    if weights.shape != layer.weights.shape:
        layer.weights, layer.padding, layer.dilation = weights, sides(padding), pair(dilation)


def kept_taps(
    taps: int, size: int, resized: int, stride: int, dilation: int, padding: tuple[int, int]
) -> tuple[int, int]:
    """Return the first and the last tap of an axis that read the input at some pixel; no padding becomes negative."""
    before, after = padding
    offsets = [tap * dilation - before for tap in range(taps)]
    inside = [tap for tap, at in enumerate(offsets) if at + (resized - 1) * stride >= 0 and at < size] or [0]
    first, last = inside[0], inside[-1]
    while first * dilation > before:
        first -= 1
    while (taps - 1 - last) * dilation > after:
        last += 1
    return first, last
