"""Rewrites the operators of ONNX Runtime's own domain (`com.microsoft`), which its tools write, as standard ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.edit import bypass, graph_of, insert_before, substitute
from edgec.model.graph import add_constant, attribute, label, opset, replace_uses

DOMAIN = "com.microsoft"
AXES_AS_INPUT = 18
"""First operator set in which reductions take their axes as an input."""
PARAMETERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
"""Names of the numbers in `activation_params` of FusedConv."""

SUM = 3
"""Index of the output of SkipLayerNormalization that holds the sum before normalization."""

Value = ir.Value | None


def write_contrib(model: ir.Model) -> None:
    """Rewrite the operators of `REWRITES` in `model`, in place, in the model's own operator set."""
    for node in list(model.graph.all_nodes()):
        rewrite = REWRITES.get(node.op_type) if node.domain == DOMAIN else None
        if rewrite is not None:
            rewrite(_Writer(node))
    if not any(node.domain == DOMAIN for node in model.graph.all_nodes()):
        model.opset_imports.pop(DOMAIN, None)


class _Writer:
    """Inserts nodes in front of `node`, the last of which replaces it."""

    def __init__(self, node: ir.Node) -> None:
        self.node, self.stem = node, label(node)
        self.inputs: list[Value] = [*node.inputs, *[None] * 16]

    def __call__(self, op_type: str, *inputs: Value, **attributes: Any) -> ir.Value:
        """Insert a node with one output and return the output. Attributes of None are left out."""
        return insert_before(self.node, op_type, inputs, attributes, stem=f"{self.stem}_{op_type}")

    def finish(self, op_type: str, *inputs: Value, **attributes: Any) -> None:
        """Insert the node that replaces the old one."""
        substitute(self.node, op_type, inputs, attributes)

    def constant(self, array: Any) -> ir.Value:
        """Add an initializer."""
        return add_constant(graph_of(self.node), f"{self.stem}_constant", np.asarray(array))

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the old node."""
        return attribute(self.node, name, default)

    def real(self, at: int) -> ir.Value:
        """Return the quantized input `at`, which is followed by its scale and zero point, dequantized to floats."""
        return self.dequantized(*self.inputs[at : at + 3])

    def dequantized(self, *operands: Value, axis: int | None = None) -> ir.Value:
        """Return a value dequantized to floats by its scale and zero point."""
        value = self("DequantizeLinear", *operands, axis=axis)
        value.type = ir.TensorType(ir.DataType.FLOAT)
        return value

    def quantize(self, value: ir.Value, at: int) -> None:
        """Replace the node's output by `value`, quantized with the scale and zero point in inputs `at` and `at + 1`."""
        self.finish("QuantizeLinear", value, self.inputs[at], self.inputs[at + 1])


def _binary(op_type: str) -> Callable[[_Writer], None]:
    return lambda w: w.quantize(w(op_type, w.real(0), w.real(3)), 6)


def _unary(op_type: str, *names: str) -> Callable[[_Writer], None]:
    return lambda w: w.quantize(w(op_type, w.real(0), **{name: w.attribute(name) for name in names}), 3)


def _pool(op_type: str, *names: str) -> Callable[[_Writer], None]:
    def write(w: _Writer) -> None:
        if not w.attribute("channels_last", 0):
            _unary(op_type, *names)(w)

    return write


def _concat(w: _Writer) -> None:
    parts = [w.real(at) for at in range(2, len(w.node.inputs), 3)]
    w.quantize(w("Concat", *parts, axis=w.attribute("axis")), 0)


def _where(w: _Writer) -> None:
    w.quantize(w("Where", w.inputs[0], w.real(1), w.real(4)), 7)


def _mean(w: _Writer, x: ir.Value) -> ir.Value:
    """Return the mean over the last axis."""
    if opset(graph_of(w.node)) < AXES_AS_INPUT:
        return w("ReduceMean", x, axes=[-1])
    return w("ReduceMean", x, w.constant(np.array([-1], np.int64)))


def _pair(op_type: str) -> Callable[[_Writer], None]:
    return lambda w: w.finish(op_type, *w.node.inputs, **({"axis": axis} if (axis := w.attribute("axis")) else {}))


def _fused_conv(w: _Writer) -> None:
    """FusedConv: a convolution, then the sum with a fourth input, then an activation."""
    own = ("activation", "activation_params")
    attributes = {name: each for name, each in w.node.attributes.items() if name not in own}
    activation, numbers = w.attribute("activation", ""), w.attribute("activation_params", ())
    value = w("Conv", *w.inputs[:3], **attributes)
    if w.inputs[3] is not None:
        value = w("Add", value, w.inputs[3])
    if activation == "Clip":
        w.finish("Min", w("Max", value, w.constant(np.float32(numbers[0]))), w.constant(np.float32(numbers[1])))
    elif activation:
        w.finish(activation, value, **dict(zip(PARAMETERS.get(activation, ()), numbers, strict=False)))
    else:
        w.finish("Identity", value)


