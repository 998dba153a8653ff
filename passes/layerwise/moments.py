"""`layer_moments`: second moments of the inputs of layers, in one run over the samples."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import label
from edgec.passes.layerwise.find_linear import linear_layer
from edgec.passes.layerwise.gram import Gram
from edgec.passes.layerwise.linear_layer import ROWS, LinearLayer
from edgec.reference.sweep import Feeds, sweep

Array = np.ndarray[Any, Any]

WIDEST = 2304
"""Maximum number of inputs of a layer whose moments are stored: 256 channels of 3 x 3 positions."""


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """One layer and H = E[x x^T] of its inputs, float64 [groups, width, width]."""

    layer: LinearLayer
    h: Array


class _Watch:
    """Observes the input of one layer."""

    def __init__(self, layer: LinearLayer, seed: int) -> None:
        self.layer = layer
        self.gram = Gram(layer.groups, layer.weights.shape[2])
        self._rng = np.random.default_rng(seed)

    def update(self, array: Array) -> None:
        shape = self.layer.node.outputs[0].shape
        places = self.layer.choose(() if shape is None else shape.numpy(), ROWS, self._rng)
        self.gram.add(self.layer.rows_in(array, places))


def layer_moments(
    model: ir.Model, names: Collection[str], samples: Iterable[Feeds], *, threads: int | None = None
) -> dict[str, LayerMoments]:
    """Return layer name -> moments, for every linear layer in `names` with at most `WIDEST` inputs.

    `model` runs once per sample; the memory does not depend on the number of samples.
    """
    watches: dict[str, _Watch] = {}
    for number, node in enumerate(model.graph):
        layer = linear_layer(node) if label(node) in names else ""
        if isinstance(layer, LinearLayer) and layer.weights.shape[2] <= WIDEST + 1:
            watches[label(node)] = _Watch(layer, number)
    observers: dict[str, list[_Watch]] = {watch.layer.input: [] for watch in watches.values()}
    for watch in watches.values():
        observers[watch.layer.input].append(watch)
    sweep(model, samples, observers, threads=threads)
    return {name: LayerMoments(watch.layer, watch.gram.h) for name, watch in watches.items()}
