"""`compress`: prune and quantize the network of a compilation, as far as the accepted loss allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgec.compress.pruner import Pruned
from edgec.compress.pruning_stage import Pruner
from edgec.compress.quantization import QuantizeSettings, Result, quantize_model
from edgec.compress.sensitivity_report import SensitivityReport
from edgec.compress.trial import Trial
from edgec.errors import BadOption
from edgec.model.cost import layer_costs
from edgec.model.infer import infer_shapes
from edgec.model.serialize import weight_bytes
from edgec.options import CompileOptions
from edgec.passes.prepare import prepare
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.quantization import CalibrationTable
from edgec.record import Compression, Record, Step

AIM = 0.7
"""Share of the accepted loss that is aimed at on the samples decided on. The largest compression that looks good enough
there is likelier to be one that these samples flatter than one that they wrong."""
PRUNING = 0.5
"""Share of that for pruning, where quantization follows; quantization has all that pruning leaves."""
ROUNDS = 4
"""Each but the first with half of the loss of the one before, after the held-out samples refused that."""


@dataclass(frozen=True, eq=False)
class Compressed:
    """The network, and how it came about.

    Attributes:
        model: What is compiled.
        original: As it was, in the same form, before.
        precision: What it runs in.
        network: The pruned network in floats, before its quantization.
        pruned: What pruning did.
        quantized: What quantization did.
        sensitivity: What pruning was decided by.
        trial: The data.
    """

    model: ir.Model
    original: ir.Model
    precision: str
    network: ir.Model
    pruned: Pruned | None
    quantized: Result | None
    sensitivity: SensitivityReport | None
    trial: Trial

    @property
    def in_float(self) -> frozenset[str]:
        """Names of the layers that do not run on integers."""
        names = (layer.name for layer in layer_costs(self.network))
        return frozenset(names) - frozenset(self.quantized.quantized.placement.layers if self.quantized else ())


def wanted(options: CompileOptions, profile: Profile) -> CompileOptions:
    """Return the settings with what an accepted loss implies: pruning, and integers if they are faster on the board.

    An explicit precision stays; with int8 the loss is quantization's alone, unless pruning is asked for too.

    Raises:
        BadOption: A loss, or pruning by data, is asked for without data.
    """
    if options.max_loss is None:
        if options.prune is not None and not options.prune.goals:
            raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
        return options
    if options.data is None:
        raise BadOption("--max-loss needs pictures to measure the loss on", remedy="Give --data.")
    chosen = "precision" in options.model_fields_set
    if options.prune is None and chosen and options.precision == "int8":
        return options
    precision = options.precision if chosen else "fp32" if _why_no_integers(profile) else "int8"
    return options.model_copy(update={"prune": options.prune or PruneOptions(), "precision": precision})


def check_scales(options: CompileOptions) -> None:
    """Refuse, before long work, a calibration table that could not be used.

    Args:
        options: As `wanted` returns them.

    Raises:
        BadOption: Nothing is quantized, the network is pruned before, or the table cannot be read.
    """
    if options.scales is None:
        return
    if options.precision != "int8" or options.data is None:
        raise BadOption(f"--scales {options.scales}: nothing is quantized", remedy="Give --precision int8 and --data.")
    if options.prune is not None:
        raise BadOption("--scales is of the network before pruning", remedy="Leave it out: it is calibrated anew.")
    CalibrationTable.read(options.scales)


def _why_no_integers(profile: Profile) -> str | None:
    """Return why an accepted loss is not spent on integers; None if it is."""
    if "int8" in profile.precisions:
        return None
    return profile.refused.get("int8", "the board's record does not offer int8")


def compress(
    model: ir.Model,
    options: CompileOptions,
    profile: Profile,
    record: Record,
    *,
    path: Path | None,
    journal: Path,
) -> Compressed:
    """Prune and quantize `model`, measure, and keep the accepted loss on samples that nothing was decided on.

    All is decided on one part of the data. If the other part says that more than the accepted loss is gone, it is done
    anew with half of the loss; if that fails too, the network stays as it was.

    Args:
        model: In canonical form, float.
        options: As `wanted` returns them.
        profile: Of the board.
        record: Takes what was done, what was not and why, and what each step cost.
        path: File of the model, which a decoder may read metadata from.
        journal: Where the sensitivities are kept as they come, so that an interrupted run goes on.

    Raises:
        EdgecError: Data, metric, decoder, table or a goal are wrong, or cannot be kept.
    """
    original = prepare(model)
    trial = Trial.open(original, options, path)
    pruner = None if options.prune is None else Pruner(original, options, profile, trial, record, journal)
    if options.max_loss is None:
        done = _round(original, options, profile, record, trial, pruner, None)
        return _finished(done, options, profile, record, rounds=1)
    before = trial.judge(original, original)
    aim = AIM * options.max_loss
    for rounds in range(1, ROUNDS + 1):
        done = _round(original, options, profile, record, trial, pruner, aim)
        with record.stage("check on held-out samples"):
            after = trial.judge(done.model, original)
        if after.loss_against(before) <= options.max_loss:
            return _finished(done, options, profile, record, rounds, before.value, after.value, before.higher_is_better)
        aim /= 2
    if options.prune is not None and options.prune.goals:
        lost = after.loss_against(before)
        raise BadOption(f"what --prune removes loses {lost:.4f} on held-out samples", remedy="Remove less.")
    record.refuse("compress", "network", f"{ROUNDS} rounds lost more than accepted on the held-out samples")
    precision = "fp32" if options.precision == "int8" else options.precision
    done = Compressed(original, original, precision, original, None, None, done.sensitivity, trial)
    return _finished(done, options, profile, record, ROUNDS, before.value, before.value, before.higher_is_better)


def _round(
    original: ir.Model,
    options: CompileOptions,
    profile: Profile,
    record: Record,
    trial: Trial,
    pruner: Pruner | None,
    aim: float | None,
) -> Compressed:
    """Prune and quantize, so that at most `aim` is lost on the samples decided on."""
    integers = options.precision == "int8"
    network, spent, pruned = original, 0.0, None
    if pruner is not None:
        share = None if aim is None else aim * (PRUNING if integers else 1)
        pruned = pruner.prune(share)
        network, spent = pruned.model, max(pruned.loss or 0.0, 0.0)
    if not integers:
        sensitivity = pruner.sensitivity if pruner else None
        return Compressed(network, original, options.precision, network, pruned, None, sensitivity, trial)
    settings = QuantizeSettings(
        calibrator=options.calibrator,
        style=profile.quantization_style,
        weight_bits=profile.weight_bits,
        max_loss=None if aim is None else max(aim - spent, 0.0),
    )
    result = quantize_model(
        network,
        trial.decide,
        settings,
        table=CalibrationTable.read(options.scales) if options.scales else None,
        metric=None if options.metric is None and aim is None else trial.metric,
        context=trial.context,
        threads=options.threads,
        stage=record.listener,
    )
    infer_shapes(result.quantized.model)  # back ends ask for the cost of its layers
    placed = bool(result.quantized.placement.layers)
    model, precision = (result.quantized.model, "int8") if placed else (network, "fp32")
    sensitivity = pruner.sensitivity if pruner else None
    return Compressed(model, original, precision, network, pruned, result, sensitivity, trial)


def _finished(
    done: Compressed,
    options: CompileOptions,
    profile: Profile,
    record: Record,
    rounds: int,
    before: float | None = None,
    after: float | None = None,
    higher_is_better: bool = True,
) -> Compressed:
    """Note what was done."""
    if done.pruned is not None:
        _note_pruning(done.pruned, record)
    if done.quantized is not None:
        _note_quantization(done.quantized, record, len(done.trial.decide))
    elif options.max_loss is not None and (reason := _why_no_integers(profile)):
        record.refuse("quantize", "network", reason)
    if options.max_loss is not None and done.precision == "fp32" and "fp16" in profile.precisions:
        record.refuse("compress", "network", "what fp16 loses is not measured here; --precision fp16 asks for it")
    held_out = done.trial.held_out
    record.compression = Compression(
        metric=done.trial.metric,
        higher_is_better=higher_is_better,
        accepted=options.max_loss,
        decided_on=len(done.trial.decide),
        held_out=0 if held_out is None else len(held_out),
        before=before,
        after=after,
        rounds=rounds,
        steps=tuple(_steps(done, profile)),
    )
    return done


def _steps(done: Compressed, profile: Profile) -> Sequence[Step]:
    def step(name: str, loss: float | None, model: ir.Model, network: ir.Model, precision: str) -> Step:
        layers = layer_costs(network)
        seconds = None
        if profile.estimate is not None:
            seconds = sum(profile.estimate(layers, precision, done.in_float if precision == "int8" else ()))
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


def _note_quantization(result: Result, record: Record, samples: int) -> None:
    layers, table = len(result.quantized.placement.layers), result.table
    changes = [f"{layers} layers on integers, calibrated by {table.calibrator if table else 'none'}, {samples} samples"]
    if result.loss is not None:
        changes.append(f"measured loss {result.loss:.5f}")
    changes += table.notes if table is not None else ()
    record.ran("quantize", modified=layers > 0, changes=tuple(changes))
    costs = {layer.name: layer for layer in result.float_layers}
    for where, reason in result.quantized.refusals:
        layer = costs.get(where)
        why = f"its loss on integers is {layer.gain:.5f}, its share of the MACs {layer.macs:.1%}" if layer else reason
        record.refuse("quantize", where, why)
