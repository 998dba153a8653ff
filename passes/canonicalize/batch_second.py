"""Rewrites recurrent layers with batch first as time-major layers, which every target supports."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.graph import label
from edgec.model.time_major import RECURRENT, is_batch_first, to_time_major
from edgec.passes.canonicalize.rule import Outcome, rule


@rule(*RECURRENT)
def batch_second(node: ir.Node) -> Outcome:
    """Before: LSTM <layout = 1>. After: Transpose, LSTM, Transpose. Exact."""
    if not is_batch_first(node):
        return None
    to_time_major(node)
    return f"{label(node)}: made time-major, between Transposes"
