"""Rewrites operators that a target lacks in terms of operators that it has."""

from edgec.passes.expand.expand import ExpandOperators

__all__ = ["ExpandOperators"]
