"""Einsum as sums, transposes and matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgec.model.edit import Builder, substitute
from edgec.model.graph import attribute

ELLIPSIS_LABELS = "".join(map(chr, range(0x2460, 0x2480)))
"""Characters for the axes of an ellipsis, from the last one backwards; equations consist of letters."""


@dataclass(frozen=True)
class Term:
    """A value and the label of each of its axes."""

    value: ir.Value
    labels: str
    shape: tuple[int, ...]


def expand_einsum(node: ir.Node) -> bool:
    """Expand an Einsum of any number of operands with static shapes, two operands at a time, from the left."""
    equation = str(attribute(node, "equation")).replace(" ", "")
    shapes = [None if value is None or value.shape is None else value.shape for value in node.inputs]
    if any(shape is None or not shape.is_static() for shape in shapes):
        return False
    terms, output = _parsed(equation, [tuple(map(int, shape.numpy())) for shape in shapes if shape is not None])
    steps = _Steps(node)
    operands = [
        steps.diagonal(Term(value, labels, tuple(map(int, shape.numpy()))))
        for value, labels, shape in zip(node.inputs, terms, shapes, strict=True)
        if value is not None and shape is not None
    ]
    current = operands[0]
    for index, other in enumerate(operands[1:], 1):
        later = set(output).union(*(term.labels for term in operands[index + 1 :]))
        current = steps.product(current, other, later)
    current = steps.summed(current, set(output))
    order = [current.labels.index(label) for label in output]
    substitute(node, *(("Transpose", [current.value], {"perm": order}) if order else ("Identity", [current.value])))
    return True


def _parsed(equation: str, shapes: Sequence[tuple[int, ...]]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the result, with the ellipsis expanded."""
    left, arrow, output = equation.partition("->")
    terms, widest = [], 0
    for term, shape in zip(left.split(","), shapes, strict=True):
        hidden = len(shape) - len(term.replace("...", ""))
        widest = max(widest, hidden)
        terms.append(term.replace("...", ELLIPSIS_LABELS[len(ELLIPSIS_LABELS) - hidden :]))
    hidden_labels = ELLIPSIS_LABELS[len(ELLIPSIS_LABELS) - widest :]
    if arrow:
        return terms, output.replace("...", hidden_labels)
    every = "".join(terms)
    once = sorted(label for label in set(every) if every.count(label) == 1 and label not in hidden_labels)
    return terms, hidden_labels + "".join(once)


class _Steps:
    """Inserts the steps in front of the node."""

    def __init__(self, node: ir.Node) -> None:
        self._build = Builder(node)

    def diagonal(self, term: Term) -> Term:
        """Return `term` with each label once: for two axes with the same label, the elements of equal index."""
        for first, label in enumerate(term.labels):
            second = term.labels.find(label, first + 1)
            if second < 0:
                continue
            shape = [size if axis in (first, second) else 1 for axis, size in enumerate(term.shape)]
            assert term.value.dtype is not None
            mask = self._build.constant(np.eye(term.shape[first], dtype=bool).reshape(shape))
            zero = self._build.constant(0, term.value.dtype.numpy())
            chosen = self._step("Where", [mask, term.value, zero], {}, term.labels, term.shape, term.value.dtype)
            axes = self._build.constant([second], np.int64)
            labels = term.labels[:second] + term.labels[second + 1 :]
            kept = term.shape[:second] + term.shape[second + 1 :]
            return self.diagonal(self._step("ReduceSum", [chosen.value, axes], {"keepdims": 0}, labels, kept))
        return term

    def summed(self, term: Term, kept: set[str]) -> Term:
        """Return `term` summed over the axes whose labels are not among `kept`."""
        gone = [axis for axis, label in enumerate(term.labels) if label not in kept]
        if not gone:
            return term
        labels = "".join(label for label in term.labels if label in kept)
        shape = tuple(size for axis, size in enumerate(term.shape) if axis not in gone)
        axes = self._build.constant(gone, np.int64)
        return self._step("ReduceSum", [term.value, axes], {"keepdims": 0}, labels, shape)

    def product(self, a: Term, b: Term, later: set[str]) -> Term:
        """Return the product of `a` and `b`, summed over labels in neither `later`, as one batched matrix product."""
        a = self.summed(a, later | set(b.labels))
        b = self.summed(b, later | set(a.labels))
        sizes = _sizes(a, b)
        shared = [label for label in a.labels if label in b.labels]
        batch = [label for label in shared if label in later]
        inner = [label for label in shared if label not in later]
        rows = [label for label in a.labels if label not in b.labels]
        columns = [label for label in b.labels if label not in a.labels]
        left = self._matrix(a, batch, rows, inner, sizes)
        right = self._matrix(b, batch, inner, columns, sizes)
        flat = (*(sizes[label] for label in batch), _size(rows, sizes), _size(columns, sizes))
        product = self._step("MatMul", [left, right], {}, "", flat)
        labels = "".join([*batch, *rows, *columns])
        return self._reshaped(product.value, labels, tuple(sizes[label] for label in labels))

    def _matrix(
        self, term: Term, batch: Sequence[str], rows: Sequence[str], columns: Sequence[str], sizes: dict[str, int]
    ) -> ir.Value:
        """Return `term` as matrices [batch..., rows, columns]; axes of size 1 get the other operand's size."""
        order = [term.labels.index(label) for label in (*batch, *rows, *columns)]
        labels, shape = "".join([*batch, *rows, *columns]), tuple(term.shape[axis] for axis in order)
        moved = term
        if order != list(range(len(order))):
            moved = self._step("Transpose", [term.value], {"perm": order}, labels, shape)
        whole = tuple(sizes[label] for label in labels)
        inner = [label for label in (*rows, *columns) if label not in batch]
        if any(size != sizes[label] for label, size in zip(labels, shape, strict=True) if label in inner):
            target = self._build.constant(whole, np.int64)
            moved = self._step("Expand", [moved.value, target], {}, labels, whole)
            shape = whole
        kept = tuple(shape[at] for at in range(len(batch)))
        return self._reshaped(moved.value, labels, (*kept, _size(rows, sizes), _size(columns, sizes))).value

    def _reshaped(self, value: ir.Value, labels: str, shape: tuple[int, ...]) -> Term:
        target = self._build.constant(shape, np.int64)
        return self._step("Reshape", [value, target], {}, labels, shape)

    def _step(
        self,
        op_type: str,
        inputs: Sequence[ir.Value],
        attributes: dict[str, int | Sequence[int]],
        labels: str,
        shape: tuple[int, ...],
        dtype: ir.DataType | None = None,
    ) -> Term:
        value = self._build.op(op_type, inputs, attributes, dtype=dtype or inputs[0].dtype, shape=shape)
        return Term(value, labels, shape)


def _sizes(a: Term, b: Term) -> dict[str, int]:
    """Return the size of each label; if one operand has size 1, that of the other."""
    sizes: dict[str, int] = {}
    for term in (a, b):
        for label, size in zip(term.labels, term.shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return sizes


def _size(labels: Sequence[str], sizes: dict[str, int]) -> int:
    return math.prod(sizes[label] for label in labels)
