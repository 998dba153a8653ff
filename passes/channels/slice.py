"""`SliceChannels`: removes the channels of a plan from a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgec.errors import InternalError
from edgec.model.graph import add_constant, constant
from edgec.model.infer import infer_shapes
from edgec.passes.base import Pass, PassReport
from edgec.passes.channels.coupling import Ids
from edgec.passes.channels.groups import Channels, find_groups
from edgec.passes.channels.masks import Kept
from edgec.passes.channels.operators import operator_of
from edgec.passes.channels.plan import PrunePlan, removed_roots
from edgec.passes.channels.propagation import Operand


class SliceChannels(Pass):
    """Remove the channels of `plan` from weights, and adapt the shapes, sizes and groups of nodes.

    The result computes the same as the model whose weights that read removed channels are zero (`masked_weights`).

    Args:
        plan: Plan that was made for this model.
    """

    name = "slice_channels"

    def __init__(self, plan: PrunePlan) -> None:
        super().__init__()
        self._plan = plan

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Slice in place.

        Raises:
            BadOption: The plan does not fit the model.
            InternalError: The resulting shapes are not the expected ones.
        """
        channels = find_groups(model)
        removed = removed_roots(self._plan, channels)
        if not len(removed):
            return PassReport(model, False, (), _refusals(channels))
        coupling = channels.propagation.coupling

        def keep(ids: Ids) -> Kept:
            return ~np.isin(coupling.roots(ids), removed)

        masks = {value: [keep(ids) for ids in axes] for value, axes in channels.propagation.values.items()}
        for node in list(model.graph):
            touched = [value for value in (*node.inputs, *node.outputs) if value is not None and _shrinks(masks, value)]
            operator = operator_of(node) if touched else None
            if operator is not None and operator.adapt is not None:
                operator.adapt(model.graph, node, masks)
        for operand in channels.propagation.operands:
            _slice_operand(model.graph, operand, [keep(ids) for ids in operand.axes])
        _infer(model, masks)
        changes = tuple(
            f"{name}: {group.units - len(group.removed)} of {group.units} channels kept"
            for name, group in self._plan.groups.items()
        )
        return PassReport(model, True, changes, _refusals(channels))


def _shrinks(masks: Mapping[ir.Value, list[Kept]], value: ir.Value) -> bool:
    return any(not mask.all() for mask in masks.get(value, ()))


def _slice_operand(graph: ir.Graph, operand: Operand, masks: list[Kept]) -> None:
    """Make the readers of a constant read its kept part."""
    array = constant(operand.value)
    if array is None or all(mask.all() for mask in masks):
        return
    new = add_constant(graph, operand.value.name or "weights", array[np.ix_(*masks)])
    for node, index in operand.readers:
        node.replace_input_with(index, new)
    if operand.value.is_initializer() and not operand.value.uses() and not operand.value.is_graph_output():
        name = operand.value.name or ""
        del graph.initializers[name]
        operand.value.name = f"{name}_before"
        new.name = name  # users and records know the weights by this name


def _infer(model: ir.Model, masks: Mapping[ir.Value, list[Kept]]) -> None:
    for value, kept in masks.items():
        producer = value.producer()
        if producer is not None and producer.domain:  # ONNX cannot infer the operators of plugins
            value.shape = ir.Shape([int(mask.sum()) for mask in kept])
    infer_shapes(model)
    for value, kept in masks.items():
        expected = tuple(int(mask.sum()) for mask in kept)
        if value.shape is not None and value.shape.is_static() and value.shape.numpy() != expected:
            raise InternalError(f"slice_channels: {value.name} is {value.shape}, but {list(expected)} was expected")


def _refusals(channels: Channels) -> tuple[tuple[str, str], ...]:
    return tuple((blocked.layer, f"not pruned: {blocked.reason}") for blocked in channels.blocked)
