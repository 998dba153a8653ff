"""What the settings of a compilation imply for its compression, and checks for contradictions."""

from __future__ import annotations

from edgec.errors import BadOption
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.quantization import CalibrationTable


def implied_options(options: CompileOptions, profile: Profile) -> CompileOptions:
    """Return the settings with what an accepted loss implies: pruning, and int8 if that is faster on the board.

    An explicit precision stays; with int8 only quantization may use the loss, unless pruning is asked for too.

    Raises:
        BadOption: A loss, or pruning that needs data, is asked for without data.
    """
    if options.max_loss is None:
        if options.prune is not None and not options.prune.goals:
            raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
        return options
    if options.measuring.data is None:
        raise BadOption("--max-loss needs pictures to measure the loss on", remedy="Give --data.")
    chosen = "precision" in options.model_fields_set
    if options.prune is None and chosen and options.precision == "int8":
        return options
    precision = options.precision if chosen else "fp32" if why_no_integers(profile) else "int8"
    return options.model_copy(update={"prune": options.prune or PruneOptions(), "precision": precision})


def competing(options: CompileOptions, profile: Profile) -> tuple[str, ...]:
    """Return the precisions among which the fastest that keeps the accepted loss is chosen, besides fp32.

    Without an accepted loss, or with a precision that the user gave, there is nothing to choose: it is that one.

    Args:
        options: As the user gave them.
        profile: Of the board.
    """
    if options.max_loss is None or "precision" in options.model_fields_set:
        return (options.precision,)
    measured = {"int8": why_no_integers(profile) is None, "fp16": profile.in_half is not None}
    return tuple(name for name, is_measured in measured.items() if is_measured and name in profile.precisions)


def check_quantization(options: CompileOptions, profile: Profile) -> None:
    """Raise an error, before any long work, for a style that the board does not support or an unusable table.

    Args:
        options: As `implied_options` returns them.
        profile: Profile of the board.

    Raises:
        BadOption: The style is not the board's, nothing is quantized, the network is pruned first, or the
            table cannot be read.
    """
    style = options.quantize.style
    if "style" in options.quantize.model_fields_set and style != profile.quantization_style:
        remedy = f"Leave it out: the board uses {profile.quantization_style}."
        raise BadOption(f"quantize: style {style} is not that of {options.target}", remedy=remedy)
    if options.quantize.scales is None:
        return
    if options.precision != "int8" or options.measuring.data is None:
        problem = f"--scales {options.quantize.scales} cannot be used: nothing is quantized"
        raise BadOption(problem, remedy="Give --precision int8 and --data.")
    if options.prune is not None:
        raise BadOption(
            "--scales belongs to the network before pruning", remedy="Leave it out: the pruned one is calibrated anew."
        )
    CalibrationTable.read(options.quantize.scales)


def why_no_integers(profile: Profile) -> str | None:
    """Return why an accepted loss is not used for quantization; None if it is."""
    if "int8" in profile.precisions:
        return None
    return profile.refused.get("int8", "the board's record does not offer int8")
