"""ONNX Runtime and OpenVINO beside our artefacts, and CPU times taken by turns.

Contestants take turns in bursts, so that a busy machine slows all of them; a figure is the median over bursts of the
process's CPU time per run.
"""

from __future__ import annotations

import time

from edgec.reference.peers import BURSTS, Arrays, Run, burst, by_turns, onnx_runtime, open_vino

__all__ = ["Arrays", "Run", "cpu_ms", "medians", "onnx_runtime", "open_vino"]


def cpu_ms(run: Run, feeds: Arrays) -> float:
    """Return the CPU milliseconds of one run."""
    return burst(run, feeds, time.process_time)


def medians(contestants: list[Run], feeds: Arrays, bursts: int = BURSTS) -> list[float]:
    """Return the CPU milliseconds of each contestant."""
    return by_turns(contestants, feeds, time.process_time, bursts)
