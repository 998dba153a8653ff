"""What a target states about itself so that the graph passes can serve it without knowing it by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Profile:
    """Needs of one board; given by `Target.profile`, read by `edgec.passes.pipeline`."""

    precisions: tuple[str, ...] = ("fp32",)
    channel_multiple: int = 1
    """Widths that are a multiple of this are fast (vector width, tensor-core tile)."""
    max_opset: int | None = None
    """Newest ONNX opset the back end takes; None: any."""
    quantization_style: Literal["runtime", "tensorrt"] = "runtime"
    """Form of quantized networks: integer weights and zero points, or TensorRT's (symmetric, float weights)."""
