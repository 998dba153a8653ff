"""`choose_float_layers`: which layers stay in float so that an accepted loss is kept, by measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from edgec.evaluate.judge import Judge, Progress
from edgec.evaluate.rest import Rest
from edgec.model.cost import layer_costs
from edgec.model.edit import graph_of
from edgec.model.graph import add_constant, constant, label
from edgec.passes.quantize.insert_pairs import DEQUANTIZED
from edgec.passes.quantize.quantize import Quantized


@dataclass(frozen=True)
class FloatLayer:
    """A layer that stays in float: what the loss would be less by if it alone did, and its share of the MACs."""

    name: str
    gain: float
    macs: float


@dataclass(frozen=True)
class Mixed:
    """The network within the accepted loss, the layers left in float for it, and the losses on the way."""

    quantized: Quantized
    float_layers: tuple[FloatLayer, ...]
    losses: tuple[float, ...]


def keep_loss(
    original: ir.Model,
    make: Callable[[frozenset[str]], Quantized],
    judge: Judge,
    max_loss: float,
    *,
    threads: int | None = None,
    progress: Progress = lambda layer: None,
) -> Mixed:
    """Leave layers in float, those that gain most first, until the measured loss is at most `max_loss`.

    Each layer's gain is measured with all others quantized, running again only what lies behind it. Then the first 1,
    2, 4, 8 ... of the ranking are left out and the network is quantized anew, so that its repair counts; between the
    last number that was not enough and the first that was, the smallest is found by halving. What is promised is what
    was measured at the end; with all layers in float the loss is none.

    Args:
        original: The float network, in canonical form.
        make: Quantizes it, all but the layers of these names.
        judge: Metric and samples.
        max_loss: Accepted, in the metric's units.
        threads: As for `Reference`.
        progress: Called with the name of each layer.
    """
    full = make(frozenset())
    loss = judge.loss(judge.run(full.simulated)[0])
    losses = [loss]
    if loss <= max_loss:
        return Mixed(full, (), tuple(losses))
    ranking = rank_layers(original, full, judge, threads=threads, progress=progress)
    tried: dict[int, tuple[Quantized, float]] = {0: (full, loss)}

    def enough(count: int) -> bool:
        if count not in tried:
            candidate = make(frozenset(layer.name for layer in ranking[:count]))
            tried[count] = candidate, judge.loss(judge.run(candidate.simulated)[0])
            losses.append(tried[count][1])
        return tried[count][1] <= max_loss

    low, high = 0, 1
    while high < len(ranking) and not enough(high):
        low, high = high, min(2 * high, len(ranking))
    enough(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return Mixed(tried[high][0], tuple(ranking[:high]), tuple(losses))


def rank_layers(
    original: ir.Model,
    quantized: Quantized,
    judge: Judge,
    *,
    threads: int | None = None,
    progress: Progress = lambda layer: None,
) -> list[FloatLayer]:
    """Return all quantized layers, falling by what the metric gains if that layer alone runs in float.

    Of layers with equal gain, the one with fewer MACs comes first: it costs less time in float.
    """
    costs = {cost.name: cost.macs for cost in layer_costs(original)}
    total = max(sum(costs.values()), 1)
    model = quantized.simulated
    before = {label(node): node for node in original.graph}
    loss = judge.loss(judge.run(model)[0])
    rest = Rest(model, judge, threads=threads)
    found = []
    layers = set(quantized.placement.layers)
    nodes = [node for node in model.graph if label(node) in layers]
    for place, node in enumerate(nodes):
        name = label(node)
        progress(name)
        rest.reserve(_before_pair(value) for later in nodes[place:] for value in later.inputs if _is_paired(value))
        gain = loss - _loss_in_float(node, before[name], rest, judge)
        found.append(FloatLayer(name, gain, costs.get(node.name or "", 0) / total))
    return sorted(found, key=lambda layer: (-layer.gain, layer.macs, layer.name))


def _loss_in_float(node: ir.Node, original: ir.Node, rest: Rest, judge: Judge) -> float:
    """Return the loss with this layer in float, inputs and weights as they were; the model is left as it was."""
    graph = graph_of(node)
    old, added = list(node.inputs), []
    try:
        for index, value in enumerate(old):
            array = constant(original.inputs[index])
            if array is not None:
                added.append(add_constant(graph, f"{node.name}_float", array))
                node.replace_input_with(index, added[-1])
            elif _is_paired(value):
                node.replace_input_with(index, _before_pair(value))
        rest.cut(node, [])
        return judge.loss(rest.judge({}))
    finally:
        for index, value in enumerate(old):
            node.replace_input_with(index, value)
        for value in added:
            del graph.initializers[value.name or ""]


def _is_paired(value: ir.Value | None) -> bool:
    return value is not None and (value.name or "").endswith(DEQUANTIZED)


def _before_pair(value: ir.Value | None) -> ir.Value:
    dequantize = None if value is None else value.producer()
    quantize = None if dequantize is None or dequantize.inputs[0] is None else dequantize.inputs[0].producer()
    if quantize is None or quantize.inputs[0] is None:
        raise ValueError(f"{value} comes from no pair")
    return quantize.inputs[0]
