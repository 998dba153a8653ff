"""`LinearLayer`: a convolution, Gemm, MatMul or scale as y = W x + b on rows, for statistics and refits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.graph import attribute, constant

Array = np.ndarray[Any, Any]

ROWS = 400
"""Maximum number of rows per sample for statistics, because neighbours are nearly equal."""


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One layer: Conv, Gemm, MatMul with the Add after it, or Mul and Add per channel.

    Rows are positions of its output (pixels, or vectors of a Gemm or MatMul). A ConvTranspose whose windows do not
    overlap is one, too: its rows are pixels of its input, its outputs are the pixels computed from each one, without
    the bias, which they share.

    Attributes:
        node: The layer.
        groups: Number of independent groups; the W of each is [outputs, width].
        weights: float64 [groups, outputs, width]; the last column is the bias, if there is one. Columns of a
            convolution are ordered by channel, then by position in the kernel.
        bias: Node and input index of the bias; None without one. For a MatMul it is in the Add after it.
        per_channel: Number of columns per input channel (positions in the kernel).
    """

    node: ir.Node
    groups: int
    weights: Array
    bias: tuple[ir.Node, int] | None
    per_channel: int

    @property
    def has_bias(self) -> bool:
        """Whether the last column of the weights is a bias."""
        return self.bias is not None

    @property
    def input(self) -> str:
        """Name of the value that it reads."""
        return _name(self.node.inputs[0])

    @property
    def output(self) -> str:
        """Name of its output value, after the bias."""
        return _name((self.bias[0] if self.bias is not None else self.node).outputs[0])

    @property
    def channel_axis(self) -> int:
        """Axis of the input and the output along which the channels lie."""
        return 1 if self._is_picture else -1

    def choose(self, output_shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Array:
        """Return the positions of at most `count` rows, drawn without repetition."""
        rows = int(np.prod(output_shape[2:] if self._is_picture else output_shape[:-1]))
        rows //= int(np.prod(self._upsampling))
        return rng.choice(rows, size=count, replace=False) if rows > count else np.arange(rows)

    def rows_in(self, x: Array, places: Array) -> Array:
        """Return the inputs of the rows at `places`, [groups, n, width]."""
        if self.node.op_type == "Mul":
            rows = x.reshape(self.groups, -1)[:, places, None]
        elif self._upsampling:
            rows = x.reshape(x.shape[1], -1).T[None, places]
        else:
            rows = self._columns(x, places) if self._is_conv else self._features(x)[None, places]
        if self.has_bias:
            rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1), rows.dtype)], axis=2)
        return rows

    def rows_out(self, y: Array, places: Array) -> Array:
        """Return the outputs of the rows at `places`, [groups, n, outputs]."""
        if not self._is_picture:
            return y.reshape(-1, y.shape[-1])[None, places]
        flat = self._by_input_pixel(y)[:, places]
        return flat.reshape(self.groups, -1, len(places)).transpose(0, 2, 1)

    def tensors(self, weights: Array) -> dict[str, Array]:
        """Return weights [groups, outputs, width] as the model's constants: name -> array of the old shape."""
        old = constant(self.node.inputs[1])
        if old is None:
            raise ValueError(f"{self.node.name}: weights are not constant any more")
        inner = weights[..., :-1] if self.has_bias else weights
        if self._upsampling:
            shaped = np.moveaxis(inner.reshape(*old.shape[1:], old.shape[0]), -1, 0)
        elif self._is_picture:
            shaped = inner.reshape(old.shape)
        else:
            shaped = (inner[0] if self._transposed else inner[0].T).reshape(old.shape)
        result = {_name(self.node.inputs[1]): shaped}
        if self.bias is not None:
            value = self.bias[0].inputs[self.bias[1]]
            bias = constant(value)
            if bias is None:
                raise ValueError(f"{self.node.name}: bias is not constant any more")
            result[_name(value)] = weights[..., -1].reshape(bias.shape)
        return {name: np.ascontiguousarray(array.astype(old.dtype)) for name, array in result.items()}

    @property
    def _is_picture(self) -> bool:
        return self.node.op_type in ("Conv", "ConvTranspose", "Mul")

    @property
    def _is_conv(self) -> bool:
        return self.node.op_type == "Conv"

    @property
    def _upsampling(self) -> tuple[int, ...]:
        """Number of output pixels per input pixel, by axis; empty if it is one."""
        return kernel_of(self.node) if self.node.op_type == "ConvTranspose" else ()

    @property
    def _transposed(self) -> bool:
        return self.node.op_type == "Gemm" and bool(attribute(self.node, "transB", 0))

    def _features(self, x: Array) -> Array:
        return x.reshape(-1, x.shape[-1])

    def _by_input_pixel(self, y: Array) -> Array:
        """Return y [1, c, h, w] as [outputs of a row, rows]."""
        if not self._upsampling:
            return y.reshape(y.shape[1], -1)
        (kh, kw), (channels, height, width) = self._upsampling, y.shape[1:]
        bias = constant(self.node.inputs[2]) if len(self.node.inputs) > 2 else None
        free = y if bias is None else y - bias.reshape(-1, 1, 1)
        split = free.reshape(channels, height // kh, kh, width // kw, kw)
        return split.transpose(0, 2, 4, 1, 3).reshape(channels * kh * kw, -1)

    def _columns(self, x: Array, places: Array) -> Array:
        """Return im2col of a picture-like x [1, c, h, w] at some positions, [groups, n, c / groups * kernel]."""
        kernel = kernel_of(self.node)
        strides, dilations, pads = window_of(self.node, len(kernel))
        rank = len(kernel)
        padded = np.pad(x[0], [(0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        sizes = [(n - span) // s + 1 for n, span, s in zip(padded.shape[1:], spans, strides, strict=True)]
        corners = [c * s for c, s in zip(np.unravel_index(places, sizes), strides, strict=True)]
        offsets = np.meshgrid(*(np.arange(k) * d for k, d in zip(kernel, dilations, strict=True)), indexing="ij")
        index: tuple[Any, ...] = tuple(c[:, None] + o.reshape(1, -1) for c, o in zip(corners, offsets, strict=True))
        taken = padded[(slice(None), *index)]  # [c, n, positions in the kernel]
        grouped = taken.reshape(self.groups, -1, *taken.shape[1:]).transpose(0, 2, 1, 3)
        return grouped.reshape(self.groups, len(places), -1)


def kernel_of(node: ir.Node) -> tuple[int, ...]:
    """Return the size of the kernel of a convolution."""
    weights = constant(node.inputs[1])
    return () if weights is None else weights.shape[2:]


def window_of(node: ir.Node, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return strides, dilations and pads (all begins, then all ends)."""
    return (
        attribute(node, "strides", (1,) * rank),
        attribute(node, "dilations", (1,) * rank),
        attribute(node, "pads", (0,) * 2 * rank),
    )


def _name(value: ir.Value | None) -> str:
    return "" if value is None or value.name is None else value.name
