"""Converts nodes that no schedule takes back to the Relax operators they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax

from edgec.targets.tvm.regions.facts import Convolution, IntegerConvolution, IntegerProduct, Pool, Scaling, Slice
from edgec.targets.tvm.regions.graph import CALL, Node
from edgec.targets.tvm.regions.operators import CHANNELS, CONV, DEQUANTIZE, MATMUL, QUANTIZE

REWRITTEN = {"relax.add": relax.op.add, "relax.square": relax.op.square, "relax.sqrt": relax.op.sqrt}
"""Relax operators that normalization puts into the graph in place of other ones."""


def restore(node: Node, expression: Callable[[Any], Any], carry: Callable[[Any], Any]) -> Any:
    """Return the Relax expression of `node`.

    Args:
        node: The node; among introduced operators, only phases of a transposed convolution have no Relax operator.
        expression: Returns the Relax expression of an argument.
        carry: Returns the global variable in the new module for a TIR function of the old one.
    """
    call = node.call
    if node.op == "tuple_get":
        return relax.TupleGetItem(expression(node.args[0]), call.index)
    if node.op in INVENTED:
        return INVENTED[node.op](node, expression(node.args[0]))
    if isinstance(node.facts, Convolution):
        return _convolution(node.facts, expression(node.args[0]), node.args[0].shape)
    arguments = [expression(arg) for arg in node.args]
    if node.op != CALL and call.op.name == "relax.call_tir":
        kind = call.ty_args[0]
        results = list(kind.fields) if isinstance(kind, relax.TupleType) else kind
        return relax.call_tir(carry(call.args[0]), arguments, out_ty=results)
    if node.op in REWRITTEN and call.op.name != node.op:
        return REWRITTEN[node.op](*arguments)
    callee = carry(call.op) if node.op == CALL else call.op
    return relax.Call(callee, arguments, call.attrs, call.ty_args)


def _convolution(layer: Convolution, source: Any, shape: tuple[int, ...]) -> Any:
    if layer.shuffle is not None:
        n, c, h, w = shape
        groups = layer.shuffle
        grouped = relax.op.reshape(source, (n, groups, c // groups, h, w))
        source = relax.op.reshape(relax.op.permute_dims(grouped, [0, 2, 1, 3, 4]), (n, c, h, w))
    conv = relax.op.nn.conv2d(
        source,
        relax.const(layer.weights),
        strides=layer.strides,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    return relax.op.add(conv, relax.const(np.reshape(layer.bias, (1, -1, 1, 1))))


def _pair(node: Node, source: Any) -> Any:
    scaling, integers = node.known(Scaling), node.dtype if node.op == QUANTIZE else node.args[0].dtype
    operator = relax.op.quantize if node.op == QUANTIZE else relax.op.dequantize
    parameters = [relax.const(scaling.scale, "float32"), relax.const(scaling.zero_point, integers)]
    return operator(source, *parameters, out_dtype=node.dtype)


def _integer_layer(node: Node, source: Any) -> Any:
    """Return the layer in floats, with dequantized input and weights."""
    layer = node.facts
    assert isinstance(layer, (IntegerConvolution, IntegerProduct))
    scaling = layer.scaling
    parameters = [relax.const(scaling.scale, "float32"), relax.const(scaling.zero_point, node.args[0].dtype)]
    source = relax.op.dequantize(source, *parameters)
    steps = (layer.scales / scaling.scale).reshape(-1, *[1] * (layer.weights.ndim - 1))
    weights = (layer.weights * steps).astype(np.float32)
    if isinstance(layer, IntegerProduct):
        product = relax.op.matmul(source, relax.const(np.ascontiguousarray(weights.T)))
        return relax.op.add(product, relax.const(layer.bias.astype(np.float32)))
    conv = relax.op.nn.conv2d(
        source,
        relax.const(weights),
        strides=layer.strides,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    return relax.op.add(conv, relax.const(layer.bias.astype(np.float32).reshape(1, -1, 1, 1)))


def _max_pool(node: Node, source: Any) -> Any:
    pool = node.known(Pool)
    return relax.op.nn.max_pool2d(source, pool.window, pool.strides, pool.padding)


def _channels(node: Node, source: Any) -> Any:
    start = node.known(Slice).start
    assert node.shape is not None
    return relax.op.strided_slice(source, axes=[1], begin=[start], end=[start + node.shape[1]])


def _reshape(node: Node, source: Any) -> Any:
    return relax.op.reshape(source, node.shape)


INVENTED: dict[str, Callable[[Node, Any], Any]] = {
    QUANTIZE: _pair,
    DEQUANTIZE: _pair,
    CONV: _integer_layer,
    MATMUL: _integer_layer,
    CHANNELS: _channels,
    "edgec.max_pool": _max_pool,
    "edgec.global_pool": lambda _, source: relax.op.mean(source, [2, 3], keepdims=True),
    "relax.reshape": _reshape,
}
"""Operators with one operand that are edgec's own, or that rewrites add."""
