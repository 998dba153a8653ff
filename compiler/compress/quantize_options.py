"""Checks the user's quantization settings against the network before any long work begins."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgec import registry
from edgec.errors import BadOption
from edgec.model.graph import label
from edgec.model.traits import LINEAR
from edgec.passes.quantize.codecs.base import load_codec
from edgec.passes.quantize.quantize import LayerOptions
from edgec.quantization import CalibrationTable, Scheme
from edgec.quantizing import QuantizeOptions

PROBE = np.linspace(-1, 1, 8).reshape(1, 2, 4)
"""Weights on which a codec is tried."""


def used_scheme(settings: QuantizeOptions) -> Scheme:
    """Return the scheme of the activations: for TensorRT it is symmetric unless the user gives another one."""
    return Scheme(kind=settings.scheme or ("symmetric" if settings.style == "tensorrt" else "asymmetric"))


def check_symmetric(settings: QuantizeOptions, table: CalibrationTable | None) -> None:
    """Raise an error for ranges with zero points in TensorRT's style, before they are calibrated."""
    if table is not None:
        kind = table.scheme.kind
    elif settings.activations:
        kind = getattr(registry.load("calibrators", settings.calibrator), "kind", None) or used_scheme(settings).kind
    else:
        return
    if kind == "asymmetric":
        remedy = "Calibrate with --scheme symmetric or power-of-two."
        raise BadOption("TensorRT does not support zero points, but the scheme is asymmetric", remedy=remedy)


def quantize_options(model: ir.Model, settings: QuantizeOptions) -> LayerOptions:
    """Return the options of the pass, for `model`.

    Raises:
        BadOption: A setting is unknown, contradicts another one, or matches no layer.
    """
    layers = [label(node) for node in model.graph if node.op_type in LINEAR]
    load_codec(settings.codec)(PROBE, settings.weight_bits, False)  # fails now for an unknown codec or width
    if settings.style == "tensorrt" and settings.weight_bits != 8:
        raise BadOption(
            f"TensorRT supports weights of 8 bits, not {settings.weight_bits}", remedy="Leave --weight-bits at 8."
        )
    excluded = set()
    for pattern in settings.exclude:
        matches = fnmatch.filter(layers, pattern)
        if not matches:
            raise BadOption(f"--exclude {pattern!r} matches no layer", remedy=_examples(layers))
        excluded.update(matches)
    return LayerOptions(
        weight_bits=settings.weight_bits,
        codec=settings.codec,
        activations=settings.activations,
        repair=settings.repair,
        style=settings.style,
        exclude=frozenset(excluded),
    )


def _examples(layers: Sequence[str]) -> str:
    return f"The layers are {', '.join(layers[:4])} ..." if layers else "The model has no Conv, Gemm or MatMul."
