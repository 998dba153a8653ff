"""Expands Fourier transforms of known length into products with matrices of sines and cosines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec.model.edit import graph_of, insert_before, substitute
from edgec.model.graph import Array, add_constant, attribute, constant, label, opset

AXIS_AS_INPUT = 20
"""First operator set in which DFT takes its axis as an input."""
LARGEST_MATRIX = 1 << 22
"""Maximum number of elements of a matrix; beyond, a fast transform would be needed."""


def expand_dft(node: ir.Node) -> bool:
    """DFT  ->  a matrix product over the axis together with the axis of real and imaginary parts."""
    shape, kind = _known(node.inputs[0]), node.inputs[0].dtype if node.inputs[0] is not None else None
    axis, length = _axis(node), constant(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else 0
    if shape is None or kind is None or axis is None or length is None:
        return False
    axis %= len(shape)
    count = int(np.reshape(length, ())) or shape[axis]
    inverse, onesided = bool(attribute(node, "inverse", 0)), bool(attribute(node, "onesided", 0))
    if (inverse and onesided) or count * count > LARGEST_MATRIX:
        return False
    taken = min(count, shape[axis])
    matrix = transform(taken, count, shape[-1], inverse=inverse, onesided=onesided)
    x = _cut(node, node.inputs[0], axis, taken) if taken < shape[axis] else node.inputs[0]
    order = [each for each in range(len(shape)) if each not in (axis, len(shape) - 1)]
    moved = _step(node, "Transpose", [x], {"perm": [*order, axis, len(shape) - 1]})
    flat = _reshape(node, moved, [*(shape[each] for each in order), taken * shape[-1]])
    table = add_constant(graph_of(node), f"{label(node)}_matrix", matrix.astype(kind.numpy()))
    product = _step(node, "MatMul", [flat, table])
    parts = _reshape(node, product, [*(shape[each] for each in order), matrix.shape[1] // 2, 2])
    back = [*order, axis, len(shape) - 1]
    substitute(node, "Transpose", [parts], {"perm": [back.index(each) for each in range(len(shape))]})
    return True


def expand_stft(node: ir.Node) -> bool:
    """STFT  ->  a convolution whose filters are the window multiplied by sines and cosines."""
    signal, step, window, length = [*node.inputs, None, None][:4]
    shape, known = _known(signal), constant(window)
    stride, given = constant(step), constant(length) if length is not None else None
    if (
        shape is None
        or stride is None
        or signal is None
        or signal.dtype is None
        or (window is not None and known is None)
    ):
        return False
    if given is None and known is None:
        return False
    size = int(given.reshape(())) if given is not None else len(known)  # type: ignore[arg-type]
    onesided = bool(attribute(node, "onesided", 1))
    parts = shape[2] if len(shape) > 2 else 1
    matrix = transform(size, size, parts, inverse=False, onesided=onesided)
    if known is not None:
        matrix = matrix * np.repeat(known, parts)[:, None]
    filters = matrix.reshape(size, parts, -1).transpose(2, 1, 0).astype(signal.dtype.numpy())
    frames, bins = (shape[1] - size) // int(stride.reshape(())) + 1, filters.shape[0] // 2
    columns = (
        _step(node, "Transpose", [signal], {"perm": [0, 2, 1]})
        if parts > 1
        else _reshape(node, signal, [shape[0], 1, shape[1]])
    )
    weights = add_constant(graph_of(node), f"{label(node)}_filters", np.ascontiguousarray(filters))
    found = _step(node, "Conv", [columns, weights], {"strides": [int(stride.reshape(()))]})
    turned = _step(node, "Transpose", [found], {"perm": [0, 2, 1]})
    shaped = add_constant(graph_of(node), f"{label(node)}_shape", np.array([shape[0], frames, bins, 2], np.int64))
    substitute(node, "Reshape", [turned, shaped])
    return True


def transform(taken: int, count: int, parts: int, *, inverse: bool, onesided: bool) -> Array:
    """Return the matrix [taken * parts, bins * 2] of a discrete Fourier transform of `count` points.

    Rows are elements, with real and imaginary part (if `parts` is 2) side by side, and so are the bins of the columns.
    Elements from `taken` on are zero. X[k] = sum over n of x[n] * e**(-2 pi i k n / count); the inverse has the other
    sign and is divided by `count` (ONNX operator reference).
    """
    bins = count // 2 + 1 if onesided else count
    # Computed with integers, so that equal angles are equal: k * n can exceed the mantissa of a float.
    turns = np.outer(np.arange(taken), np.arange(bins)) % count
    angle = (2 if inverse else -2) * np.pi * turns / count
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.empty((taken, parts, bins, 2))
    matrix[:, 0, :, 0], matrix[:, 0, :, 1] = cosine, sine
    if parts > 1:
        matrix[:, 1, :, 0], matrix[:, 1, :, 1] = -sine, cosine
    return matrix.reshape(taken * parts, bins * 2) / (count if inverse else 1)


def _axis(node: ir.Node) -> int | None:
    if opset(graph_of(node)) < AXIS_AS_INPUT:
        return int(attribute(node, "axis", 1))
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return -2
    known = constant(node.inputs[2])
    return None if known is None else int(known.reshape(()))


def _known(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(map(int, value.shape.numpy()))


def _step(
    node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Sequence[int]] | None = None
) -> ir.Value:
    return insert_before(node, op_type, inputs, attributes, stem=f"{label(node)}_{op_type}")


def _reshape(node: ir.Node, value: ir.Value | None, shape: Sequence[int]) -> ir.Value:
    target = add_constant(graph_of(node), f"{label(node)}_shape", np.array(shape, np.int64))
    return _step(node, "Reshape", [value, target])


def _cut(node: ir.Node, value: ir.Value | None, axis: int, size: int) -> ir.Value:
    bounds = (add_constant(graph_of(node), f"{label(node)}_bound", np.array([each])) for each in (0, size, axis))
    return _step(node, "Slice", [value, *bounds])
