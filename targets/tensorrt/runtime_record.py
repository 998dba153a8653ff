"""What the loaders of a TensorRT artefact need to know: the script on the board, edgec and the C++ runner."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edgec.targets.base import RuntimeRecord

FORBID = ConfigDict(frozen=True, extra="forbid")
ENGINE = "model.engine"
LATER = ("engine.json", "engine.json.part", "timing.cache", "timing.cache.part", "result.json", "result.json.part")
"""Files that the script on the board writes beside the engine."""


class Profile(BaseModel):
    """Shapes of an input whose batch may vary: smallest, the one to be fastest for, largest."""

    model_config = FORBID

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class LatencyEstimate(BaseModel):
    """Milliseconds of an inference and of its slowest layers, and how far to trust them."""

    model_config = FORBID

    ms: float
    remark: str
    slowest_ms: dict[str, float]


class TensorRTRuntime(RuntimeRecord):
    """Of a model for TensorRT.

    Attributes:
        model, model_sha256: The file the engine is built from.
        names: Input or output -> its name in the engine.
        tensorrt: Version it was prepared for, or built with.
        sm: Compute capability; 0 where any will do.
        precision: Of the engine.
        fp32_layers: Those that stay in FP32.
        calibration_cache: File with the scales of int8 without Q/DQ.
        profiles: By input.
        workspace_mib, needed_mib: What the builder may use, and what a run needs.
        estimate: Of the latency.
        layers: Of the engine, where it was built on the host.
    """

    model: str
    model_sha256: str
    names: dict[str, str]
    tensorrt: str
    sm: int = Field(ge=0)
    precision: str
    fp32_layers: tuple[str, ...] = ()
    calibration_cache: str | None = None
    profiles: dict[str, Profile] = Field(default_factory=dict)
    workspace_mib: int = Field(ge=0)
    needed_mib: int = Field(ge=0)
    estimate: LatencyEstimate | None = None
    layers: int = 0

    def files(self) -> tuple[str, ...]:
        """Return the model, and the scales where there are some."""
        return (self.model, self.calibration_cache) if self.calibration_cache else (self.model,)
