"""LSTM, GRU and RNN: one matrix product for the inputs of all steps, then the steps as an operator of edgec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from tvm import relax

from edgec.model.graph import Array, attribute, constant
from edgec.targets.tvm.operators.node import Converter, Expr, OnnxNode, Refused, cast, tensor
from edgec.targets.tvm.recurrence import Recurrence, recurrence
from edgec.targets.tvm.relax_recurrence import recurrence_call

INPUTS = ("x", "w", "r", "b", "lengths", "state", "cell", "peepholes")
"""Inputs of ONNX's operators, in order; those of GRU and RNN end with `state`."""
FLOAT = "float32"


@dataclass(frozen=True)
class Weights:
    """Values [directions, rows, depth]: floats, or int8 with a scale for each row, [directions, rows]."""

    values: Array
    scales: Array | None = None


def weights_of(value: ir.Value | None) -> Weights | None:
    """Return the value of the constant `value`, or of a DequantizeLinear of constants; None if it is computed.

    It stays int8 if the zero points are 0 and each row has one scale.
    """
    known = constant(value)
    if known is not None:
        return Weights(known.astype(np.float32))
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear" or attribute(node, "block_size", 0):
        return None
    codes, scale, zero = (constant(each) for each in [*node.inputs, None][:3])
    if codes is None or scale is None or (zero is None and len(node.inputs) > 2):
        return None
    zero = np.zeros_like(scale, codes.dtype) if zero is None else zero
    axis = attribute(node, "axis", 1) % codes.ndim
    shape = [-1 if at == axis and scale.size > 1 else 1 for at in range(codes.ndim)]
    scale, zero = scale.reshape(shape), zero.reshape(shape)
    if codes.dtype == np.int8 and not zero.any() and scale.shape[-1] == 1:
        return Weights(codes, np.broadcast_to(scale[..., 0], codes.shape[:2]).astype(np.float32))
    return Weights(((codes.astype(np.float32) - zero.astype(np.float32)) * scale).astype(np.float32))


def _recurrent(n: OnnxNode) -> list[Expr]:
    """A time-major layer; floats of other widths are computed in fp32."""
    given = {name: at for at, name in enumerate(INPUTS) if n.has(at)}
    what, kind = recurrence(n.node), n.dtype(0)
    w, r = _weights(n, given["w"]), _weights(n, given["r"])
    operands: dict[str, Expr] = {"weights": tensor(r.values)}
    if r.scales is not None:
        operands["scales"] = tensor(r.scales)
    sums = n.emit(relax.op.matmul(cast(n[0], FLOAT), _input_weights(n, what, w)))
    if "b" in given:
        bias = _weights(n, given["b"]).values.reshape(what.directions, 2 * what.gates, what.hidden)
        inputs, states = np.split(bias, 2, axis=1)
        if what.reset_after:  # the reset gate scales the candidate's own bias with the product
            operands["bias"] = tensor(states[:, -1])
            states = states * np.array([1.0, 1.0, 0.0], np.float32).reshape(1, 3, 1)
        sums = n.emit(relax.op.add(sums, tensor(_by_columns((inputs + states)[..., None], what).reshape(-1))))
    operands["sums"] = sums
    if "peepholes" in given and (peepholes := n.constant(given["peepholes"], "peepholes")).any():
        operands["peepholes"] = tensor(peepholes, FLOAT)
    operands |= {name: n[given[name]] for name in ("lengths",) if name in given}
    operands |= {name: cast(n[given[name]], FLOAT) for name in ("state", "cell") if name in given}
    results = n.emit(recurrence_call(what, operands))
    return [cast(n.emit(results[at]), kind) for at in range(len(n.node.outputs))]


def _weights(n: OnnxNode, index: int) -> Weights:
    known = weights_of(n.node.inputs[index])
    if known is None:
        raise Refused("with weights that are computed")
    return known


def _input_weights(n: OnnxNode, what: Recurrence, weights: Weights) -> Expr:
    """Return `weights` as the right operand of the product, [inputs, directions * gates * columns]."""
    right = tensor(_by_columns(weights.values, what))
    if weights.scales is None:
        return right
    scales = _by_columns(weights.scales[..., None], what).reshape(-1)
    # Padding columns are zero with any scale, and a scale must be positive.
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    zeros = tensor(np.zeros(scales.shape, np.int8))
    return n.emit(relax.op.dequantize(right, tensor(scales), zeros, axis=1, out_dtype=FLOAT))


def _by_columns(rows: Array, what: Recurrence) -> Array:
    """Return [directions, gates * hidden, depth] as [depth, directions * gates * columns]; padding columns are 0."""
    depth = rows.shape[-1]
    padded = np.zeros((what.directions, what.gates, what.columns, depth), rows.dtype)
    padded[:, :, : what.hidden] = rows.reshape(what.directions, what.gates, what.hidden, depth)
    return np.ascontiguousarray(padded.reshape(-1, depth).T)


CONVERTERS: dict[str, Converter] = {"GRU": _recurrent, "LSTM": _recurrent, "RNN": _recurrent}
