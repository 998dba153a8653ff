"""`MixedPrecision`: finds by measurement which layers must stay in float to keep an accepted loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from edgec.evaluation.evaluator import Evaluator
from edgec.evaluation.suffix import Suffix, from_node
from edgec.model.cost import layer_costs
from edgec.model.edit import graph_of
from edgec.model.graph import add_constant, constant, label
from edgec.passes.quantize.insert_pairs import DEQUANTIZED
from edgec.passes.quantize.quantize import Quantized


@dataclass(frozen=True)
class FloatLayer:
    """A layer that stays in float: how much the loss falls if only this layer does, and its fraction of the MACs."""

    name: str
    gain: float
    macs: float


@dataclass(frozen=True)
class Mixed:
    """The network within the accepted loss, its loss, and the layers that were left in float."""

    quantized: Quantized
    loss: float
    float_layers: tuple[FloatLayer, ...]


class MixedPrecision:
    """Networks with more and more layers in float, in order of their gain. Each is built and measured once.

    The gain of a layer is measured with all others quantized, running only the layers after it again.

    Args:
        original: The float network, in canonical form.
        make: Quantizes the network, except the layers with these names.
        evaluator: Evaluates the metric on samples.
        threads: Number of threads, as for `Reference`.
    """

    def __init__(
        self,
        original: ir.Model,
        make: Callable[[frozenset[str]], Quantized],
        evaluator: Evaluator,
        *,
        threads: int | None = None,
    ) -> None:
        self._original = original
        self._make = make
        self._evaluator = evaluator
        self._threads = threads
        self._tried: dict[int, tuple[Quantized, float]] = {}

    def within(self, max_loss: float) -> Mixed:
        """Return the network with the fewest layers in float whose measured loss is at most `max_loss`.

        The first 1, 2, 4, 8 ... layers of the ranking are excluded and the network is quantized again, so that its
        repair counts; between the last number that was too few and the first that was enough, bisection finds the
        smallest. With all layers in float there is no loss.
        """
        low, high = 0, 0
        if not self._enough(0, max_loss):
            high = 1
            while high < len(self.ranking) and not self._enough(high, max_loss):
                low, high = high, min(2 * high, len(self.ranking))
            self._enough(high, max_loss)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._enough(middle, max_loss) else (middle, high)
        quantized, loss = self._with_in_float(high)
        return Mixed(quantized, loss, tuple(self.ranking[:high]) if high else ())

    def in_time(self, time: Callable[[frozenset[str]], float], seconds: float) -> Mixed:
        """Return the network with the least loss of two: all quantized, and with layers in float while time is left.

        Layers are taken in order of their gain for the time that they add.

        Args:
            time: Estimated seconds of the network with these layers in float.
            seconds: Maximum of these.
        """
        quantized, loss = self._with_in_float(0)
        best = Mixed(quantized, loss, ())
        spent = time(frozenset())
        if spent > seconds:
            return best
        added = {layer.name: max(time(frozenset({layer.name})) - spent, 0.0) for layer in self.ranking}
        gains = [layer for layer in self.ranking if layer.gain > 0]
        chosen: list[FloatLayer] = []
        for layer in sorted(gains, key=lambda layer: added[layer.name] / layer.gain):
            if time(frozenset(each.name for each in (*chosen, layer))) <= seconds:
                chosen.append(layer)
        if chosen:
            made = self._make(frozenset(layer.name for layer in chosen))
            loss = self._evaluator.loss(self._evaluator.evaluate(made.simulated))
            best = min(best, Mixed(made, loss, tuple(chosen)), key=lambda mixed: mixed.loss)
        return best

    @cached_property
    def ranking(self) -> list[FloatLayer]:
        """All quantized layers, in descending order of the metric's gain if only that layer runs in float.

        Among layers with equal gain, the one with fewer MACs comes first, because it takes less time in float.
        """
        costs = {cost.name: cost.macs for cost in layer_costs(self._original)}
        total = max(sum(costs.values()), 1)
        quantized, loss = self._with_in_float(0)
        model = quantized.simulated
        before = {label(node): node for node in self._original.graph}
        suffix = Suffix(model, self._evaluator, threads=self._threads)
        found = []
        layers = set(quantized.placement.layers)
        nodes = [node for node in model.graph if label(node) in layers]
        for place, node in enumerate(nodes):
            name = label(node)
            suffix.reserve(
                _before_pair(value) for later in nodes[place:] for value in later.inputs if _is_paired(value)
            )
            gain = loss - self._loss_in_float(model, node, before[name], suffix)
            found.append(FloatLayer(name, gain, costs.get(name, 0) / total))
        return sorted(found, key=lambda layer: (-layer.gain, layer.macs, layer.name))

    def _enough(self, count: int, max_loss: float) -> bool:
        return self._with_in_float(count)[1] <= max_loss

    def _with_in_float(self, count: int) -> tuple[Quantized, float]:
        """Return the network with the first `count` layers of the ranking in float, and its loss."""
        if count not in self._tried:
            names = frozenset(layer.name for layer in self.ranking[:count]) if count else frozenset()
            made = self._make(names)
            self._tried[count] = made, self._evaluator.loss(self._evaluator.evaluate(made.simulated))
        return self._tried[count]

    def _loss_in_float(self, model: ir.Model, node: ir.Node, original: ir.Node, suffix: Suffix) -> float:
        """Return the loss with this layer in float, with its original inputs and weights; `model` is restored after."""
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
            suffix.cut(from_node(model, node))
            return self._evaluator.loss(suffix.evaluate())
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
        raise ValueError(f"{value} is not the output of a Q/DQ pair")
    return quantize.inputs[0]
