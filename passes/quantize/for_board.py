"""`quantize_for_board`: the quantization of a compilation, by its settings and what the board's back end takes."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from edgec.data.decoders.read import read_decoder
from edgec.data.metrics.base import MetricContext
from edgec.data.samples import spread
from edgec.data.source import open_samples
from edgec.errors import BadOption
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.passes.prepare import prepare
from edgec.passes.quantize.workflow import QuantizeSettings, Result, quantize_model
from edgec.profile import Profile
from edgec.quantization import CalibrationTable
from edgec.record import Record

STEP = "quantize"


def quantize_for_board(
    model: ir.Model, options: CompileOptions, profile: Profile, record: Record, path: Path | None
) -> ir.Model:
    """Return `model` with Q/DQ pairs as the back end wants them.

    Args:
        model: In canonical form, float.
        options: Of the compilation; `data` is given.
        profile: Of the board.
        record: Takes what was done, and every layer that stays in float with the reason.
        path: File of the model, which a decoder may read metadata from.

    Raises:
        EdgecError: Data, table, metric or decoder are wrong.
    """
    if options.data is None:
        raise BadOption("int8 needs pictures to calibrate with", remedy="Give --data.")
    prepared = prepare(model)
    samples = spread(open_samples(options.data, inputs_of(prepared), options.preprocess), options.samples)
    settings = QuantizeSettings(
        calibrator=options.calibrator, style=profile.quantization_style, max_loss=options.max_loss
    )
    decoder = read_decoder(options.decoder, path) if options.decoder else None
    result = quantize_model(
        prepared,
        samples,
        settings,
        table=CalibrationTable.read(options.scales) if options.scales else None,
        metric=options.metric,
        context=MetricContext(decoder, samples.classes),
        threads=options.threads,
        stage=record.listener,
    )
    _note(record, result, len(samples))
    return result.quantized.model


def _note(record: Record, result: Result, samples: int) -> None:
    layers, table = len(result.quantized.placement.layers), result.table
    changes = [f"{layers} layers on integers, calibrated by {table.calibrator if table else 'none'}, {samples} samples"]
    if result.loss is not None:
        changes.append(f"measured loss {result.loss:.5f}")
    changes += table.notes if table is not None else ()
    record.ran(STEP, modified=layers > 0, changes=tuple(changes))
    costs = {layer.name: layer for layer in result.float_layers}
    for where, reason in result.quantized.refusals:
        layer = costs.get(where)
        why = f"its loss on integers is {layer.gain:.5f}, its share of the MACs {layer.macs:.1%}" if layer else reason
        record.refuse(STEP, where, why)
