"""`recognize`: finds the head of a network if its graph leaves no doubt."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgec.application.recognition.chosen import chosen_boxes
from edgec.application.recognition.head import Facts, Head, Hint, facts_of
from edgec.application.recognition.labels import classifier, ctc
from edgec.application.recognition.maps import centernet, class_map, dbnet, super_resolution
from edgec.application.recognition.queries import detr, ssd
from edgec.application.recognition.yolo import grids_in_rows, one_to_one, yolov3, yolov8

DYNAMIC: tuple[Callable[[Facts], Head | Hint | None], ...] = (chosen_boxes,)
"""Kinds whose outputs may have sizes that depend on the data."""
KINDS: tuple[Callable[[Facts], Head | Hint | None], ...] = (
    *DYNAMIC,
    one_to_one,
    yolov8,
    grids_in_rows,
    detr,
    ssd,
    centernet,
    yolov3,
    dbnet,
    super_resolution,
    class_map,
    ctc,
    classifier,
)


def recognize(model: ir.Model) -> Head | Hint | None:
    """Return the head of `model`, a hint if something is missing, or None if nothing is recognised.

    A head is recognised by the operators that computed the parts of each output, and by sizes that fit the picture; if
    several kinds fit, or none does, no head is returned.

    Args:
        model: Model as `edgec.model.shapes.fix_shapes` returns it; it is not modified.
    """
    facts = facts_of(model)
    if facts is None:
        return None
    found = [each for kind in (KINDS if facts.is_static else DYNAMIC) if (each := kind(facts)) is not None]
    heads = [each for each in found if isinstance(each, Head)]
    if len(heads) == 1:
        return heads[0]
    if heads:
        names = " and ".join(sorted({each.decoder for each in heads}))
        return Hint(f"the outputs look like those of {names}: give the right one by --decoder")
    return found[0] if found else None
