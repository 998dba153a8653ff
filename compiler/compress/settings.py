"""What the settings of a compilation imply for its compression, and checks for contradictions."""

from __future__ import annotations

from edgec.errors import BadOption
from edgec.options import CompileOptions
from edgec.profile import Profile
from edgec.pruning import PruneOptions
from edgec.quantization import CalibrationTable


def implied_options(options: CompileOptions, profile: Profile) -> CompileOptions:
    """Return the settings with what an accepted loss or a latency implies: pruning, and int8 if the board has it.

    An explicit precision stays; with int8 only quantization may use the loss, unless pruning or a latency is asked for.

    Raises:
        BadOption: A loss, a latency, or pruning that needs data, is asked for without data; the time of the board
            cannot be estimated; or pruning has a goal besides the latency.
    """
    if not options.has_promise:
        if options.prune is not None and not options.prune.goals:
            raise BadOption("--prune has no goal", remedy="Give --max-loss, or one of the goals of `edgec prune`.")
        return options
    if options.measuring.data is None:
        name = "--max-loss" if options.max_latency is None else "--max-latency"
        raise BadOption(f"{name} needs pictures to measure the loss on", remedy="Give --data.")
    if options.max_latency is not None:
        _check_latency(options, profile)
    chosen = "precision" in options.model_fields_set
    if options.prune is None and options.max_latency is None and chosen and options.precision == "int8":
        return options
    precision = options.precision if chosen else "fp32" if why_no_integers(profile) else "int8"
    return options.model_copy(update={"prune": options.prune or PruneOptions(), "precision": precision})


def _check_latency(options: CompileOptions, profile: Profile) -> None:
    if profile.estimate is None:
        raise BadOption(
            f"--max-latency: edgec does not estimate the time of {options.target}",
            remedy="Give --max-loss, or a goal of `edgec prune` with --prune.",
        )
    if options.prune is not None and options.prune.goals:
        goals = " and ".join(options.prune.goals)
        raise BadOption(
            f"--max-latency and --prune {goals} are given together",
            remedy="Give one of them: --max-latency decides how much is pruned.",
        )


def competing(options: CompileOptions, profile: Profile) -> tuple[str, ...]:
    """Return the precisions among which the best that keeps the loss or the latency is chosen.

    Without either, or with a precision that the user gave, there is nothing to choose: it is that one.

    Args:
        options: As the user gave them.
        profile: Of the board.
    """
    if not options.has_promise or "precision" in options.model_fields_set:
        return (options.precision,)
    measured = {"fp32": True, "int8": why_no_integers(profile) is None, "fp16": profile.in_half is not None}
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
