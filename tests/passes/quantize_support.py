"""A small detector-like network and samples for the tests of quantization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.data.samples import Sample, Samples
from tests.support.models import model, random_weights

SMALL = """
net (float[1, 3, 16, 16] image) => (float[1, 6, 8, 8] found, float[1, 5] scores)
{
  c1 = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (image, w1, b1)
  r1 = Relu (c1)
  d = Conv <pads = [1, 1, 1, 1], group = 8> (r1, wd, bd)
  rd = Relu (d)
  p = Conv (rd, wp, bp)
  s = Add (p, r1)
  r2 = Relu (s)
  m = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r2)
  both = Concat <axis = 1> (m, r1)
  boxes = Conv (both, wb, bb)
  raw = Conv (r2, wo, bo)
  sure = Sigmoid (raw)
  found = Concat <axis = 1> (boxes, sure)
  g = GlobalAveragePool (r2)
  f = Flatten (g)
  h = MatMul (f, wm)
  scores = Add (h, bm)
}
"""
"""Convolution, depthwise, residual, pool, two concats (one of them an output of unlike ranges), dense."""


def small(seed: int = 0) -> ir.Model:
    """Return `SMALL` with random weights."""
    shapes: dict[str, Any] = {
        "w1": (8, 3, 3, 3), "b1": (8,), "wd": (8, 1, 3, 3), "bd": (8,), "wp": (8, 8, 1, 1), "bp": (8,),
        "wb": (4, 16, 1, 1), "bb": (4,), "wo": (2, 8, 1, 1), "bo": (2,), "wm": (8, 5), "bm": (5,),
    }  # fmt: skip
    network = model(SMALL, random_weights(seed, **shapes), opset=18)
    for number, node in enumerate(network.graph):
        node.name = f"{node.op_type}_{number}"
    return network


class Arrays(Samples):
    """Samples made of arrays for one input."""

    def __init__(self, arrays: Sequence[np.ndarray[Any, Any]], name: str = "image") -> None:
        self._arrays, self._name = arrays, name

    def __len__(self) -> int:
        return len(self._arrays)

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"sample-{index}", {self._name: self._arrays[index]})


def pictures(count: int = 16, shape: tuple[int, ...] = (1, 3, 16, 16), seed: int = 1) -> Arrays:
    """Return smooth random pictures in [0, 1]."""
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(count):
        coarse = rng.uniform(0, 1, (*shape[:2], shape[2] // 4, shape[3] // 4))
        fine = np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3) + rng.normal(0, 0.05, shape)
        arrays.append(np.clip(fine, 0, 1).astype(np.float32))
    return Arrays(arrays)
