"""The rules of all operators, by operator."""

from __future__ import annotations

from edgec.passes.bound_sizes.rule import Rule
from edgec.passes.bound_sizes.rules import (
    elementwise,
    fill,
    indexing,
    layers,
    reductions,
    reshape,
    resize,
    selection,
    shapes,
    windows,
)

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **fill.RULES,
    **indexing.RULES,
    **layers.RULES,
    **reductions.RULES,
    **reshape.RULES,
    **resize.RULES,
    **selection.RULES,
    **shapes.RULES,
    **windows.RULES,
}
