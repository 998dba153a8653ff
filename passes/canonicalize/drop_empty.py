"""Removes empty optional inputs: some exporters write an empty tensor where ONNX allows no input at all."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.edit import substitute
from edgec.model.graph import attribute, constant, label
from edgec.passes.canonicalize.rule import Outcome, rule

OPTIONAL = (1, 2, 3)
"""Inputs of Resize: region of interest, scales, sizes."""


@rule("Resize")
def drop_empty(node: ir.Node) -> Outcome:
    """Before: Resize(x, empty, empty, sizes). After: Resize(x, , , sizes). Exact.

    The region of interest is removed too if the mode does not use it.
    """
    unused = unused_inputs(node)
    if not unused:
        return None
    done = f"{label(node)}: empty inputs removed"
    substitute(
        node, "Resize", [None if index in unused else value for index, value in enumerate(node.inputs)], node.attributes
    )
    return done


def unused_inputs(node: ir.Node) -> tuple[int, ...]:
    """Return the indices of the inputs of a Resize that have no effect."""
    crops = attribute(node, "coordinate_transformation_mode") == "tf_crop_and_resize"
    given = [(index, node.inputs[index]) for index in OPTIONAL if index < len(node.inputs)]
    return tuple(
        index
        for index, value in given
        if value is not None
        and ((index == 1 and not crops) or ((array := constant(value)) is not None and array.size == 0))
    )
