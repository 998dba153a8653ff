"""Computes the weights of the layers that read a group when some units are removed: the other weights compensate."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.passes.channels.groups import Group
from edgec.passes.channels.masked import mask_weights
from edgec.passes.layerwise.gram import refit
from edgec.passes.layerwise.moments import LayerMoments
from edgec.passes.prune.optimal_brain_surgeon import DAMPING

Array = np.ndarray[Any, Any]


def compensated_weights(
    model: ir.Model, group: Group, units: Collection[int], moments: Mapping[str, LayerMoments]
) -> dict[str, Array]:
    """Return, by name, the constants of the layers that read `group`, for the network without `units`.

    Args:
        model: Model with the weights.
        group: Group of this model.
        units: Units that are removed.
        moments: Layers with moments of their inputs: their other weights are refitted to reproduce the outputs.
    """
    result: dict[str, Array] = {}
    for reader in group.readers:
        gone = np.isin(reader.units, list(units))
        held = moments.get(reader.node)
        if held is None or held.layer.groups > 1:
            mask_weights(result, model, reader, gone)
        elif gone.any():
            result.update(held.layer.tensors(_refitted(held, np.flatnonzero(gone))))
    return result


def changing_weights(model: ir.Model, group: Group, moments: Mapping[str, LayerMoments]) -> list[str]:
    """Return the names of all constants that `compensated_weights` may change."""
    return list(compensated_weights(model, group, range(group.units), moments))


def _refitted(held: LayerMoments, channels: Array) -> Array:
    """Return the weights that best compensate for removing `channels` of the input; zero for these channels."""
    layer = held.layer
    columns = (channels[:, None] * layer.per_channel + np.arange(layer.per_channel)).reshape(-1)
    kept = np.setdiff1d(np.arange(layer.weights.shape[2]), columns)
    result = np.zeros_like(layer.weights)
    if len(kept):
        h = held.h[:, kept][:, :, kept]
        g = (layer.weights @ held.h)[:, :, kept]
        result[:, :, kept] = refit(h, g, layer.weights[:, :, kept], DAMPING)
    return result
