"""Turns a canonical model into one that TensorRT builds correctly: legal, named, checked, with its precision chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgec.data.samples import spread
from edgec.data.source import open_samples
from edgec.errors import InternalError, UnsupportedModel
from edgec.model.signature import inputs_of, outputs_of
from edgec.profile import Feeds
from edgec.record import Record
from edgec.reference.compare import compare
from edgec.reference.expectation import rounding_noise
from edgec.reference.session import Reference
from edgec.targets.base import Finding, LoweringContext
from edgec.targets.board import Board
from edgec.targets.tensorrt.calibration import strip_pairs
from edgec.targets.tensorrt.check import FP64_REMEDY, refusals
from edgec.targets.tensorrt.half import HalfPlan, plan_half
from edgec.targets.tensorrt.legalize import Rewrite, fp64, legalize
from edgec.targets.tensorrt.legalize.int64 import narrowed
from edgec.targets.tensorrt.legalize.names import plain_names
from edgec.targets.tensorrt.limits import Limits
from edgec.targets.tensorrt.precision import check_precision, quantized_node, why_no_int8

SAME = 1e-4
"""Maximum change of a float output by the rewrites, relative to its range: rounding, summed over a network."""
PICTURES = 8
"""Number of the user's samples on which FP16 is emulated; values differ little between pictures, each takes seconds."""


@dataclass(frozen=True)
class Prepared:
    """A model to build, and how it is built.

    `names` maps inputs and outputs as compiled to those in the model; `half` says which layers stay in FP32, `ranges`
    contains the largest magnitude of each value, for int8 without Q/DQ pairs.
    """

    model: ir.Model
    names: dict[str, str]
    half: HalfPlan = field(default_factory=lambda: HalfPlan((), 0.0, 0.0))
    ranges: dict[str, float] = field(default_factory=dict)


def prepare(model: ir.Model, context: LoweringContext, limits: Limits, tensorrt: str) -> Prepared:
    """Make `model` (canonical, static shapes; not modified) legal for TensorRT `tensorrt` in the requested precision.

    Raises:
        UnsupportedModel: That TensorRT does not support a node, input or output; names operator, node and reason.
        BadOption: The board does not support the precision.
    """
    board, precision = context.board, context.options.precision
    for finding in check_whole(model, limits, board):
        raise UnsupportedModel(f"{finding.where}: {finding.reason}", remedy=finding.remedy)
    check_precision(model, precision, board)
    legal = model.clone()
    rewrites = legalize(legal, limits)
    _refuse_illegal(legal, limits, f"TensorRT {tensorrt} on {board.name}")
    before = [value.name or "" for value in (*legal.graph.inputs, *legal.graph.outputs)]
    renamed = plain_names(legal)
    after = [value.name or "" for value in (*legal.graph.inputs, *legal.graph.outputs)]
    names = dict(zip(before, after, strict=True))
    _check_equal(model, legal, names, context, narrowed_floats=any(rewrite.done == fp64.DONE for rewrite in rewrites))
    _note_rewrites(context.record, legal, limits, rewrites, renamed)
    ranges = strip_pairs(legal) if precision == "int8" and not limits.has_explicit_int8 else {}
    half = HalfPlan((), 0.0, 0.0)
    if precision != "fp32":
        with context.record.stage("emulate fp16"):
            half = plan_half(legal, _samples(model, names, context))
        _note_half(context.record, half)
    wanted = {spec.name: names[spec.name] for spec in (*inputs_of(model), *outputs_of(model))}
    return Prepared(legal, wanted, half, ranges)


