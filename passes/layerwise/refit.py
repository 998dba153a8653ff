"""`LayerwiseRefit`: refits layers of a changed network, one by one, to the outputs of the original's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import label
from edgec.passes.layerwise.gram import Gram
from edgec.passes.layerwise.linear_layer import ROWS, LinearLayer
from edgec.reference.frontier import Frontier

Array = np.ndarray[Any, Any]
Weigh = Callable[[Array], Array]
"""Outputs [groups, n, outputs] of n rows -> weight of each row, float64 [n]."""

DAMPING = 1e-4
"""Damping of a refit with many rows per weight, see `gram.refit`."""
FEW_ROWS = 20
"""Number of rows per weight below which a refit stays closer to the old weights."""
WIDEST = 4608
"""Maximum number of inputs per output of a refitted layer: 512 channels of 3 x 3 positions, 170 MB of moments."""


class LayerwiseRefit:
    """Goes through a changed network in the order of its graph, together with the original.

    For each layer it computes H = E[x x^T] of the inputs x of the layer in the network as changed and repaired so far,
    and G = E[y x^T] with the outputs y of the layer in the original. The weights W = G H^-1, damped towards the present
    ones (`gram.refit`), reproduce the original's outputs from these inputs: so each layer also compensates for losses
    before it, and needs neither labels nor gradients. Both networks run once over the samples, step by step.

    Args:
        original: The network before the change.
        changed: The network after it; its weights are replaced in place.
        samples: Calibration data, input arrays by name.
        threads: Number of threads, as for `Reference`.
    """

    def __init__(
        self,
        original: ir.Model,
        changed: ir.Model,
        samples: Iterable[Mapping[str, Array]],
        *,
        threads: int | None = None,
    ) -> None:
        self._changed = changed
        self._before, self._after = (Frontier(model, samples, threads=threads) for model in (original, changed))

    def moments(
        self,
        source: LinearLayer,
        layer: LinearLayer,
        *,
        random: np.random.Generator | None = None,
        kept: list[Array] | None = None,
        weighing: Callable[[Iterable[Array]], Weigh] | None = None,
    ) -> Gram:
        """Return the moments of the present inputs of `layer` with its outputs in the original.

        Args:
            source: The layer in the original.
            layer: The layer in the changed network; layers before it must not be replaced any more.
            random: Draws the rows of one sample after the other; None: they depend on the number of the sample alone.
            kept: Indices of the original's output that the changed one still has, for each axis; None: all.
            weighing: Makes a function of the weights of rows from the rows of all outputs; None: equal weights.
        """
        wanted, present = _output(source), layer.node.inputs[0]
        if present is None:
            raise ValueError(f"{label(layer.node)}: a layer without input")
        self._before.advance([wanted])
        self._after.advance([present])

        def rows(sample: int) -> tuple[Array, Array]:
            y = self._before.value(wanted, sample)
            if kept is not None:
                y = y[np.ix_(*kept)]
            places = layer.choose(y.shape, ROWS, random or np.random.default_rng(sample))
            return places, layer.rows_out(y, places)

        samples = range(self._before.samples)
        weigh = None if weighing is None else weighing(rows(sample)[1] for sample in samples)
        gram = Gram(layer.groups, layer.weights.shape[2])
        for sample in samples:
            places, y = rows(sample)
            x = layer.rows_in(self._after.value(present, sample), places)
            if weigh is not None:
                root = np.sqrt(weigh(y))[None, :, None]
                x, y = x * root, y * root
            gram.add(x, y)
        return gram

    def replace(self, layer: LinearLayer, weights: Array) -> None:
        """Give `layer` new weights, as `LinearLayer.weights`."""
        for name, array in layer.tensors(weights).items():
            self._changed.graph.initializers[name].const_value = ir.tensor(array, name=name)


def few_rows(gram: Gram) -> float:
    """Return the factor, 1 or more, by which damping grows if there are few rows per weight."""
    return max(1.0, FEW_ROWS * gram.width / max(gram.rows, 1)) ** 2


def too_wide(layer: LinearLayer) -> str | None:
    """Return the reason why the moments of `layer` would not fit into memory, or None if they do."""
    inputs = layer.weights.shape[2]
    return f"has {inputs} inputs per output, more than {WIDEST}" if inputs > WIDEST + 1 else None


def shared(*values: ir.Value | None) -> bool:
    """Whether another node also reads one of these constants, so that it cannot be replaced for one layer alone."""
    return any(value is not None and (len(value.uses()) > 1 or value.is_graph_output()) for value in values)


def _output(layer: LinearLayer) -> ir.Value:
    return (layer.bias[0] if layer.bias is not None else layer.node).outputs[0]
