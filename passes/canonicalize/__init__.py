"""Rewrites what exporters write into one canonical form, rule by rule, until nothing changes any more."""

from edgec.passes.canonicalize.canonicalize import Canonicalize
from edgec.passes.canonicalize.rule import Outcome, Refused, Rule, rule

__all__ = ["Canonicalize", "Outcome", "Refused", "Rule", "rule"]
