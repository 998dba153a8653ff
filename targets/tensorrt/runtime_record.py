"""Data for the loaders of a TensorRT artefact: the script on the board, edgec and the C++ runner."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edgec.targets.base import RuntimeRecord

FORBID = ConfigDict(frozen=True, extra="forbid")
ENGINE = "model.engine"
LATER = ("engine.json", "engine.json.part", "timing.cache", "timing.cache.part", "result.json", "result.json.part")
"""Files that the script on the board writes beside the engine."""


class Profile(BaseModel):
    """Shapes of an input with a varying batch: smallest, optimized, largest."""

    model_config = FORBID

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class LatencyEstimate(BaseModel):
    """Milliseconds of an inference and of its slowest layers, and the error to expect."""

    model_config = FORBID

    ms: float
    remark: str
    slowest_ms: dict[str, float]


class TensorRTRuntime(RuntimeRecord):
    """Runtime record of a model for TensorRT.

    Attributes:
        model, model_sha256: File from which the engine is built.
        names: Input or output -> its name in the engine.
        tensorrt: Version for which it was prepared, or with which it was built.
        sm: Compute capability; 0 if any is accepted.
        precision: Precision of the engine.
        fp32_layers: Layers that stay in FP32.
        calibration_cache: File with the scales for int8 without Q/DQ pairs.
        profiles: Profile of each input with a varying batch.
        workspace_mib, needed_mib: Memory that the builder may use, and that a build needs.
        estimate: Estimated latency.
        layers: Number of layers of the engine, if it was built on the host.
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
        """Return the model, and the calibration cache if there is one."""
        return (self.model, self.calibration_cache) if self.calibration_cache else (self.model,)
