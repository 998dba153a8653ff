"""Measures latency: copies in, inference and copies out separately, end to end, and throughput."""

import time
from typing import Any, Callable, Dict, List

import numpy as np

from .session import Session


def measure(session: Session, warmup: float, runs: int) -> Dict[str, Any]:
    """Return latencies in ms (median, p90, p99, min, mean of `runs`) and inferences per second.

    `end_to_end` is copies in, inference and copies out together, as deployed; the parts are timed separately, each
    with its own wait for the GPU, so they add up to a little more. `throughput_per_s` counts inferences alone,
    without pauses. All are measured after `warmup` seconds, because clocks need a while to rise.
    """
    started = time.perf_counter()
    done = 0
    while not done or time.perf_counter() - started < warmup:
        session.run()
        done += 1
    copy_in: List[float] = []
    compute: List[float] = []
    copy_out: List[float] = []
    end_to_end = [_timed(session.run) for _ in range(runs)]
    for _ in range(runs):
        copy_in.append(_timed(session.copy_in, session.cuda.synchronize))
        compute.append(_timed(session.enqueue, session.cuda.synchronize))
        copy_out.append(_timed(session.copy_out, session.cuda.synchronize))
    back_to_back = _timed(*([session.enqueue] * runs + [session.cuda.synchronize]))
    return {
        "warmup_runs": done,
        "runs": runs,
        "latency_ms": {
            "end_to_end": statistics(end_to_end),
            "copy_in": statistics(copy_in),
            "compute": statistics(compute),
            "copy_out": statistics(copy_out),
        },
        "throughput_per_s": runs / back_to_back,
    }


def statistics(seconds: List[float]) -> Dict[str, float]:
    """Return median, p90, p99, min and mean in ms."""
    times = np.array(seconds) * 1e3
    return {
        "median": float(np.median(times)),
        "p90": float(np.percentile(times, 90)),
        "p99": float(np.percentile(times, 99)),
        "min": float(times.min()),
        "mean": float(times.mean()),
    }


def _timed(*steps: Callable[[], None]) -> float:
    started = time.perf_counter()
    for step in steps:
        step()
    return time.perf_counter() - started
