"""A target: the artefact holds the canonical ONNX model and runs it by ONNX Runtime. The smallest possible back end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from edgec.model.signature import TensorSpec
from edgec.profile import Profile
from edgec.reference.onnx_runtime import ort
from edgec.targets.base import Closing, Finding, Lowered, LoweringContext, RunContext, RuntimeRecord
from edgec.targets.board import Board

Array = np.ndarray[Any, Any]


class Runtime(RuntimeRecord):
    """What `open` needs to know."""

    file: str

    def files(self) -> tuple[str, ...]:
        """Return the model."""
        return (self.file,)


class OnnxCopyTarget:
    """Back end `onnx-copy`; `board.toml` beside this file is a board that names it."""

    runtime = Runtime

    def profile(self, board: Board) -> Profile:
        """Ask the passes for nothing special."""
        return Profile(precisions=board.precisions)

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Every node is supported."""
        return tuple(Finding(node.name or "", node.op_type, "supported") for node in model.graph.all_nodes())

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Write the model as it is."""
        ir.save(model, context.folder / "model.onnx")
        return Lowered({"file": "model.onnx"})

    def open(self, context: RunContext) -> OnnxRunner:
        """Load it in ONNX Runtime."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = context.threads
        file = context.folder / context.runtime["file"]
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return OnnxRunner(session, context.inputs, context.outputs)


class OnnxRunner(Closing):
    """Runs an ONNX Runtime session."""

    description = "onnxruntime"

    def __init__(self, session: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.session, self.inputs, self.outputs = session, inputs, outputs

    def close(self) -> None:
        """Free the session."""
        self.session = None

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference."""
        names = [spec.name for spec in self.outputs]
        return dict(zip(names, self.session.run(names, dict(feeds)), strict=True))

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the wall time of each run in seconds."""
        times = []
        for _ in range(warmup + runs):
            start = time.perf_counter()
            self.run(feeds)
            times.append(time.perf_counter() - start)
        return times[warmup:]
