"""`note`: writes the results of compression into the record of a compilation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgec.compress.compressed import Compressed
from edgec.compress.pruner import Pruned
from edgec.compress.quantization import Quantization
from edgec.compress.settings import why_no_integers
from edgec.data.metrics.base import MetricResult
from edgec.evaluation.task import describe_loss
from edgec.model.cost import layer_costs
from edgec.model.serialize import weight_bytes
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.progress import logger
from edgec.record import Compression, Record, Step


@dataclass(frozen=True)
class Promise:
    """How an accepted loss was kept: number of rounds, and the metric on the held-out samples before and after."""

    rounds: int
    before: MetricResult
    after: MetricResult


def note(
    done: Compressed, options: CompileOptions, profile: Profile, record: Record, promise: Promise | None = None
) -> None:
    """Record what was done, what was not and why, and the cost and gain of each step."""
    task, held_out = done.tasks.decide, done.tasks.held_out
    if done.pruned is not None:
        _note_pruning(done.pruned, record)
    if done.quantized is not None:
        _note_quantization(done.quantized, record, len(task.samples))
    elif options.has_promise and (reason := why_no_integers(profile)):
        record.refuse("quantize", "network", reason)
    if done.halves is not None:
        pinned = len(done.in_float)
        change = f"fp16, its measured loss emulated here is {done.halves.loss:.5f}"
        record.ran("fp16", modified=True, changes=(change + (f", {pinned} layers in fp32" if pinned else ""),))
    elif options.has_promise and done.precision == "fp32" and "fp16" in profile.precisions:
        lossy = "fp16 loses more than is accepted" if options.max_latency is None else "fp32 loses less in the time"
        reason = lossy if profile.in_half else "fp16 was not tried, because edgec does not estimate its time here"
        record.refuse("compress", "network", f"{reason}; --precision fp16 selects it all the same")
    record.compression = Compression(
        metric=task.metric,
        higher_is_better=True if promise is None else promise.before.higher_is_better,
        accepted=options.max_loss,
        decided_on=len(task.samples),
        held_out=0 if held_out is None else len(held_out.samples),
        before=None if promise is None else promise.before.value,
        after=None if promise is None else promise.after.value,
        rounds=1 if promise is None else promise.rounds,
        steps=tuple(_steps(done, profile)),
    )


def _steps(done: Compressed, profile: Profile) -> Sequence[Step]:
    def step(name: str, loss: float | None, model: ir.Model, network: ir.Model, precision: str) -> Step:
        layers = layer_costs(network)
        seconds = None
        if profile.estimate is not None:
            seconds = sum(profile.estimate(layers, precision, done.in_float if precision == done.precision else ()))
        return Step(name, loss, sum(layer.macs for layer in layers), weight_bytes(model), seconds)

    steps = [step("original", 0.0, done.original, done.original, "fp32")]
    lost: float | None = 0.0
    if done.pruned is not None:
        lost = done.pruned.loss
        steps.append(step("prune", lost, done.network, done.network, "fp32"))
    if done.quantized is not None:
        more = done.quantized.loss
        steps.append(
            step("quantize", None if lost is None or more is None else lost + more, done.model, done.network, "int8")
        )
    if done.halves is not None:
        steps.append(step("fp16", done.halves.loss, done.network, done.network, "fp16"))
    return steps


def _note_pruning(pruned: Pruned, record: Record) -> None:
    before, after = pruned.cost_before, pruned.cost_after
    changes = [
        f"{name}: {group.units} to {group.units - len(group.removed)}" for name, group in pruned.plan.groups.items()
    ]
    saved = f"MACs {after.macs / max(before.macs, 1) - 1:+.1%}, weights {after.parameters / before.parameters - 1:+.1%}"
    loss = "" if pruned.loss is None else f", measured loss {pruned.loss:.5f}"
    record.ran("prune", modified=bool(changes), changes=(saved + loss, *changes))
    for blocked in pruned.channels.blocked:
        record.refuse("prune", blocked.layer, blocked.reason)


def _note_quantization(result: Quantization, record: Record, samples: int) -> None:
    layers, table = len(result.quantized.placement.layers), result.table
    changes = [f"{layers} layers on integers, calibrated by {table.calibrator if table else 'none'}, {samples} samples"]
    if result.loss is not None:
        changes.append(describe_loss(result.metric, result.loss))
    if result.unmeasured:
        record.refuse("quantize", "network", f"its loss was not measured: {result.unmeasured}")
    for found in table.notes if table is not None else ():
        changes.append(found)
        logger.warning(found)
    record.ran("quantize", modified=layers > 0, changes=tuple(changes))
    costs = {layer.name: layer for layer in result.float_layers}
    for where, reason in result.quantized.refusals:
        layer = costs.get(where)
        why = f"its loss as integers is {layer.gain:.5f}, its share of the MACs {layer.macs:.1%}" if layer else reason
        record.refuse("quantize", where, why)
