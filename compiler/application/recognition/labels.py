"""Heads without positions: class scores, and text."""

from __future__ import annotations

from math import prod

from edgec.application.recognition.fields import is_sigmoid, softmax_axis
from edgec.application.recognition.head import Facts, Head, Hint
from edgec.data.decoders.ctc import METADATA_KEY, characters_of
from edgec.model.metadata import names_in_metadata

IMAGENET = (1000, 1001)
HIGHEST_LINE = 64
"""Maximum height in pixels of pictures for networks that read a line of text; they must also be wider than high."""


def classifier(facts: Facts) -> Head | Hint | None:
    """[1, classes] from a softmax, or with as many scores as the metadata has names, or as ImageNet has classes."""
    if len(facts.outputs) != 1:
        return None
    value, shape = facts.outputs[0]
    count = prod(shape)
    if count < 2 or len(shape) < 2 or shape[0] != 1 or max(shape) != count:
        return None
    if softmax_axis(value) == shape.index(count):
        return Head("scores", f"probabilities of {count} classes, by a softmax")
    if is_sigmoid(value):
        return Hint("the output is a row of sigmoids: several classes may apply at once; --decoder scores ranks them")
    named = len(names_in_metadata(facts.metadata)) == count
    if named or facts.metadata.get("task") == "classify" or count in IMAGENET:
        why = "as many as the metadata has names" if named else "as many as ImageNet has"
        assumed = ("they are logits: a softmax makes them probabilities",)
        return Head("scores", f"{count} scores, {why}", {"logits": True}, assumed=assumed)
    return Hint(
        f"the output is {count} numbers without a softmax: scores of classes (--decoder scores,logits=true) or an "
        "embedding (--decoder embedding)"
    )


def ctc(facts: Facts) -> Head | Hint | None:
    """[1, steps, classes] from a softmax over the classes: a line of text, if its dictionary is known."""
    if len(facts.outputs) != 1:
        return None
    value, shape = facts.outputs[0]
    if len(shape) != 3 or shape[0] != 1 or shape[1] < 2 or shape[2] < 3:
        return None
    dictionary = facts.metadata.get(METADATA_KEY)
    characters = characters_of(dictionary) if dictionary is not None else ()
    fits = shape[2] - 1 - len(characters) in (0, 1)
    by_softmax = softmax_axis(value) == 2
    if characters and fits:
        assumed = () if by_softmax else ("the scores are logits",)
        reason = f"scores of {shape[2]} classes at {shape[1]} steps, and a dictionary in the metadata (CTC)"
        return Head("ctc", reason, {"characters": characters}, {"resize": "line"} if _is_line(facts) else {}, assumed)
    if by_softmax and _is_line(facts):
        return Hint(
            f"the output looks like CTC's scores of {shape[2]} classes at {shape[1]} steps, but the characters are not "
            "in the model: --decoder ctc,dictionary=FILE, with one character per line"
        )
    return None


def _is_line(facts: Facts) -> bool:
    return facts.size[1] <= HIGHEST_LINE and facts.size[0] >= facts.size[1]
