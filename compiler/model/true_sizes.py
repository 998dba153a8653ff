"""True sizes of the outputs of a model with bounded sizes: outputs of their own say how many entries are valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

Array = np.ndarray[Any, Any]

KEY = "edgec.true_sizes"
"""Key of the entry in the model's metadata."""


class TrueSizes(BaseModel):
    """The outputs `counts` (int64 [1], after all others) hold sizes; `axes`: output -> axis -> its count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: tuple[str, ...] = ()
    axes: dict[str, dict[int, str]] = {}

    def trim(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return `outputs` without the counts, each cut to its true size."""
        if not self.counts:
            return dict(outputs)
        trimmed = {}
        for name, array in outputs.items():
            if name not in self.counts:
                ends = {axis: int(outputs[count][0]) for axis, count in self.axes.get(name, {}).items()}
                cut = array[tuple(slice(ends.get(axis)) for axis in range(array.ndim))] if ends else array
                trimmed[name] = np.array(cut, order="C") if ends else cut
        return trimmed


def write_true_sizes(model: ir.Model, sizes: TrueSizes) -> None:
    """Store `sizes` in the metadata of `model`."""
    if sizes.counts:
        model.metadata_props[KEY] = sizes.model_dump_json()


def true_sizes(model: ir.Model) -> TrueSizes:
    """Return the true sizes of the outputs of `model`, which is empty for most models."""
    return TrueSizes.model_validate_json(model.metadata_props.get(KEY, "{}"))
