"""`TorchNetwork`: an ONNX network computed by PyTorch, with gradients, and written back into the same ONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401  (numpy knows the names of the small integers only after this)
import numpy as np
import onnx_ir as ir

from edgec.errors import UnsupportedModel
from edgec.model.graph import attribute, constant, label
from edgec.recovery.operators import OPERATORS
from edgec.recovery.pytorch import Tensor, pytorch
from edgec.recovery.trainable import Stored, trainable

torch = pytorch()
Array = np.ndarray[Any, Any]
RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
RANGES |= {"int4": (-8, 7), "uint4": (0, 15)}
SAME_BYTES = frozenset({"Concat", "Flatten", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Transpose"})
"""Operators in front of and behind which edgec gives values one step, so that bytes are only moved: it stays one."""


def rounded(x: Tensor) -> Tensor:
    """Round to nearest, halves to even; the gradient passes as if nothing were rounded.

    "Straight through": Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons", 2013.
    """
    return x + (torch.round(x) - x).detach()


class TorchNetwork:
    """The network of `model`, computed by PyTorch.

    QuantizeLinear gives floats that hold integers, rounded straight through. The gradient of a step is then that of
    learned step size quantization (Esser et al., "Learned Step Size Quantization", ICLR 2020), but for a factor that
    Adam, which divides by the size of gradients, takes out again. Weights stored as integers are trained as floats.

    Args:
        model: Network with static shapes, in canonical form or as edgec wrote it.
        device: PyTorch's device.
        dtype: Type of all floats; default: float32.

    Attributes:
        parameters: Name of the constant -> PyTorch's leaf, in the units of the network.

    Raises:
        UnsupportedModel: An operator has no counterpart here; the message names it and its node.
    """

    def __init__(self, model: ir.Model, *, device: str = "cpu", dtype: Any = None) -> None:
        self._model = model
        self._device, self._dtype = device, dtype or torch.float32
        self._nodes = [(node, {name: attribute(node, name) for name in node.attributes}) for node in model.graph]
        for node, attributes in self._nodes:
            _check(node, attributes)
        found = trainable(model)
        self._stored = found.stored
        self._same = _tied(model, found.steps)
        self._constants = self._read(model)
        self.parameters: dict[str, Tensor] = {}
        for name in sorted(found.floats | {self._same.get(name, name) for name in found.steps}):
            self.parameters[name] = self._constants.pop(name).detach().clone().requires_grad_()
        for stored in found.stored.values():
            self.parameters[stored.name] = self._latent(stored).requires_grad_()
        self._fold()

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, for inputs by name."""
        values = {**self._constants, **self.parameters, **feeds}
        values |= {name: values[first] for name, first in self._same.items()}
        for node, attributes in self._nodes:
            self._compute(node, attributes, values)
        return {value.name or "": values[value.name or ""] for value in self._model.graph.outputs}

    def tensor(self, array: Array) -> Tensor:
        """Return an array as a tensor of this network: floats in its type and on its device, others on the CPU."""
        if array.dtype.kind == "f":
            return torch.from_numpy(np.array(array)).to(self._dtype).to(self._device)
        return torch.from_numpy(np.array(array))

    def write(self) -> ir.Model:
        """Return a copy of the model with the trained constants; their types and shapes stay."""
        result = self._model.clone()
        values = {name: value.detach().to(torch.float64).cpu().numpy() for name, value in self.parameters.items()}
        values |= {name: values[first] for name, first in self._same.items() if first in values}
        scales = {name: array for name, array in values.items() if name not in self._stored}
        for stored in self._stored.values():
            if stored.bias and stored.weight_scale and stored.input_scale:
                pair = (self._scale(each, scales) for each in (stored.weight_scale, stored.input_scale))
                scales[stored.scale] = math.prod(pair)
        for name, array in scales.items():
            _put(result, name, array)
        for name, stored in self._stored.items():
            step = _along(self._scale(stored.scale, scales).astype(np.float32), values[name], self._axis(stored))
            zero = self._zero(stored)
            _put(result, name, np.clip(np.rint(values[name] / step) + zero, stored.low, stored.high))
        return result

    def _read(self, model: ir.Model) -> dict[str, Tensor]:
        constants = {}
        for name, value in model.graph.initializers.items():
            array = constant(value)
            if array is not None:
                kept = array.dtype.kind in "fiub" and array.dtype.itemsize >= 1 and array.dtype.name not in RANGES
                small = array.dtype.name in RANGES
                constants[name] = self.tensor(array if kept else array.astype(np.int32 if small else np.float32))
        return constants

    def _latent(self, stored: Stored) -> Tensor:
        integers = self._constants[stored.name].to(self._dtype).to(self._device)
        step = self._parameter(stored.scale)
        return ((integers - self._zero(stored)) * _along(step, integers, self._axis(stored))).detach().clone()

    def _parameter(self, name: str) -> Tensor:
        name = self._same.get(name, name)
        return self.parameters[name] if name in self.parameters else self._constants[name]

    def _reader(self, stored: Stored) -> ir.Node:
        value = self._model.graph.initializers[stored.name]
        return next(use.node for use in value.uses() if use.node.op_type == "DequantizeLinear")

    def _axis(self, stored: Stored) -> int:
        return int(attribute(self._reader(stored), "axis", 1))

    def _zero(self, stored: Stored) -> float:
        inputs = self._reader(stored).inputs
        zero = constant(inputs[2]) if len(inputs) > 2 else None
        return 0.0 if zero is None else float(zero.reshape(-1)[0])

    def _scale(self, name: str, trained: Mapping[str, Array]) -> Array:
        array = trained.get(name)
        return np.asarray(constant(self._model.graph.initializers[name]) if array is None else array, np.float64)

    def _fold(self) -> None:
        """Compute once what depends on no input and nothing trained, and leave its nodes out."""
        values, left = dict(self._constants), []
        with torch.no_grad():
            for node, attributes in self._nodes:
                stored = any(value is not None and value.name in self._stored for value in node.inputs)
                if not stored and all(value is None or value.name in values for value in node.inputs):
                    self._compute(node, attributes, values)
                else:
                    left.append((node, attributes))
        read = {value.name for node, _ in left for value in node.inputs if value is not None}
        read |= {value.name for value in self._model.graph.outputs}
        self._constants = {name: value for name, value in values.items() if name in read}
        self._nodes = left

    def _compute(self, node: ir.Node, attributes: Mapping[str, Any], values: dict[str, Tensor]) -> None:
        inputs = [None if value is None else values[value.name or ""] for value in node.inputs]
        if node.op_type == "QuantizeLinear":
            results: Any = _quantized(inputs, attributes, _integers(node))
        elif node.op_type == "DequantizeLinear":
            source = node.inputs[0]
            results = self._dequantized(inputs, attributes, (source.name or "") if source is not None else "")
        elif node.op_type == "Constant":
            results = self.tensor(np.asarray(constant(node.outputs[0])))
        else:
            results = OPERATORS[node.op_type](inputs, attributes)
        for value, result in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False):
            values[value.name or ""] = result

    def _dequantized(self, inputs: list[Tensor], attributes: Mapping[str, Any], name: str) -> Tensor:
        x, zero = inputs[0], inputs[2] if len(inputs) > 2 else None
        x = x if x.is_floating_point() else x.to(self._dtype).to(self._device)
        step = _along(inputs[1], x, attributes.get("axis", 1))
        stored = self._stored.get(name)
        if stored is not None and stored.bias:
            return x
        shift = 0.0 if zero is None else _along(zero.to(self._dtype).to(self._device), x, attributes.get("axis", 1))
        if stored is not None:
            x = torch.clamp(rounded(x / step) + shift, stored.low, stored.high)
        return (x - shift) * step


