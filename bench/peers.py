"""ONNX Runtime and OpenVINO beside our artefacts, and CPU times taken by turns.

Contestants take turns in bursts, so that a busy machine slows all of them; a figure is the median over bursts of the
process's CPU time per run.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable

import numpy as np

from edgec.reference.onnx_runtime import ort

BURSTS, BURST_S = 9, 0.2
Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


def onnx_runtime(proto: bytes, threads: int = 1) -> Run:
    """Return the model in ONNX Runtime, all optimizations on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))


def open_vino(proto: bytes, outputs: list[str], threads: int = 1) -> Run:
    """Return the model in OpenVINO, kept from computing in bf16."""
    import openvino  # noqa: PLC0415  scripts without this peer need not install it

    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(io.BytesIO(proto)), "CPU", settings).create_infer_request()
    return lambda feeds: dict(zip(outputs, request.infer(feeds).values(), strict=True))


def cpu_ms(run: Run, feeds: Arrays) -> float:
    """Return the CPU milliseconds of one run, over a burst of them; the first of a burst warms the caches."""
    run(feeds)
    runs, start, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < BURST_S:
        run(feeds)
        runs += 1
    return (time.process_time() - start) / runs * 1e3


def medians(contestants: list[Run], feeds: Arrays, bursts: int = BURSTS) -> list[float]:
    """Return the CPU milliseconds of each contestant."""
    times = [[cpu_ms(run, feeds) for run in contestants] for _ in range(bursts)]
    return [statistics.median(taken) for taken in zip(*times, strict=True)]
