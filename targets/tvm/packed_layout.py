"""The packed layout of NCHW tensors: [N, C/block, H, W, block], channels filled up with zeros to whole blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgec.targets.tvm.cpu_model import CpuModel

Array = np.ndarray[Any, Any]


def ceil_div(value: int, divisor: int) -> int:
    """Return value / divisor, rounded up."""
    return -(-value // divisor)


def block_of(channels: int, cpu: CpuModel) -> int:
    """Return the channel block of a packed tensor with `channels` channels.

    A function of the channel count alone, so tensors of equal shape always agree and need no layout propagation.
    """
    lanes = cpu.lanes
    if channels < lanes:
        block = min(4, lanes)
        while block < channels:
            block *= 2
        return block
    if cpu.half_width_same_peak and channels % lanes and ceil_div(channels, lanes // 2) % 2:
        return lanes // 2
    return lanes


def packed_shape(shape: tuple[int, ...], block: int, *, flat: bool = False) -> tuple[int, int, int, int, int]:
    """Return the extents of the packed form [N, C/block, H, W, block] of an NCHW shape; `flat` makes H*W one row."""
    n, c, h, w = shape
    return (n, ceil_div(c, block), 1, h * w, block) if flat else (n, ceil_div(c, block), h, w, block)


def pack_channels(array: Array, block: int) -> Array:
    """Return NCHW `array` as [N, C/block, H, W, block], channels filled up with zeros."""
    n, c, h, w = array.shape
    blocks = ceil_div(c, block)
    padded = np.zeros((n, blocks * block, h, w), np.float32)
    padded[:, :c] = array
    return np.ascontiguousarray(padded.reshape(n, blocks, block, h, w).transpose(0, 1, 3, 4, 2))
