"""Results of recognition, a head or a hint at what is missing, and the facts on which it is based."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from edgec.model.graph import shape_of
from edgec.model.signature import batched

OPEN = -1


@dataclass(frozen=True)
class Head:
    """A head that was recognised.

    Attributes:
        decoder: Name of the decoder that reads it.
        reason: Why it was recognised, in one sentence.
        settings: Settings of the decoder that follow from the graph.
        preprocess: Preprocessing of networks of this kind, if all of them use the same.
        assumed: Further assumptions, in sentences.
    """

    decoder: str
    reason: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hint:
    """A likely head that lacks something only the user knows; `text` says what it is and how to give it."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Facts from which heads are recognised.

    Attributes:
        size: Width and height of the network's input picture.
        outputs: The outputs of the graph, each with its shape; -1 stands for a size that depends on the data.
        metadata: The model's metadata.
        ops: All operator types in the graph.
    """

    size: tuple[int, int]
    outputs: tuple[tuple[ir.Value, tuple[int, ...]], ...]
    metadata: Mapping[str, str]
    ops: frozenset[str]

    def cells(self, *strides: int) -> int:
        """Return the number of cells of grids with these strides over the picture."""
        return sum(-(-self.size[0] // stride) * -(-self.size[1] // stride) for stride in strides)

    @property
    def is_static(self) -> bool:
        """Whether the size of no output depends on the data."""
        return all(OPEN not in shape for _, shape in self.outputs)

    def strides_of(self, boxes: int, anchors: int = 1) -> tuple[int, ...] | None:
        """Return the strides of grids with this total number of boxes; None if no usual strides fit."""
        for strides in USUAL_STRIDES:
            if anchors * self.cells(*strides) == boxes:
                return strides
        return None


USUAL_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (4, 8, 16), (8, 16), (4, 8, 16, 32, 64))


def facts_of(model: ir.Model) -> Facts | None:
    """Return the facts of a model with fixed shapes; None unless its only input is a picture."""
    inputs = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    shape = batched(shape_of(inputs[0]) or ()) if len(inputs) == 1 else ()
    if len(shape) != 4 or shape[0] != 1:
        return None
    if shape[1] in (1, 3):
        size = (shape[3], shape[2])
    elif shape[3] in (1, 3):
        size = (shape[2], shape[1])
    else:
        return None
    outputs = []
    for value in model.graph.outputs:
        if value.shape is None:
            return None
        sizes = tuple(size if isinstance(size, int) else OPEN for size in value.shape)
        if 0 in sizes:
            return None
        outputs.append((value, sizes))
    ops = frozenset(node.op_type for node in model.graph.all_nodes())
    return Facts(size, tuple(outputs), dict(model.metadata_props), ops)