def _fused_matmul(w: _Writer) -> None:
    """FusedMatMul: a matrix product, optionally with transposed operands, multiplied by `alpha`."""
    if w.attribute("transBatchA", 0) or w.attribute("transBatchB", 0):
        return
    left = "...ji" if w.attribute("transA", 0) else "...ij"
    right = "...kj" if w.attribute("transB", 0) else "...jk"
    product = w("Einsum", *w.inputs[:2], equation=f"{left},{right}->...ik")
    w.finish("Mul", product, w.constant(np.float32(w.attribute("alpha", 1.0))))


def _gelu(w: _Writer, x: Value) -> None:
    """Gelu: x / 2 * (1 + erf(x / sqrt(2)))."""
    inner = w("Erf", w("Mul", x, w.constant(np.float32(math.sqrt(0.5)))))
    half = w("Mul", x, w.constant(np.float32(0.5)))
    w.finish("Mul", half, w("Add", inner, w.constant(np.float32(1))))


def _fast_gelu(w: _Writer) -> None:
    """FastGelu: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3))), of the sum of input and bias."""
    x = w.inputs[0] if w.inputs[1] is None else w("Add", w.inputs[0], w.inputs[1])
    cube = w("Mul", w("Mul", x, x), x)
    inner = w("Add", x, w("Mul", cube, w.constant(np.float32(0.044715))))
    tanh = w("Tanh", w("Mul", inner, w.constant(np.float32(math.sqrt(2 / math.pi)))))
    half = w("Mul", x, w.constant(np.float32(0.5)))
    w.finish("Mul", half, w("Add", tanh, w.constant(np.float32(1))))


def _quick_gelu(w: _Writer) -> None:
    scaled = w("Mul", w.inputs[0], w.constant(np.float32(w.attribute("alpha", 1.702))))
    w.finish("Mul", w.inputs[0], w("Sigmoid", scaled))


def _skip_layer_normalization(w: _Writer) -> None:
    """SkipLayerNormalization: layer normalization over the last axis of a sum, which may be an output too."""
    if any(output.uses() or output.is_graph_output() for output in w.node.outputs[1:SUM]):
        return
    x, skip, gamma, beta, bias = w.inputs[:5]
    total = w("Add", x, skip)
    if bias is not None:
        total = w("Add", total, bias)
    if len(w.node.outputs) > SUM:
        replace_uses(w.node.outputs[SUM], total)
    difference = w("Sub", total, _mean(w, total))
    variance = _mean(w, w("Mul", difference, difference))
    root = w("Sqrt", w("Add", variance, w.constant(np.float32(w.attribute("epsilon", 1e-12)))))
    scaled = w("Mul", w("Div", difference, root), gamma)
    bypass(w.node, scaled if beta is None else w("Add", scaled, beta))


def _product_of_quantized(w: _Writer, a: ir.Value, b: int, scale: int, zero: int, bias: int) -> None:
    """Replace the node by the product of `a` with the dequantized input `b`."""
    operands = [w.inputs[b], w.inputs[scale], w.inputs[zero]]
    product = w("MatMul", a, w.dequantized(*operands, axis=None if _is_scalar(w.inputs[scale]) else 1))
    w.finish("Identity", product) if w.inputs[bias] is None else w.finish("Add", product, w.inputs[bias])


def _matmul_integer_to_float(w: _Writer) -> None:
    if _is_scalar(w.inputs[2]):
        _product_of_quantized(w, w.dequantized(w.inputs[0], w.inputs[2], w.inputs[4]), 1, 3, 5, 6)


def _dynamic_quantize_matmul(w: _Writer) -> None:
    graph, name = graph_of(w.node), w.stem
    quantized = ir.node("DynamicQuantizeLinear", [w.inputs[0]], num_outputs=3, name=f"{name}_DynamicQuantizeLinear")
    for index, output in enumerate(quantized.outputs):
        output.name = f"{name}_quantized_{index}"
    graph.insert_before(w.node, quantized)
    _product_of_quantized(w, w.dequantized(*quantized.outputs), 1, 2, 3, 4)


def _is_scalar(value: Value) -> bool:
    return value is not None and value.shape is not None and all(size == 1 for size in value.shape)


POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
REWRITES: dict[str, Callable[[_Writer], None]] = {
    "BiasGelu": lambda w: _gelu(w, w("Add", w.inputs[0], w.inputs[1])),
    "DequantizeLinear": _pair("DequantizeLinear"),
    "DynamicQuantizeMatMul": _dynamic_quantize_matmul,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedMatMul": _fused_matmul,
    "Gelu": lambda w: _gelu(w, w.inputs[0]),
    "MatMulIntegerToFloat": _matmul_integer_to_float,
    "QLinearAdd": _binary("Add"),
    "QLinearAveragePool": _pool("AveragePool", *POOL),
    "QLinearConcat": _concat,
    "QLinearGlobalAveragePool": _pool("GlobalAveragePool"),
    "QLinearLeakyRelu": _unary("LeakyRelu", "alpha"),
    "QLinearMul": _binary("Mul"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearSoftmax": _unary("Softmax", "axis"),
    "QLinearWhere": _where,
    "QuantizeLinear": _pair("QuantizeLinear"),
    "QuickGelu": _quick_gelu,
    "SkipLayerNormalization": _skip_layer_normalization,
}
