"""What a rewrite rule is: a function of one node that changes the graph around it, refuses with a reason, or passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Refused:
    """A rule met its pattern but may not rewrite it: the reason, one sentence without the node's name."""

    reason: str


Outcome = str | Refused | None
"""What was done, as a sentence; or the refusal; or None: the pattern is not there."""


@dataclass(frozen=True)
class Rule:
    """One rewrite. `apply` is offered every node whose operator is among `ops`; the graph it leaves is valid."""

    name: str
    ops: frozenset[str]
    apply: Callable[[ir.Node], Outcome]


def rule(*ops: str) -> Callable[[Callable[[ir.Node], Outcome]], Rule]:
    """Turn a function into the `Rule` of the same name for the operators `ops` of the standard domain."""

    def make(apply: Callable[[ir.Node], Outcome]) -> Rule:
        return Rule(apply.__name__, frozenset(ops), apply)

    return make
