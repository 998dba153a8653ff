"""`QuantizeSettings`: how a network is quantized, checked against it before the long work."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from pydantic import BaseModel, ConfigDict, Field

from edgec import registry
from edgec.errors import BadOption
from edgec.model.graph import label
from edgec.model.traits import LINEAR
from edgec.passes.quantize.codecs.base import load_codec
from edgec.passes.quantize.quantize import QuantizeOptions
from edgec.quantization import CalibrationTable, Kind, Scheme

PROBE = np.linspace(-1, 1, 8).reshape(1, 2, 4)
"""Weights to try a codec on."""


class QuantizeSettings(BaseModel):
    """Settings of a quantization; each is also a flag of `edgec quantize`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibrator: str = Field(default="mse", description="How ranges are found (entry point or module:Class).")
    scheme: Kind | None = Field(
        default=None, description="asymmetric (default), symmetric (TensorRT's), or power-of-two; of activations."
    )
    weight_bits: int = Field(default=8, ge=1, le=8, description="Width of the weights: 8, 4, 3, 2; binary: 1.")
    codec: str = Field(default="linear", description="Storage of weights: linear, kmeans, log2 or binary.")
    activations: bool = Field(default=True, description="Quantize activations too; else weights alone.")
    repair: bool = Field(default=True, description="Refit each layer to the float network's outputs.")
    style: str = Field(default="runtime", description="runtime (ONNX Runtime, OpenVINO, TVM) or tensorrt.")
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of layers that stay in float.")
    equalize: bool = Field(default=True, description="Bring channels to like ranges first.")
    refine: bool = Field(default=False, description="Move ranges one by one while the metric gets better.")
    max_loss: float | None = Field(
        default=None, ge=0, description="Leave layers in float until the loss is at most that."
    )

    def used_scheme(self) -> Scheme:
        """Return the scheme: TensorRT's files are symmetric, whatever was asked for."""
        return Scheme(kind=self.scheme or ("symmetric" if self.style == "tensorrt" else "asymmetric"))


def check_symmetric(settings: QuantizeSettings, table: CalibrationTable | None) -> None:
    """Refuse ranges with zero points before they are looked for."""
    if table is not None:
        kind = table.scheme.kind
    elif settings.activations:
        kind = getattr(registry.load("calibrators", settings.calibrator), "kind", None) or settings.used_scheme().kind
    else:
        return
    if kind == "asymmetric":
        remedy = "Calibrate with --scheme symmetric or power-of-two."
        raise BadOption("TensorRT takes no zero points, but the scheme is asymmetric", remedy=remedy)


def quantize_options(model: ir.Model, settings: QuantizeSettings) -> QuantizeOptions:
    """Return the options of the pass, for `model`.

    Raises:
        BadOption: A setting is unknown, does not go with another, or names no layer.
    """
    if settings.style not in ("runtime", "tensorrt"):
        raise BadOption(f"style {settings.style!r} is unknown", remedy="Known: runtime, tensorrt.")
    layers = [label(node) for node in model.graph if node.op_type in LINEAR]
    load_codec(settings.codec)(PROBE, settings.weight_bits, False)  # an unknown codec or width is refused at once
    if settings.style == "tensorrt" and settings.weight_bits != 8:
        raise BadOption(
            f"weights of {settings.weight_bits} bits for TensorRT: its convolutions take 8", remedy="Leave them at 8."
        )
    excluded = set()
    for pattern in settings.exclude:
        matches = fnmatch.filter(layers, pattern)
        if not matches:
            raise BadOption(f"--exclude {pattern!r} matches no layer", remedy=_examples(layers))
        excluded.update(matches)
    return QuantizeOptions(
        weight_bits=settings.weight_bits,
        codec=settings.codec,
        activations=settings.activations,
        repair=settings.repair,
        style="tensorrt" if settings.style == "tensorrt" else "runtime",
        exclude=frozenset(excluded),
    )


def _examples(layers: Sequence[str]) -> str:
    return f"Layers are called {', '.join(layers[:4])} ..." if layers else "The model has no Conv, Gemm or MatMul."
