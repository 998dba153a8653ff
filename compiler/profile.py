"""What a target states about itself so that the graph passes can serve it without knowing it by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Profile:
    """Needs of one board; given by `Target.profile`, read by `edgec.passes.pipeline`."""

    precisions: tuple[str, ...] = ("fp32",)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a precision is not among `precisions`, where there is more to say than that."""
    channel_multiple: int = 1
    """Widths that are a multiple of this are fast (vector width, tensor-core tile)."""
    max_opset: int | None = None
    """Newest ONNX opset the back end takes; None: any."""
    quantization_style: Literal["runtime", "tensorrt"] = "runtime"
    """Form of quantized networks: integer weights and zero points, or TensorRT's (symmetric, float weights)."""
