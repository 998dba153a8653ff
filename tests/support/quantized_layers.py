"""Single layers as Q/DQ networks, with random integers, and how they are lowered, run and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from edgec.reference.session import Reference
from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.report import LoweringReport

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pair:
    """Parameters of one quantization."""

    scale: float = 0.02
    zero_point: int = 117
    dtype: str = "uint8"


class QuantizedNetwork:
    """A graph under construction; methods return names of float values behind a Q/DQ pair."""

    def __init__(self, seed: int = 0, *, largest: int = 127) -> None:
        self.largest = largest
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []

    def input(self, shape: Sequence[int], pair: Pair | None = None) -> str:
        """Add an input, quantized."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return self.pair(name, pair or Pair())

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of one output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: Array) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def pair(self, value: str, pair: Pair) -> str:
        """Quantize and dequantize a value."""
        parameters = [
            self.constant(np.array(pair.scale, np.float32)),
            self.constant(np.array(pair.zero_point, np.dtype(pair.dtype))),
        ]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [value, *parameters]), *parameters])

    def weights(self, shape: Sequence[int], axis: int) -> str:
        """Add random int8 weights with a scale for each index along `axis`."""
        integers = self.rng.integers(-self.largest, self.largest + 1, shape, dtype=np.int8)
        depth = np.sqrt(np.prod(shape) / shape[axis])
        scales = self.rng.uniform(0.5, 1.5, shape[axis]).astype(np.float32) / np.float32(80.0 * depth)
        return self.node("DequantizeLinear", [self.constant(integers), self.constant(scales)], axis=axis)

    def conv(self, source: str, channels: int, out: int, kernel: Sequence[int], **attributes: Any) -> str:
        """Add a convolution with a bias; its result is float."""
        weights = self.weights((out, channels // attributes.get("group", 1), *kernel), 0)
        bias = self.constant(self.rng.normal(0, 0.3, out).astype(np.float32))
        return self.node("Conv", [source, weights, bias], **attributes)

    def model(self, output: str) -> ir.Model:
        """Return the network."""
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", self.inputs, [info], self.constants)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return ir.from_proto(onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True))


def lowered(network: ir.Model, model: CpuModel, target: Any) -> tuple[Any, LoweringReport]:
    """Return the scheduled module of `network` and the report; nothing may have been refused."""
    result = lower_with_report(to_relax(network), model, target)
    assert not result.report.refusals
    return result.module, result.report


def reference(network: ir.Model, feeds: Sequence[Array]) -> Array:
    """Return what ONNX Runtime computes."""
    names = [str(value.name) for value in network.graph.inputs]
    (output,) = Reference(network).run(dict(zip(names, feeds, strict=True))).values()
    return np.asarray(output)
