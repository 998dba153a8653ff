"""Implicit int8 for TensorRT before 8.5: the scales of a Q/DQ model become a calibration cache, and its pairs go."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgec.errors import UnsupportedModel
from edgec.model.edit import Builder
from edgec.model.graph import attribute, constant, replace_uses, single_consumer
from edgec.model.traits import SELECTIONS
from edgec.targets.tensorrt.board.facts import version_of

Array = np.ndarray[Any, Any]

STEPS = 127
"""Divisor of the largest magnitude of a range that gives the scale."""
CLAMPS = frozenset({"Clip", "Relu"})
"""Saturating activations: their input may have the range of their output, because they clip the rest themselves."""
SCALE = re.compile(r"(?P<tensor>.+): (?P<digits>[0-9a-fA-F]{1,8})\s*")
"""A line of a calibration cache."""


def strip_pairs(model: ir.Model) -> dict[str, float]:
    """Remove every QuantizeLinear and DequantizeLinear of `model` in place; return value name -> largest magnitude.

    Weights keep the values that their pairs produce. The ranges are those of the pairs on activations, +-`STEPS` times
    the scale; they also hold for values that are only moved, and for values between a layer and the activation that
    clips them.

    Args:
        model: Model with pairs in the form that TensorRT supports: int8, zero points 0, one scale per activation.

    Raises:
        UnsupportedModel: An activation has per-channel scales, which a calibration cache cannot contain.
    """
    ranges: dict[ir.Value, float] = {}
    for node in [node for node in model.graph if node.op_type == "DequantizeLinear"]:
        quantize = node.inputs[0].producer() if node.inputs[0] is not None else None
        if quantize is None or quantize.op_type != "QuantizeLinear":
            raise UnsupportedModel(
                f"DequantizeLinear node {node.name!r} has no QuantizeLinear before it",
                remedy="Quantize with `edgec quantize --style tensorrt`.",
            )
        source, scale = quantize.inputs[0], constant(quantize.inputs[1])
        assert source is not None and scale is not None  # the check before has refused all others
        held = constant(source)
        if held is not None:
            replace_uses(node.outputs[0], Builder(node).constant(_fake_quantized(held, scale, quantize)))
            continue
        if scale.size > 1:
            raise UnsupportedModel(
                f"value {source.name!r} has per-channel scales, but a calibration cache has only one",
                remedy="Quantize activations with one scale: `edgec quantize --style tensorrt`.",
            )
        ranges[source] = STEPS * float(scale.reshape(-1)[0])
        replace_uses(node.outputs[0], source)
    RemoveUnusedNodesPass()(model)
    for node in model.graph:
        before, after = node.inputs[0] if node.inputs else None, node.outputs[0]
        if node.op_type in SELECTIONS and before in ranges:
            ranges.setdefault(after, ranges[before])
        if node.op_type in CLAMPS and after in ranges and before is not None and single_consumer(before) is node:
            ranges.setdefault(before, ranges[after])
    return {value.name or "": largest for value, largest in ranges.items()}


def cache_text(ranges: Mapping[str, float], tensorrt: str) -> str:
    """Return the calibration cache of TensorRT `tensorrt`, e.g. `8.2.1`, for IInt8EntropyCalibrator2.

    The first line is `TRT-<number>-EntropyCalibration2`, number being MAJOR * 1000 + MINOR * 100 + PATCH before 10 and
    MAJOR * 10000 + MINOR * 100 + PATCH from there on; each other `<tensor>: <scale>`, the scale (largest magnitude /
    127) as the eight hexadecimal digits of its float32, most significant first. A tensor without a line stays in float.

    Args:
        ranges: Tensor -> largest magnitude, > 0. Names as in the model that is built.
        tensorrt: Version on the board. TensorRT ignores a cache with another header.
    """
    major, minor, patch = version_of(tensorrt)
    number = major * (10000 if major >= 10 else 1000) + minor * 100 + patch
    lines = [f"{name}: {struct.pack('>f', largest / STEPS).hex()}" for name, largest in ranges.items()]
    return "\n".join([f"TRT-{number}-EntropyCalibration2", *lines]) + "\n"


def read_cache(text: str) -> dict[str, float]:
    """Return tensor -> largest magnitude from the text of a calibration cache of any version.

    Raises:
        ValueError: A line does not belong to a calibration cache.
    """
    ranges = {}
    for line in filter(str.strip, text.splitlines()[1:]):
        scale = SCALE.fullmatch(line)
        if scale is None:
            raise ValueError(f"line {line!r} is not <tensor>: <scale, up to eight hexadecimal digits>")
        ranges[scale["tensor"]] = STEPS * float(struct.unpack(">f", bytes.fromhex(scale["digits"].zfill(8)))[0])
    return ranges


def _fake_quantized(array: Array, scale: Array, node: ir.Node) -> Array:
    column = [1] * array.ndim
    if scale.size > 1:
        column[attribute(node, "axis", 1)] = scale.size
    spread = scale.reshape(column) if array.ndim else scale.reshape(())
    integers = np.clip(np.rint(array / spread), -STEPS - 1, STEPS)
    return np.asarray(integers * spread, array.dtype)
