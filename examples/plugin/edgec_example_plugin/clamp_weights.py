"""A pass: clamp every weight to a range, as clip-then-quantize schemes want it before fine-tuning."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


class ClampWeightsPass(ir.passes.InPlacePass):
    """Clamp float initializers of two or more dimensions to [-limit, limit].

    `name` is what the manifest calls it. `tolerance` is how far the pass may move outputs, relative to their
    range, before `--verify-passes` calls it broken: a pass that changes values on purpose says so.
    """

    name = "clamp_weights"
    tolerance = 0.05

    def __init__(self, limit: float = 1.0) -> None:
        super().__init__()
        self.limit = limit

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Clamp in place; `modified` tells whether any weight was out of range."""
        modified = False
        for value in model.graph.initializers.values():
            weights = value.const_value
            if weights is None or weights.dtype != ir.DataType.FLOAT or len(weights.shape) < 2:
                continue
            array = weights.numpy()
            clamped = np.clip(array, -self.limit, self.limit)
            if not np.array_equal(array, clamped):
                value.const_value = ir.tensor(clamped, name=value.name)
                modified = True
        return ir.passes.PassResult(model, modified)
