"""What the weights behind a group become when some of its units go: zero there, and made up for in the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import constant
from edgec.passes.channels.groups import Group
from edgec.passes.layerwise.gram import refit
from edgec.passes.prune.moments import LayerMoments
from edgec.passes.prune.surgeon import DAMPING

Array = np.ndarray[Any, Any]


def without(
    model: ir.Model, group: Group, units: Collection[int], moments: Mapping[str, LayerMoments]
) -> dict[str, Array]:
    """Return, by name, the constants of the layers that read `group`, for the network without `units`.

    Args:
        model: Holds the weights.
        group: Of this model.
        units: What goes.
        moments: Layers with moments of their inputs: their other weights are refitted to give the same outputs.
    """
    result: dict[str, Array] = {}
    gone = np.array(sorted(units), np.int64)
    for member in group.readers:
        channels = np.flatnonzero(np.isin(member.units, gone))
        if not len(channels):
            continue
        held = moments.get(member.node)
        if held is not None and held.layer.groups == 1:
            result.update(held.layer.tensors(_refitted(held, channels)))
            continue
        if member.tensor not in result:
            array = constant(model.graph.initializers[member.tensor])
            if array is None:
                raise ValueError(f"{member.tensor} is not constant")
            result[member.tensor] = array.copy()
        np.moveaxis(result[member.tensor], member.axis, 0)[channels] = 0
    return result


def readers_constants(model: ir.Model, group: Group, moments: Mapping[str, LayerMoments]) -> list[str]:
    """Return the names of all constants that `without` may change."""
    every = range(group.units)
    return list(without(model, group, every, moments))


def _refitted(held: LayerMoments, channels: Array) -> Array:
    layer = held.layer
    columns = (channels[:, None] * layer.per_channel + np.arange(layer.per_channel)).reshape(-1)
    kept = np.setdiff1d(np.arange(layer.weights.shape[2]), columns)
    result = np.zeros_like(layer.weights)
    if len(kept):
        h = held.h[:, kept][:, :, kept]
        g = (layer.weights @ held.h)[:, :, kept]
        result[:, :, kept] = refit(h, g, layer.weights[:, :, kept], DAMPING)
    return result
