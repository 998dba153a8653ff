"""`RtxTarget`: engines for RTX GPUs, built on this machine, which needs no GPU."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from edgec.child_process import run_child
from edgec.errors import CannotRunHere, InternalError, MissingDependency, UnsupportedModel
from edgec.model.serialize import save
from edgec.profile import Profile
from edgec.scratch import temporary_folder
from edgec.targets.base import LICENCES, Finding, Lowered, LoweringContext, RunContext, Runner
from edgec.targets.board import Board
from edgec.targets.native.licence import install_licence
from edgec.targets.tensorrt.batch import open_batch, profiles
from edgec.targets.tensorrt.check import check
from edgec.targets.tensorrt.half import in_half
from edgec.targets.tensorrt.limits import limits_for
from edgec.targets.tensorrt.memory import needed_mib, refuse_too_large, workspace_mib
from edgec.targets.tensorrt.prepare import check_whole, prepare
from edgec.targets.tensorrt.rtx_run import open_runner
from edgec.targets.tensorrt.runner import TensorRTRunner
from edgec.targets.tensorrt.runtime_record import ENGINE, TensorRTRuntime
from edgec.targets.tensorrt.target import MODEL, ON_BOARD, tensorrt_of, write_scripts
from edgec.targets.tensorrt.typed import to_half

PROGRAM = "run_engine.py"
BUILD = Path(__file__).with_name("rtx_build.py")
"""Script that is run by its path: as a module it would import all of edgec first."""


class RtxTarget:
    """PCs and edge boxes with an RTX GPU. The precision is in the model: FP16 and int8 as the ONNX file says."""

    runtime = TensorRTRuntime

    def profile(self, board: Board) -> Profile:
        """Return the profile of the board, with tensor cores.

        Raises:
            BadOption: The board file lacks TensorRT's version, or edgec does not know the version.
        """
        limits_for(tensorrt_of(board))
        return Profile(
            precisions=board.precisions,
            channel_multiple=8,
            quantization_style="tensorrt",
            dynamic_batch=True,
            in_half=in_half,
        )

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Return one finding for every node."""
        limits = limits_for(tensorrt_of(board))
        return (*check_whole(model, limits, board), *check(model, limits))

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Write model.onnx, model.engine built from it, and the runner.

        Raises:
            UnsupportedModel: A node is nothing for TensorRT, or its parser or builder refuses the model.
            BadOption: The precision does not fit the model.
            MissingDependency: Neither `tensorrt_rtx` nor a `tensorrt` that builds without a GPU is installed.
        """
        board, version = context.board, tensorrt_of(context.board)
        ready = prepare(model, context, limits_for(version), version)
        batch = context.options.batch
        batches = batch[1] / batch[0] if batch else 1
        refuse_too_large(board, ready.model, batches)
        pinned = [pin.where for pin in ready.half.pins]
        final = to_half(ready.model, pinned) if context.options.precision == "fp16" else ready.model
        shapes = profiles(final, batch, ready.names) if batch else {}
        if batch:
            feeds = {ready.names[name]: array for name, array in context.golden_inputs.items()}
            final = open_batch(final, batch, feeds)
        path = context.folder / MODEL
        save(final, path)
        onnx.checker.check_model(str(path))
        with context.record.stage("build engine"):
            by_bound_name = {ready.names[name]: profile for name, profile in shapes.items()}
            built = build_engine(path, context.folder / ENGINE, workspace_mib(board), by_bound_name)
        write_scripts(context.folder, ())
        install_licence(context.folder / LICENCES)
        with resources.as_file(resources.files("edgec.targets.tensorrt") / "rtx_run.py") as script:
            shutil.copyfile(script, context.folder / PROGRAM)
        (context.folder / PROGRAM).chmod(0o755)
        return Lowered(
            {
                "model": MODEL,
                "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "names": ready.names,
                "tensorrt": built["version"],
                "sm": 0,
                "precision": context.options.precision,
                "fp32_layers": pinned,
                "layers": built["layers"],
                "profiles": shapes,
                "workspace_mib": workspace_mib(board),
                "needed_mib": needed_mib(board, ready.model, batches),
            },
            ready.half.expected_error,
            ("result.json", f"{ON_BOARD}/__pycache__"),
            commands={"Compare the engine's outputs with those of ONNX Runtime, and measure it": f"./{PROGRAM}"},
        )

    def open(self, context: RunContext) -> Runner:
        """Load the engine on this machine's RTX GPU; `threads` is not used.

        Raises:
            CannotRunHere: TensorRT, CUDA or the GPU is missing.
        """
        try:
            engine = open_runner(str(context.folder), "edgec.targets.tensorrt.board")
        except Exception as error:  # TensorRT, CUDA and their loaders raise whatever they like
            remedy = f"Copy {context.folder} to a machine with an RTX GPU and run ./{PROGRAM} there."
            raise CannotRunHere(f"no TensorRT engine can run here: {error}", remedy=remedy) from error
        return TensorRTRunner(engine, context, f"TensorRT {context.runtime['tensorrt']}")


def build_engine(
    model: Path, engine: Path, workspace: int, profiles: Mapping[str, Mapping[str, list[int]]] | None = None
) -> dict[str, Any]:
    """Build the ONNX file `model` into `engine`, in another process; return `version`, `layers`, `bytes`.

    Args:
        model: Path of the file.
        engine: Path to write.
        workspace: MiB that the builder may use.
        profiles: Of inputs whose batch varies: name in the model -> min, opt, max.

    Raises:
        MissingDependency, UnsupportedModel: See `RtxTarget.lower`.
        InternalError: The process died.
    """
    command = [sys.executable, str(BUILD), str(model), str(engine), str(workspace), json.dumps(profiles or {})]
    with temporary_folder() as scratch:
        process = run_child(command, temporary=scratch)
    lines = [line for line in process.stdout.splitlines() if line.startswith("{")]
    if not lines:
        said = (process.stderr.strip().splitlines() or [f"it ended with code {process.returncode}"])[-1]
        if "CUDA" in process.stderr:
            raise MissingDependency(
                f"this TensorRT builds only where there is a GPU: {said}", remedy="pip install tensorrt-rtx"
            )
        raise InternalError(f"building the engine failed: {said}")
    result: dict[str, Any] = json.loads(lines[-1])
    if "missing" in result:
        raise MissingDependency(
            f"engines for RTX GPUs need TensorRT for RTX: {result['missing']}", remedy="pip install tensorrt-rtx"
        )
    if "errors" in result:
        raise UnsupportedModel(
            f"TensorRT cannot build the model: {'; '.join(result['errors'])}",
            remedy="`edgec check --target rtx` says of every node what is known of it.",
        )
    return result
