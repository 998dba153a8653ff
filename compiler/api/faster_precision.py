"""Which precision of the board is estimated to be faster than fp32, which was taken by default."""

from __future__ import annotations

import onnx_ir as ir

from edgec.model.cost import layer_costs
from edgec.model.graph import is_quantized
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.record import Record

WORTH_SAYING = 0.9
"""Share of the time in fp32 that a precision has to stay below."""


def note_faster_precision(model: ir.Model, options: CompileOptions, profile: Profile, record: Record) -> None:
    """Note in the record that fp32 was taken though another precision is faster; arguments as below."""
    faster = faster_precision(model, options, profile)
    if faster is not None:
        record.refuse("precision", "network", faster)


def faster_precision(model: ir.Model, options: CompileOptions, profile: Profile) -> str | None:
    """Return a sentence that names the fastest precision and how to get it; None where there is nothing to gain.

    Args:
        model: In canonical form.
        options: As the user gave them. With a precision, a loss or a time, the user has chosen.
        profile: Of the board; without an estimate of times nothing is known.
    """
    if "precision" in options.model_fields_set or options.has_promise:
        return None
    if profile.estimate is None or is_quantized(model):
        return None
    layers = layer_costs(model)
    times = {name: sum(profile.estimate(layers, name)) for name in profile.precisions}
    fastest = min(times, key=lambda name: times[name])
    if not times[fastest] < WORTH_SAYING * times["fp32"]:
        return None
    share = f"{times[fastest] / times['fp32']:.0%}"
    how = "--precision int8 and --data select it" if fastest == "int8" else f"--precision {fastest} selects it"
    return (
        f"{fastest} is estimated to take {share} of the time of fp32 on this board: {how}; "
        "--max-loss and --data select the fastest precision within a measured loss"
    )
