"""What a pass is: the contract that `Pass` states, and the `PassReport` that it hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from edgec.profile import Profile


class Pass(ir.passes.InPlacePass):
    """A rewrite of the whole model. `call` alters the model and returns a `PassReport`.

    What it leaves is valid ONNX with the same inputs and outputs (names, shapes, dtypes), and gives the same outputs up
    to `tolerance`; `modified` says truly whether anything changed. `edgec.passes.contract` checks all of that.

    A pass knows no target by name. What the target needs it reads from `profile`.

    Args:
        profile: Of the target; by default one that asks for nothing.

    Attributes:
        name: Names it in records and messages.
        tolerance: Largest change of an output that its rounding makes, relative to the range of the output.
    """

    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-5

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__()
        self.profile = Profile() if profile is None else profile


@dataclass
class PassReport(ir.passes.PassResult):
    """Result of a pass with its story; a plain `PassResult` (a plugin's, say) simply has none.

    Attributes:
        changes: Short sentences, e.g. `Conv_12: batch norm folded`.
        refusals: (node or tensor name, reason) of what the pass could have changed and did not.
    """

    changes: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()
