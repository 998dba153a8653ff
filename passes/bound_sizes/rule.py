"""The contract of rules: a `Rule` gives one node, and so its outputs, static shapes."""

from __future__ import annotations

from collections.abc import Callable

from edgec.passes.bound_sizes.site import Site

Rule = Callable[[Site], None]
"""Ends with `Site.keep` or with one `Site.replace` an output.

Raises:
    Unbounded: The node cannot be given static shapes.
"""
