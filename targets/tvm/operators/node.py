"""One ONNX node that is converted to Relax: what a converter can read from it, and how a converter emits code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import tvm
from tvm import relax

from edgec.model.graph import Array, attribute, constant

Expr = Any
"""A Relax expression of one tensor."""


class Refused(Exception):
    """The node uses its operator in an unsupported way; the text says which, as in "with computed axes"."""


@dataclass(frozen=True)
class OnnxNode:
    """A node with static shapes, and its inputs as Relax expressions; None stands for a missing optional input."""

    node: ir.Node
    builder: relax.BlockBuilder
    inputs: tuple[Any, ...]
    opset: int
    """Version of the standard operator set."""

    def __getitem__(self, index: int) -> Expr:
        """Return input `index`, which must exist."""
        return self.inputs[index]

    def has(self, index: int) -> bool:
        """Return whether the optional input `index` exists."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute as a Python value, or `default`."""
        return attribute(self.node, name, default)

    def known(self, index: int) -> Array | None:
        """Return the value of input `index` if it is constant; None if it is missing or computed."""
        return constant(self.node.inputs[index]) if self.has(index) else None

    def constant(self, index: int, what: str) -> Array:
        """Return the value of input `index`, which must be constant.

        Raises:
            Refused: It is computed; `what` names it, as in "axes".
        """
        array = self.known(index)
        if array is None:
            raise Refused(f"with computed {what}")
        return array

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of input `index`."""
        return shape_of(self.inputs[index])

    def rank(self, index: int) -> int:
        """Return the number of axes of input `index`."""
        return len(self.shape(index))

    def dtype(self, index: int) -> str:
        """Return numpy's name of the element type of input `index`."""
        return dtype_of(self.inputs[index])

    def axis(self, default: int, rank: int | None = None) -> int:
        """Return the attribute `axis`, from 0 on, of `rank` axes (those of the first input by default)."""
        return int(self.attribute("axis", default)) % max(self.rank(0) if rank is None else rank, 1)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the first output, as ONNX infers it.

        Raises:
            Refused: It depends on the data.
        """
        shape = self.node.outputs[0].shape
        if shape is None or not shape.is_static():
            raise Refused("with an output whose size depends on the data")
        return tuple(int(size) for size in shape.numpy())

    @property
    def output_dtype(self) -> str:
        """Element type of the first output."""
        dtype = self.node.outputs[0].dtype
        assert dtype is not None
        return str(dtype.numpy())

    def is_used(self, output: int) -> bool:
        """Return whether a node or the network's result reads output `output`."""
        if output >= len(self.node.outputs):
            return False
        value = self.node.outputs[output]
        return bool(value.uses()) or value.is_graph_output()

    def emit(self, expr: Expr) -> Expr:
        """Bind `expr` to a variable and return it, so that its type is known and it is computed once."""
        return self.builder.emit(expr)

    def compute(self, function: Callable[..., Any], *arguments: Any, name: str = "") -> Expr:
        """Emit a tensor expression: `function` takes TE tensors in place of the Relax `arguments`."""
        return self.builder.emit_te(function, *arguments, primfunc_name_hint=name or f"{self.node.op_type.lower()}_te")

    def call(
        self, kernel: Any, arguments: Sequence[Expr], results: Sequence[tuple[Sequence[int], str]], name: str
    ) -> list[Expr]:
        """Emit a call of `kernel`, a TIR function; return its results, of the given shapes and element types."""
        variable = self.builder.add_func(kernel, name)
        types = [relax.TensorType([int(size) for size in shape], dtype) for shape, dtype in results]
        made = self.emit(relax.call_tir(variable, list(arguments), out_ty=types if len(types) > 1 else types[0]))
        return [made] if len(types) == 1 else [self.emit(relax.TupleGetItem(made, at)) for at in range(len(types))]


def shape_of(expr: Expr) -> tuple[int, ...]:
    """Return the static shape of a Relax tensor."""
    return tuple(int(extent) for extent in expr.ty.shape.values)


def dtype_of(expr: Expr) -> str:
    """Return numpy's name of the element type of a Relax tensor."""
    return str(expr.ty.dtype)


def tensor(array: Any, dtype: str | None = None) -> Expr:
    """Return `array` (anything numpy accepts) as a Relax constant of `dtype`, by default its own."""
    return relax.const(tvm.runtime.tensor(np.asarray(array, dtype, order="C")))


def like(value: Any, expr: Expr) -> Expr:
    """Return the scalar `value` as a Relax constant in the element type of `expr`."""
    return tensor(value, dtype_of(expr))


def is_float(dtype: str) -> bool:
    """Return whether `dtype` is a floating point type."""
    return "float" in dtype


def cast(expr: Expr, dtype: str) -> Expr:
    """Return `expr` converted to `dtype`; unchanged if it has that type."""
    return expr if dtype_of(expr) == dtype else relax.op.astype(expr, dtype)


Converter = Callable[[OnnxNode], "Expr | Sequence[Expr]"]
"""Returns the output of a node, or the list of its outputs; unused ones at the end may be omitted."""