def check_whole(model: ir.Model, limits: Limits, board: Board) -> tuple[Finding, ...]:
    """Return the refusals that concern the whole model: types of inputs and outputs, quantization without INT8."""
    taken = {"float32", "float16", "int32", "int64", "bool"} | ({"uint8"} if limits.has_uint8 else set())
    findings = []
    for kind, specs in (("input", inputs_of(model)), ("output", outputs_of(model))):
        for spec in specs:
            if spec.dtype not in taken:
                reason = f"it is {spec.dtype}, but TensorRT {limits.version} supports {', '.join(sorted(taken))}"
                remedy = "Export the model with float32 inputs and outputs."
                findings.append(Finding(f"{kind} {spec.name!r}", "", "refused", reason, remedy))
    quantized = quantized_node(model)
    if quantized is not None and "int8" not in board.precisions:
        reason = f"{why_no_int8(board)}: a quantized network cannot be built"
        remedy = "Compile the model from before its quantization, with --precision fp16."
        findings.append(Finding(f"{quantized.op_type} node {quantized.name!r}", "", "refused", reason, remedy))
    return tuple(findings)


def _refuse_illegal(model: ir.Model, limits: Limits, where: str) -> None:
    refused = refusals(model, limits)
    if not refused:
        return
    listed = "; ".join(f"{finding.op_type} node {finding.where!r}: {finding.reason}" for finding in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    raise UnsupportedModel(f"{where} does not support {listed}{more}", remedy=refused[0].remedy)


def _check_equal(
    model: ir.Model, legal: ir.Model, names: dict[str, str], context: LoweringContext, *, narrowed_floats: bool
) -> None:
    """Compare the legalized model, by ONNX Runtime, with the original one, on the first golden input.

    Integer and boolean outputs are left out, because an index changes if two scores differ by a rounding step.

    Raises:
        UnsupportedModel: They differ, and FP64 was written as FP32: the model needs FP64.
        InternalError: They differ, although only the form should have changed.
    """
    feeds = context.golden_inputs
    expected = Reference(model).run(feeds)
    actual = Reference(legal).run({names[name]: array for name, array in feeds.items()})
    floats = {name: array for name, array in expected.items() if array.dtype.kind == "f"}
    comparison = compare(floats, {name: actual[names[name]] for name in floats})
    if not comparison.within(SAME):
        comparison = comparison.with_noise(rounding_noise(model, [feeds], [expected]))
    if not comparison.within(SAME):
        if narrowed_floats:
            raise UnsupportedModel(
                f"the model needs float64; in FP32 its outputs differ: {comparison.worst}", remedy=FP64_REMEDY
            )
        raise InternalError(f"making the model legal for TensorRT changed it: {comparison.worst}")


def _samples(model: ir.Model, names: Mapping[str, str], context: LoweringContext) -> Iterator[Feeds]:
    """Yield inputs of the legalized model: the golden inputs, and pictures of the user's data if there are any."""
    for feeds in context.samples:
        yield {names[name]: np.asarray(array) for name, array in feeds.items()}
    if context.options.measuring.data is None:
        return
    pictures = open_samples(context.options.measuring.data, inputs_of(model), context.options.preprocess)
    for sample in spread(pictures, PICTURES):
        yield {names[name]: array for name, array in sample.inputs.items()}


def _note_rewrites(
    record: Record, model: ir.Model, limits: Limits, rewrites: tuple[Rewrite, ...], renamed: dict[str, str]
) -> None:
    counts = Counter(rewrite.done for rewrite in rewrites)
    changes = [f"{done} ({count} times)" if count > 1 else done for done, count in sorted(counts.items())]
    if renamed:
        changes.append(f"{len(renamed)} names with characters that TensorRT's tools cannot read replaced")
    record.ran("tensorrt.legalize", modified=bool(changes), changes=tuple(changes))
    narrow = [] if limits.has_int64 else narrowed(model)
    if narrow:
        note = f"{len(narrow)} INT64 constants are read as INT32; all of them fit"
        record.ran("tensorrt.int64", modified=False, changes=(note,))


def _note_half(record: Record, half: HalfPlan) -> None:
    change = f"FP16 emulated here is off by {half.loss:.1e} of an output's range"
    if half.pins:
        change += f", with {len(half.pins)} layers in FP32; {half.loss_unpinned:.1e} without"
    record.ran("tensorrt.fp16", modified=bool(half.pins), changes=(change,))
    for pin in half.pins:
        record.refuse("tensorrt.fp16", pin.where, f"stays in FP32: {pin.reason}")
