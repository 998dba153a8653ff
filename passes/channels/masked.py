"""`masked_weights`: the network that a plan leaves, in its old size: weights that read removed channels are zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.passes.channels.groups import Channels, Member, weights_of
from edgec.passes.channels.plan import PrunePlan

Array = np.ndarray[Any, Any]


def masked_weights(model: ir.Model, channels: Channels, plan: PrunePlan) -> dict[str, Array]:
    """Return, by name, the weights that read removed channels, with zeros for these.

    In place of the model's own they give the network that `SliceChannels` leaves, in its old size.

    Raises:
        BadOption: The plan does not fit the model.
    """
    plan.check(channels)
    result: dict[str, Array] = {}
    for group in channels.groups:
        gone = plan.groups[group.name].removed if group.name in plan.groups else ()
        for reader in group.readers:
            mask_weights(result, model, reader, np.isin(reader.units, gone))
    return result


def mask_weights(result: dict[str, Array], model: ir.Model, reader: Member, gone: Array) -> None:
    """Set to zero the weights with which `reader` reads removed channels, in the copy in `result`, made if needed.

    Args:
        result: Name of the constant -> its new value.
        model: Model with the weights.
        reader: Member of a group of that model.
        gone: Whether each channel along the axis of `reader` is removed; bool [channels].
    """
    if not gone.any():
        return
    if reader.tensor not in result:
        result[reader.tensor] = weights_of(model, reader).copy()
    np.moveaxis(result[reader.tensor], reader.axis, 0)[gone] = 0
