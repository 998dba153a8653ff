"""`TensorRTTarget`: writes the legalized model and the scripts that build, verify and time the engine on the board."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from edgec.errors import BadOption, InternalError, UnsupportedModel
from edgec.model.serialize import save, weight_bytes
from edgec.model.signature import TensorSpec, inputs_of, outputs_of
from edgec.profile import Profile
from edgec.record import Record
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from edgec.targets.base import Finding, Lowered, LoweringContext, Runner
from edgec.targets.board import Board
from edgec.targets.tensorrt.check import check, refusals
from edgec.targets.tensorrt.legalize import Rewrite, legalize
from edgec.targets.tensorrt.legalize.int64 import narrowed
from edgec.targets.tensorrt.legalize.names import plain_names
from edgec.targets.tensorrt.limits import Limits, limits_for
from edgec.targets.tensorrt.memory import needed_mib, workspace_mib
from edgec.targets.tensorrt.precision import check_precision, quantized_node, why_no_int8
from edgec.targets.tensorrt.runner import open_engine

MODEL = "model.onnx"
ON_BOARD = "onboard"
"""Folder of the artefact with the modules of build_engine.py."""
AT_TOP = ("build_engine.py", "build.sh")
SAME = 1e-4
"""Largest difference a rewrite may make to a float output, relative to its range: rounding, summed over a network."""


class TensorRTTarget:
    """Jetson boards. The engine itself can only be built on the board, by the TensorRT of its JetPack."""

    def profile(self, board: Board) -> Profile:
        """Return what the passes should know; channels go by 8 in tensor cores, by 2 in packed halves before them."""
        tensor_cores = board.gpu is not None and board.gpu.tensor_cores > 0
        return Profile(
            precisions=board.precisions,
            refused={} if "int8" in board.precisions else {"int8": why_no_int8(board)},
            channel_multiple=8 if tensor_cores else 2,
            max_opset=limits_for(tensorrt_of(board)).max_opset,
            quantization_style="tensorrt",
        )

    def check(self, model: ir.Model, board: Board) -> tuple[Finding, ...]:
        """Return one finding for every node: supported by the board's TensorRT, after which rewrite, or why not.

        Raises:
            BadOption: The board file lacks TensorRT's version.
        """
        limits = limits_for(tensorrt_of(board))
        return (*check_whole(model, limits, board), *check(model, limits))

    def lower(self, model: ir.Model, context: LoweringContext) -> Lowered:
        """Write model.onnx, legal for the board's TensorRT, and what builds the engine there.

        Raises:
            UnsupportedModel: A node, input or output is nothing for the board's TensorRT; names op, node and reason.
            BadOption: The precision is not to be had on the board, or the board file lacks TensorRT's version.
        """
        board, record = context.board, context.record
        limits = limits_for(tensorrt_of(board))
        for finding in check_whole(model, limits, board):
            raise UnsupportedModel(f"{finding.where}: {finding.reason}", remedy=finding.remedy)
        check_precision(model, context.options.precision, board)
        legal = model.clone()
        rewrites = legalize(legal, limits)
        _refuse_illegal(legal, limits, board)
        before = [value.name or "" for value in (*legal.graph.inputs, *legal.graph.outputs)]
        renamed = plain_names(legal)
        after = [value.name or "" for value in (*legal.graph.inputs, *legal.graph.outputs)]
        names = dict(zip(before, after, strict=True))
        _check_equal(model, legal, names, context)
        _note(record, legal, limits, rewrites, renamed)

        path = context.folder / MODEL
        save(legal, path)
        onnx.checker.check_model(str(path))
        _write_scripts(context.folder)
        return Lowered(
            {
                "model": MODEL,
                "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "names": {spec.name: names[spec.name] for spec in (*inputs_of(model), *outputs_of(model))},
                "tensorrt": tensorrt_of(board),
                "sm": board.gpu.sm if board.gpu is not None else 0,
                "precision": context.options.precision,
                "workspace_mib": workspace_mib(board),
                "needed_mib": needed_mib(board, weight_bytes(legal)),
            }
        )

    def open(
        self,
        folder: Path,
        board: Board,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        runtime: Mapping[str, Any],
        threads: int,
    ) -> Runner:
        """Load the engine in `folder`, built first if need be, if this machine is the board; `threads` is not used.

        Raises:
            CannotRunHere: This machine is not the board, or its TensorRT fails; the message says why.
        """
        return open_engine(folder, board, inputs, outputs)


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


def check_whole(model: ir.Model, limits: Limits, board: Board) -> tuple[Finding, ...]:
    """Return what is refused of the model as a whole: types of inputs and outputs, quantization without INT8."""
    taken = {"float32", "float16", "int32", "int64", "bool"} | ({"uint8"} if limits.has_uint8 else set())
    findings = []
    for kind, specs in (("input", inputs_of(model)), ("output", outputs_of(model))):
        for spec in specs:
            if spec.dtype not in taken:
                reason = f"it is {spec.dtype}; TensorRT {limits.version} takes {', '.join(sorted(taken))}"
                remedy = "Export the model with float32 inputs and outputs."
                findings.append(Finding(f"{kind} {spec.name!r}", "", "refused", reason, remedy))
    quantized = quantized_node(model)
    if quantized is not None and "int8" not in board.precisions:
        reason = f"{why_no_int8(board)}: a quantized network cannot be built"
        remedy = "Compile the model from before its quantization, with --precision fp16."
        findings.append(Finding(f"{quantized.op_type} node {quantized.name!r}", "", "refused", reason, remedy))
    return tuple(findings)


def _refuse_illegal(model: ir.Model, limits: Limits, board: Board) -> None:
    refused = refusals(model, limits)
    if not refused:
        return
    listed = "; ".join(f"{finding.op_type} node {finding.where!r}: {finding.reason}" for finding in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise UnsupportedModel(
        f"TensorRT {tensorrt_of(board)} on {board.name} cannot take {listed}{more}",
        remedy="Export the model without these operators, or compile for a board with a newer TensorRT.",
    )


def _check_equal(model: ir.Model, legal: ir.Model, names: dict[str, str], context: LoweringContext) -> None:
    """Compare the legalized model with the one given, by ONNX Runtime.

    Integer and boolean outputs are left out: an index flips where two scores differ by a rounding step.
    """
    feeds = context.golden_inputs
    expected = Reference(model).run(feeds)
    actual = Reference(legal).run({names[name]: array for name, array in feeds.items()})
    floats = {name: array for name, array in expected.items() if array.dtype.kind == "f"}
    comparison = compare(floats, {name: actual[names[name]] for name in floats})
    if not comparison.within(SAME):
        raise InternalError(f"making the model legal for TensorRT changed it: {comparison.worst}")


def _note(
    record: Record, model: ir.Model, limits: Limits, rewrites: tuple[Rewrite, ...], renamed: dict[str, str]
) -> None:
    counts = Counter(rewrite.done for rewrite in rewrites)
    changes = [f"{done} ({count} times)" if count > 1 else done for done, count in sorted(counts.items())]
    if renamed:
        changes.append(f"{len(renamed)} names with characters that TensorRT's tools stumble over replaced")
    record.ran("tensorrt.legalize", modified=bool(changes), changes=tuple(changes))
    narrow = [] if limits.has_int64 else narrowed(model)
    if narrow:
        note = f"{len(narrow)} INT64 constants are read as INT32, all fit"
        record.ran("tensorrt.int64", modified=False, changes=(note,))


def _write_scripts(folder: Path) -> None:
    source = resources.files("edgec.targets.tensorrt.board")
    (folder / ON_BOARD).mkdir()
    for entry in source.iterdir():
        if not entry.name.endswith((".py", ".sh")):
            continue
        place = folder if entry.name in AT_TOP else folder / ON_BOARD
        with resources.as_file(entry) as path:
            shutil.copyfile(path, place / entry.name)
    for name in AT_TOP:
        (folder / name).chmod(0o755)
