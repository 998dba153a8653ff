"""`--emulate-time` of `edgec bench` and `edgec verify`: estimates the time on an ARM board that is not available."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from edgec.cli.console import print_json, progress, stdout
from edgec.progress import Listener, Progress

if TYPE_CHECKING:
    from edgec.artefact.artefact import Artefact
    from edgec.targets.emulated_time import EmulatedTime


def show_emulated_time(artefact: Path, measured: str | None, *, layers: bool, silent: bool, json: bool) -> None:
    """Print the estimated time of an artefact on its board.

    Args:
        artefact: Its folder.
        measured: `ARTEFACT=MS`, another artefact and its time on the board.
        layers: Whether each kernel is estimated, too.
        silent: Whether no progress is shown.
        json: Whether it is printed as JSON.
    """
    from edgec import Artefact

    opened, other = Artefact.open(artefact), None if measured is None else _measured(measured)
    with progress(silent=silent) as listener:
        found = estimate(opened, listener, measured=other, layers=layers)
    if json:
        print_json(asdict(found))
        return
    print_estimate(found)
    if layers:
        _show_kernels(found)


def estimate(
    opened: Artefact, listener: Listener, *, measured: tuple[Artefact, float] | None = None, layers: bool = False
) -> EmulatedTime:
    """Return the estimated time of an artefact on its board, and keep it in the artefact's evidence.

    Raises:
        EdgecError: As `edgec.artefact.emulated.emulate_time`.
    """
    from edgec.artefact.emulated import emulate_time

    listener(Progress("count under the emulator"))
    return emulate_time(opened, measured=measured, layers=layers, keep=True)


def print_estimate(found: EmulatedTime) -> None:
    """Print an estimated time, its band, and what it rests on."""
    for line in (f"{found.ms:.3g} ms {found.conditions}", found.origin):
        stdout.print(line, highlight=False, soft_wrap=True)


def _show_kernels(found: EmulatedTime) -> None:
    """Print the kernels, slowest first, and what lies between them."""
    table = Table("ms", "share", "MMAC", "M instr.", "instr./MAC", "ONNX nodes")
    for kernel in sorted(found.kernels, key=lambda kernel: -kernel.ms):
        figures = (f"{kernel.ms:.4f}", f"{kernel.ms / found.ms:.1%}", f"{kernel.macs / 1e6:.3f}")
        each = f"{kernel.instructions / kernel.macs:.3f}" if kernel.macs else ""
        name = " + ".join(kernel.nodes) or kernel.function
        table.add_row(*figures, f"{kernel.instructions / 1e6:.3f}", each, name)
    stdout.print(table)
    kernels = sum(kernel.instructions for kernel in found.kernels)
    stdout.print(
        f"kernels execute {kernels / found.counts.instructions:.1%} of the instructions, the executor the others;"
        f" their times add up to {sum(kernel.ms for kernel in found.kernels):.3g} ms",
        highlight=False,
        soft_wrap=True,
    )


def _measured(text: str) -> tuple[Artefact, float]:
    """Return the artefact and the milliseconds of `ARTEFACT=MS`."""
    from edgec import Artefact
    from edgec.errors import BadOption

    folder, _, number = text.rpartition("=")
    try:
        ms = float(number)
    except ValueError:
        ms = math.nan
    if not folder or not 0 < ms < math.inf:
        raise BadOption(
            f"--measured {text!r} is not of the form ARTEFACT=MS", remedy="Give one such as other.rpi4=41.5."
        )
    return Artefact.open(folder), ms
