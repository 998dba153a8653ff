"""`use_of`: the use of an operator that belongs to a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import onnx

from tests.support.uses import elementwise, layout, reductions, sampling, windows
from tests.support.uses.use import NEWEST, Draw, Use

OLDEST = 7
"""Operator set, the oldest that is read."""
GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **elementwise.GENERATORS,
    **layout.GENERATORS,
    **reductions.GENERATORS,
    **sampling.GENERATORS,
    **windows.GENERATORS,
}
FIRST = {"GroupNormalization": 21, "Resize": 7, "ScatterElements": 9}
"""Operator sets to begin with, where not the operator's own first: some generators draw its predecessor too (Upsample,
Scatter), and the first GroupNormalization was withdrawn."""


def use_of(op_type: str, seed: int) -> Use:
    """Return use number `seed` of an operator: always the same, not necessarily one that ONNX Runtime has."""
    number = int.from_bytes(hashlib.sha256(op_type.encode()).digest()[:4], "little")
    first = max(OLDEST, FIRST.get(op_type) or _since(op_type))
    return GENERATORS[op_type](Draw((number, seed), first, NEWEST))


def _since(op_type: str) -> int:
    return min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history() if schema.name == op_type)
