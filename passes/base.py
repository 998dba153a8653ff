"""Definition of a pass: the contract that `Pass` states, and the `PassReport` that it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from edgec.profile import Profile


class Pass(ir.passes.InPlacePass):
    """A rewrite of the whole model. `call` modifies the model and returns a `PassReport`.

    The result is valid ONNX with the same inputs and outputs (names, shapes, dtypes), and computes the same outputs up
    to `tolerance`; `modified` tells whether anything changed. `edgec.passes.contract` checks all of this.

    A pass does not know the name of the target. It reads the target's needs from `profile`.

    Args:
        profile: Profile of the target; the default has no requirements.

    Attributes:
        name: Name of the pass in records and messages.
        tolerance: Largest change of an output by the pass's rounding, relative to the range of the output.
    """

    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-5

    def __init__(self, profile: Profile | None = None) -> None:
        super().__init__()
        self.profile = Profile() if profile is None else profile


@dataclass
class PassReport(ir.passes.PassResult):
    """Result of a pass with its changes; a plain `PassResult` (of a plugin, for example) has none.

    Attributes:
        changes: Short sentences, e.g. `Conv_12: batch norm folded`.
        refusals: (node or tensor name, reason) of what the pass could have changed, but did not.
    """

    changes: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()
