"""Definition of a rewrite rule: a function of one node that rewrites the graph around it, refuses, or does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Refused:
    """A rule's pattern matches but may not be rewritten: the reason, in one sentence without the node's name."""

    reason: str


Outcome = str | Refused | None
"""What was done, as a sentence; or the refusal; or None if the pattern does not match."""


@dataclass(frozen=True)
class Rule:
    """One rewrite. `apply` is called for every node whose operator is in `ops`; the graph stays valid."""

    name: str
    ops: frozenset[str]
    apply: Callable[[ir.Node], Outcome]


def rule(*ops: str) -> Callable[[Callable[[ir.Node], Outcome]], Rule]:
    """Turn a function into the `Rule` of the same name for the operators `ops` of the standard domain."""

    def make(apply: Callable[[ir.Node], Outcome]) -> Rule:
        return Rule(apply.__name__, frozenset(ops), apply)

    return make
