"""What rewrites know about a node beyond the attributes of its call: one record per kind of operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def pair(values: Sequence[int]) -> Pair:
    """Return two numbers as a pair of that type."""
    first, second = values
    return first, second


def sides(values: Sequence[int]) -> Sides:
    """Return four numbers as a tuple of that type."""
    top, left, bottom, right = values
    return top, left, bottom, right


@dataclass(frozen=True)
class Network:
    """Totals with which a layer is compared: cycles of all convolutions by the direct method, bytes of all weights."""

    cycles: float
    weight_bytes: int


@dataclass(frozen=True)
class Scaling:
    """`real = (q - zero_point) * scale` of one tensor: the parameters of `edgec.quantize` and `edgec.dequantize`."""

    scale: float
    zero_point: int

    def quantize(self, array: Array, dtype: str) -> Array:
        """Return `array` (float32) as integers, halves rounded to even, out-of-range values saturated."""
        limits = np.iinfo(dtype)
        steps = np.rint(array / np.float32(self.scale)) + self.zero_point
        return np.asarray(np.clip(steps, limits.min, limits.max).astype(dtype))

    def dequantize(self, array: Array) -> Array:
        """Return the real numbers of integers, float32."""
        return np.asarray((array.astype(np.int32) - self.zero_point) * np.float32(self.scale), np.float32)


@dataclass(eq=False, kw_only=True)
class AnyConvolution:
    """A convolution with constant `weights` [K, C/groups, R, S]."""

    weights: Array
    strides: Pair
    padding: Sides
    dilation: Pair
    groups: int


@dataclass(eq=False, kw_only=True)
class Convolution(AnyConvolution):
    """A convolution in floats."""

    bias: Array
    """[K], float32."""
    shuffle: int | None = None
    """Number of groups g of a channel shuffle: output channel c reads input channel (c mod g) * C/g + c div g."""
    network: Network | None = None
    """Totals of the network that contains the layer, if they are known."""


@dataclass(eq=False, kw_only=True)
class IntegerConvolution(AnyConvolution):
    """A convolution of bytes with int8 weights."""

    scales: Array
    """[K], doubles: the scale of the input times the scales of the weights."""
    bias: Array
    """[K], doubles."""
    scaling: Scaling
    """Zero point of the input."""
    depthwise: bool


@dataclass(eq=False, kw_only=True)
class IntegerProduct:
    """A product of a matrix of bytes with int8 `weights` [N, K]; the other fields are as for a convolution."""

    weights: Array
    scales: Array
    bias: Array
    scaling: Scaling


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A max or average pool over H and W."""

    window: Pair
    strides: Pair
    padding: Sides
    counts_padding: bool = False


@dataclass(frozen=True)
class Upsampling:
    """Nearest-neighbour upsampling of H and W by integer factors."""

    factors: Pair


@dataclass(frozen=True)
class Interleaving:
    """Phases of a transposed convolution, with `channels` each; `before` is the padding at the top and on the left."""

    strides: Pair
    before: Pair
    channels: int


@dataclass(frozen=True)
class Slice:
    """A range of channels that begins with `start`."""

    start: int


@dataclass(frozen=True)
class Results:
    """A result of a recurrent layer that is read: its index, the order of its axes, the node that stands for it."""

    read: tuple[tuple[int, tuple[int, ...], Any], ...]


Facts: TypeAlias = (
    Scaling | Convolution | IntegerConvolution | IntegerProduct | Pool | Upsampling | Interleaving | Slice | Results
)
