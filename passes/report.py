"""What a pass of edgec hands back: the model, whether it changed, what was done and what was left with a reason."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir


@dataclass
class PassReport(ir.passes.PassResult):
    """Result of a pass with its story; a plain `PassResult` (a plugin's, say) simply has none.

    Attributes:
        changes: Short sentences, e.g. `Conv_12: batch norm folded`.
        refusals: (node or tensor name, reason) of what the pass could have changed and did not.
    """

    changes: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()
