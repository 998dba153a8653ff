"""`QuantizeOptions`: the user's settings for quantizing a network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

Kind = Literal["asymmetric", "symmetric", "power-of-two"]
"""Quantization schemes; see `edgec.quantization.Scheme`."""
Style = Literal["runtime", "tensorrt"]
"""runtime: integer weights in the file, biases as int32 (ONNX Runtime, OpenVINO, TVM). tensorrt: float weights in
front of a QuantizeLinear/DequantizeLinear pair and float biases, as TensorRT 8 reads them."""

Refinement = Literal["outputs", "metric"]
"""Searches that move ranges after calibration; see `edgec.compress.refine_ranges`."""


class QuantizeOptions(BaseModel):
    """Settings of a quantization: flags of `edgec quantize`, and the table `[quantize]` of edgec.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    calibrator: str = Field(
        default="mse",
        description="Method that finds the ranges: minmax, moving-average, percentile, mse, kl, adaptive-kl, "
        "adaptive-kl-count, fixed-point, or module:Class.",
    )
    scales: Path | None = Field(
        default=None, description="Calibration table, possibly edited, which is used instead of calibrating."
    )
    scheme: Kind | None = Field(
        default=None,
        description="Scheme of the activations: asymmetric (default), symmetric (TensorRT's), or power-of-two.",
    )
    weight_bits: int = Field(default=8, ge=1, le=8, description="Width of the weights in bits: 8, 4, 3, 2; binary: 1.")
    codec: str = Field(
        default="linear", description="How the weights are stored: linear, kmeans, log2, binary, or module:function."
    )
    activations: bool = Field(default=True, description="Quantize the activations too, not the weights alone.")
    equalize: bool = Field(default=True, description="Equalize the ranges of a tensor's channels before calibrating.")
    repair: bool = Field(default=True, description="Refit the weights of each layer to the float network's outputs.")
    style: Style = Field(
        default="runtime",
        description="Form of the file: runtime (ONNX Runtime, OpenVINO, TVM) or tensorrt; compile uses the board's.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Patterns (*, ?) of names of layers that stay in floating point."
    )
    refine: Refinement | None = Field(
        default=None,
        description="Move ranges one by one: `outputs` follows the error of the outputs while the metric does not get "
        "worse, `metric` follows the metric alone.",
    )
    max_loss: float | None = Field(
        default=None, ge=0, description="Leave layers in floating point until the measured loss is at most this."
    )


class QuantizeFields(TypedDict, total=False):
    """The fields of `QuantizeOptions`, for calls that take them by name."""

    calibrator: str
    scales: Path | None
    scheme: Kind | None
    weight_bits: int
    codec: str
    activations: bool
    equalize: bool
    repair: bool
    style: Style
    exclude: tuple[str, ...]
    refine: Refinement | None
    max_loss: float | None
