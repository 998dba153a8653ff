"""Operators that a target lacks, written as those it has."""

from edgec.passes.expand.expand import ExpandOperators

__all__ = ["ExpandOperators"]
