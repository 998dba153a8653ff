"""What ONNX Runtime makes of a use, and how far something else may be from it."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from edgec.errors import EdgecError
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from tests.support.uses.use import Array, Use

TOLERANCES = {"float32": 1e-5, "float64": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}
"""Accepted error of an output relative to its range; that of float64 is the kernels', whose functions are float32's."""
STEPS = 4
"""Rounding steps of its type that a float may be off in any case: results of one element have no range."""
TIES = 0.05
"""Share of quantized values, but at least one, that may be off by one: a tie is rounded either way."""


def reference(use: Use) -> list[Array] | None:
    """Return ONNX Runtime's outputs; None where it does not run the use."""
    try:
        return list(Reference(use.model().SerializeToString()).run(use.feeds).values())
    except EdgecError:
        return None


def difference(use: Use, expected: Sequence[Array], got: Sequence[Array]) -> str:
    """Return how the outputs differ; empty if they do not."""
    outputs = [{str(index): array for index, array in enumerate(arrays)} for arrays in (expected, got)]
    for each in compare(*outputs).outputs:
        want, have = (arrays[int(each.name)] for arrays in (expected, got))
        if not each.within(use.tolerance * TOLERANCES.get(want.dtype.name, 0)) and not _as_close(use, want, have):
            return str(each)
    return ""


def _as_close(use: Use, want: Array, have: Array) -> bool:
    if want.shape != have.shape or want.dtype != have.dtype:
        return False
    if want.dtype.kind in "iu":
        off = np.abs(have.astype(np.int64) - want.astype(np.int64))
        quantized = "QLinear" in use.op_type or "Quantize" in use.op_type
        return quantized and off.max(initial=0) <= 1 and np.count_nonzero(off) <= max(1, off.size * TIES)
    if want.dtype == bool:
        return False
    near = STEPS * use.tolerance * float(ml_dtypes.finfo(want.dtype).eps)
    return bool(np.allclose(have.astype("f8"), want.astype("f8"), rtol=near, atol=0, equal_nan=True))
