"""`Distance`: how far the outputs of a network are from those of the original; what training lowers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import attribute
from edgec.recovery.pytorch import Tensor, pytorch

torch = pytorch()
Array = np.ndarray[Any, Any]
TINY = 1e-12


class Distance:
    """The mean over the outputs of their errors, 0 is best.

    The error of probabilities, an output of Softmax, is the Kullback-Leibler divergence from the original's (Hinton et
    al., "Distilling the Knowledge in a Neural Network", 2015); that of any other is squared error over variance.

    Args:
        model: The network, whose outputs are float.
        original: Outputs of the original for some samples, which give the variances.

    Raises:
        UnsupportedModel: An output is not float, or the original has another shape there.
    """

    def __init__(self, model: ir.Model, original: Iterable[Mapping[str, Array]]) -> None:
        self._axes: dict[str, int] = {}
        outputs = {value.name or "": value for value in model.graph.outputs}
        for name, value in outputs.items():
            node = value.producer()
            if node is not None and node.op_type == "Softmax":
                self._axes[name] = int(attribute(node, "axis", -1))
        samples = list(original)
        for name, value in outputs.items():
            given = samples[0].get(name)
            if given is None or given.dtype.kind != "f" or (value.shape and given.shape != tuple(value.shape)):
                found = "no such output" if given is None else f"{given.dtype} {list(given.shape)}"
                raise UnsupportedModel(
                    f"output {name!r} cannot be compared: the original has {found}",
                    remedy="Give the network from which this one was pruned or quantized, with its outputs in float.",
                )
        variances = {name: float(np.var([sample[name] for sample in samples], dtype=np.float64)) for name in outputs}
        self._scale = {name: max(variance, TINY) for name, variance in variances.items()}

    def __call__(self, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
        """Return the error of outputs, a tensor of one number with a gradient."""
        errors = []
        for name, scale in self._scale.items():
            y, t = found[name], wanted[name]
            if name in self._axes:
                logs = torch.log(t.clamp(min=TINY)) - torch.log(y.clamp(min=TINY))
                errors.append((t * logs).sum(self._axes[name]).mean())
            else:
                errors.append(torch.square(y - t).mean() / scale)
        return sum(errors) / len(errors)
