"""Records of what a board measured: `result.json` of the script, and the report of `edgec-run`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

READ = ConfigDict(frozen=True, extra="ignore")  # a newer script may write more fields


class Statistics(BaseModel):
    """Times of one part of an inference, in ms."""

    model_config = READ

    median: float
    p90: float
    p99: float
    min: float
    mean: float


class Output(BaseModel):
    """Error of an output relative to the golden one; None if it is not a number."""

    model_config = READ

    name: str
    max_abs_error: float | None
    error: float | None


class LayerTime(BaseModel):
    """Median time of one layer of the engine."""

    model_config = READ

    name: str
    ms: float


class Engine(BaseModel):
    """The engine that was built, and its origin."""

    model_config = READ

    model_sha256: str
    tensorrt: str
    sm: int
    device: str | None
    bytes: int


class BoardResult(BaseModel):
    """Result of the board; it contains times only if the outputs were right. CPU boards have no engine."""

    model_config = READ

    status: Literal["ok", "outputs differ"]
    engine: Engine | None = None
    machine: dict[str, Any]
    warnings: tuple[str, ...]
    outputs: tuple[Output, ...]
    runs: int = 0
    threads: int = 1
    latency_ms: dict[Literal["end_to_end", "copy_in", "compute", "copy_out"], Statistics] = {}
    throughput_per_s: float | None = None
    layers: tuple[LayerTime, ...] = ()
    """Times of layers, from `./build.sh --layers`."""

    @property
    def where(self) -> str:
        """Board and, if it has an engine, TensorRT version."""
        if self.engine is None:
            return str(self.machine.get("model") or self.machine.get("system") or "the board")
        return f"{self.engine.device or 'the board'}, TensorRT {self.engine.tensorrt} on sm_{self.engine.sm}"


class ScriptResult(BoardResult):
    """The result.json that the script writes, for boards with an engine."""

    engine: Engine


class RunOutput(BaseModel):
    """Error of an output in the self-test of `edgec-run`."""

    model_config = READ

    name: str
    error: float


class RunResult(BaseModel):
    """The report that `edgec-run --self-test --json` prints."""

    model_config = READ

    threads: int
    times_ms: tuple[float, ...] = Field(min_length=1)
    outputs: tuple[RunOutput, ...]
    passed: bool

    def statistics(self) -> Statistics:
        """Return the statistics of the times."""
        median, p90, p99 = (float(value) for value in np.percentile(self.times_ms, (50, 90, 99)))
        return Statistics(median=median, p90=p90, p99=p99, min=min(self.times_ms), mean=float(np.mean(self.times_ms)))