def _quantized(inputs: list[Tensor], attributes: Mapping[str, Any], kind: str) -> Tensor:
    axis = attributes.get("axis", 1)
    result = rounded(inputs[0] / _along(inputs[1], inputs[0], axis))
    if len(inputs) > 2 and inputs[2] is not None:
        result = result + _along(inputs[2].to(result.dtype).to(result.device), result, axis)
    return torch.clamp(result, *RANGES[kind])


def _along(parameter: Any, x: Any, axis: int) -> Any:
    """Return scales or zero points in a shape that broadcasts over `x`: one number, or one for each index of `axis`."""
    if parameter.ndim == 0 or math.prod(parameter.shape) == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if each == axis % x.ndim else 1 for each in range(x.ndim)])


def _integers(node: ir.Node) -> str:
    kind = node.outputs[0].dtype
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    return str(zero.dtype.name if zero is not None and zero.dtype else kind.name if kind else "uint8").lower()


def _tied(model: ir.Model, steps: frozenset[str]) -> dict[str, str]:
    """Return step -> the step that stands for it: equal ones at both ends of a node that only moves bytes."""
    first: dict[str, str] = {}

    def home(name: str) -> str:
        while first.get(name, name) != name:
            name = first[name]
        return name

    for node in model.graph:
        if node.op_type not in SAME_BYTES:
            continue
        before = [value.producer() for value in node.inputs if value is not None]
        after = [use.node for value in node.outputs for use in value.uses()]
        near = [each for each in (*before, *after) if each and each.op_type in ("DequantizeLinear", "QuantizeLinear")]
        names = [each.inputs[1].name for each in near if each.inputs[1] is not None and each.inputs[1].name in steps]
        for name in names[1:]:
            a, b = (constant(model.graph.initializers.get(each)) for each in (names[0], name))
            if a is not None and b is not None and np.array_equal(a, b):
                first[home(name or "")] = home(names[0] or "")
    return {name: home(name) for name in first if home(name) != name}


def _check(node: ir.Node, attributes: Mapping[str, Any]) -> None:
    known = node.op_type in OPERATORS or node.op_type in ("QuantizeLinear", "DequantizeLinear", "Constant")
    if node.domain not in ("", "ai.onnx") or not known:
        raise UnsupportedModel(
            f"{node.op_type} node {label(node)!r} cannot be trained",
            remedy="Recover the network without it: cut it off where its outputs are still a layer's.",
        )
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise UnsupportedModel(
            f"{node.op_type} node {label(node)!r} has auto_pad", remedy="Write its padding as numbers (`pads`)."
        )


def _put(model: ir.Model, name: str, array: Array) -> None:
    value = model.graph.initializers[name]
    old = value.const_value
    if old is None:
        raise ValueError(f"{name} is not constant")
    made = np.asarray(array).reshape(old.shape.numpy()).astype(old.dtype.numpy())
    value.const_value = ir.tensor(made, dtype=old.dtype, name=name)
