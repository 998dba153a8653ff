"""`TensorRTTarget`: writes the legalized model and the scripts that build, verify and time the engine on the board."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from edgec.errors import BadOption
from edgec.model.cost import layer_costs
from edgec.model.serialize import save
from edgec.model.signature import inputs_of
from edgec.profile import Profile
from edgec.targets.base import LICENCES, Finding, Lowered, LoweringContext, RunContext, Runner
from edgec.targets.board import Board
from edgec.targets.native.licence import install_licence
from edgec.targets.tensorrt.batch import open_batch, profiles
from edgec.targets.tensorrt.calibration import cache_text
from edgec.targets.tensorrt.check import check
from edgec.targets.tensorrt.dla import with_devices
from edgec.targets.tensorrt.half import in_half
from edgec.targets.tensorrt.latency import estimate_for, summary
from edgec.targets.tensorrt.limits import limits_for
from edgec.targets.tensorrt.memory import needed_mib, refuse_too_large, workspace_mib
from edgec.targets.tensorrt.precision import why_no_int8
from edgec.targets.tensorrt.prepare import Prepared, check_whole, prepare
from edgec.targets.tensorrt.runner import open_engine
from edgec.targets.tensorrt.runtime_record import ENGINE, LATER, TensorRTRuntime

MODEL, CACHE = "model.onnx", "calibration.cache"
ON_BOARD = "onboard"
"""Folder of the artefact with the modules of build_engine.py."""
CPP = "cpp"
"""Folder of the artefact with the C++ runner."""
AT_TOP = ("build_engine.py", "build.sh")


class TensorRTTarget:
    """Jetson boards. The engine itself can only be built on the board, by the TensorRT of its JetPack."""

    runtime = TensorRTRuntime

    def profile(self, board: Board) -> Profile:
        """Return what the passes should know; channels go by 8 in tensor cores, by 2 in packed halves before them.

        Raises:
            BadOption: The board file lacks TensorRT's version, or it is none that edgec knows.
        """
        limits_for(tensorrt_of(board))
        tensor_cores = board.gpu is not None and board.gpu.tensor_cores > 0
        return Profile(
            precisions=board.precisions,
            refused={} if "int8" in board.precisions else {"int8": why_no_int8(board)},
            channel_multiple=8 if tensor_cores else 2,
            quantization_style="tensorrt",
            dynamic_batch=True,
            in_half=in_half,
            built_on_board=True,
            estimate=estimate_for(board),
        )

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Return one finding for every node: supported by the board's TensorRT, after which rewrite, or why not.

        Raises:
            BadOption: The board file lacks TensorRT's version.
        """
        limits = limits_for(tensorrt_of(board))
        return (*check_whole(model, limits, board), *with_devices(check(model, limits), model, board, limits))

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Write model.onnx, legal for the board's TensorRT, and what builds the engine there.

        Raises:
            UnsupportedModel: A node, input or output is nothing for the board's TensorRT; names op, node and reason.
            BadOption: The precision is not to be had on the board, or the board file lacks TensorRT's version.
        """
        board, version = context.board, tensorrt_of(context.board)
        limits = limits_for(version)
        ready = prepare(model, context, limits, version)
        batch = context.options.batch
        batches = batch[1] / batch[0] if batch else 1
        refuse_too_large(board, ready.model, batches)
        path = context.folder / MODEL
        feeds = {ready.names[name]: array for name, array in context.golden_inputs.items()}
        save(open_batch(ready.model, batch, feeds) if batch else ready.model, path)
        onnx.checker.check_model(str(path))
        if ready.ranges:
            (context.folder / CACHE).write_text(cache_text(ready.ranges, version), encoding="ascii")
        write_scripts(context.folder)
        write_runner(context.folder)
        install_licence(context.folder / LICENCES)
        return Lowered(
            {
                "model": MODEL,
                "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "names": ready.names,
                "tensorrt": version,
                "sm": board.gpu.sm if board.gpu is not None else 0,
                "precision": context.options.precision,
                "fp32_layers": [pin.where for pin in ready.half.pins],
                "calibration_cache": CACHE if ready.ranges else None,
                "profiles": profiles(ready.model, batch, ready.names) if batch else {},
                "workspace_mib": workspace_mib(board),
                "needed_mib": needed_mib(board, ready.model, batches),
                "estimate": _estimate(ready, board, context.options.precision),
            },
            ready.half.expected_error,
            (ENGINE, f"{ENGINE}.part", *LATER, f"{CPP}/build", f"{ON_BOARD}/__pycache__"),
            commands={"Build the engine, compare its outputs with those of ONNX Runtime, and measure it": "./build.sh"},
        )

    def open(self, context: RunContext) -> Runner:
        """Load the engine, built first if need be, if this machine is the board; `threads` is not used.

        Raises:
            CannotRunHere: This machine is not the board, or its TensorRT fails; the message says why.
        """
        return open_engine(context)


def tensorrt_of(board: Board) -> str:
    """Return the version of the board's TensorRT.

    Raises:
        BadOption: The record does not say it.
    """
    version = board.software.get("tensorrt")
    if version is None:
        raise BadOption(
            f"board {board.name}: no TensorRT version", remedy='Give the board file [software] with tensorrt = "8.2.1".'
        )
    return version


def _estimate(ready: Prepared, board: Board, precision: str) -> dict[str, Any] | None:
    estimate = estimate_for(board)
    if estimate is None:
        return None
    kept = {pin.where for pin in ready.half.pins}
    if precision == "int8":
        kept |= {node.name or "" for node in ready.model.graph if not _on_integers(node, ready.ranges)}
    return summary(estimate, layer_costs(ready.model), precision, kept, _batch(ready.model))


def _batch(model: ir.Model) -> int:
    """Return the first dimension of the inputs where they share one, else 1."""
    batches = {spec.shape[0] for spec in inputs_of(model) if spec.shape}
    return batches.pop() if len(batches) == 1 else 1


def _on_integers(node: ir.Node, ranges: Mapping[str, float]) -> bool:
    source = node.inputs[0] if node.inputs else None
    producer = None if source is None else source.producer()
    return (source is not None and source.name in ranges) or (
        producer is not None and producer.op_type == "DequantizeLinear"
    )


def write_scripts(folder: Path, at_top: Collection[str] = AT_TOP) -> None:
    """Write the modules that run on the board into `folder`, and of the programs those `at_top`."""
    source = resources.files("edgec.targets.tensorrt.board")
    (folder / ON_BOARD).mkdir()
    for entry in source.iterdir():
        if not entry.name.endswith((".py", ".sh")) or (entry.name in AT_TOP and entry.name not in at_top):
            continue
        place = folder if entry.name in AT_TOP else folder / ON_BOARD
        with resources.as_file(entry) as path:
            shutil.copyfile(path, place / entry.name)
    for name in at_top:
        (folder / name).chmod(0o755)


def write_runner(folder: Path) -> None:
    """Write the C++ runner's sources into `folder`."""
    (folder / CPP).mkdir()
    for package in ("edgec.targets.native", "edgec.targets.tensorrt.cpp"):
        for entry in resources.files(package).iterdir():
            if entry.name.endswith((".cc", ".hpp", ".txt")) and entry.name != "image_stb.cc":
                (folder / CPP / entry.name).write_bytes(entry.read_bytes())
