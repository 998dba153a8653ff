"""Peers: other runtimes for this machine, beside which an artefact is timed on the same network."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgec.errors import BadOption, MissingDependency
from edgec.reference.onnx_runtime import ort, session_options

Arrays = Mapping[str, np.ndarray[Any, Any]]
Run = Callable[[Arrays], Arrays]

BURSTS, BURST_S = 9, 0.2


def onnx_runtime(proto: bytes, outputs: Sequence[str] = (), threads: int = 1) -> Run:
    """Return the model in ONNX Runtime, all optimizations on; `outputs` are all of the model by default."""
    options = session_options()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    names = list(outputs) or [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, map(np.asarray, session.run(names, feeds)), strict=True))


def open_vino(proto: bytes, outputs: Sequence[str], threads: int = 1) -> Run:
    """Return the model, whose outputs are `outputs`, in OpenVINO, which is kept from computing in bf16.

    Raises:
        MissingDependency: OpenVINO is not installed.
    """
    openvino = _openvino()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(io.BytesIO(proto)), "CPU", settings).create_infer_request()
    return lambda feeds: dict(zip(outputs, request.infer(feeds).values(), strict=True))


def _openvino() -> Any:
    try:
        import openvino  # noqa: PLC0415  optional
    except ImportError:
        raise MissingDependency("OpenVINO is not installed", remedy="Run pip install openvino.") from None
    return openvino


PEERS: Mapping[str, Callable[[bytes, Sequence[str], int], Run]] = {"onnxruntime": onnx_runtime, "openvino": open_vino}


def check_peers(names: Sequence[str]) -> None:
    """Check names of peers before any long work.

    Raises:
        BadOption: A name is not in `PEERS`.
        MissingDependency: A peer is not installed.
    """
    for name in names:
        if name not in PEERS:
            raise BadOption(f"unknown peer {name!r}", remedy=f"Known peers: {', '.join(PEERS)}.")
    if "openvino" in names:
        _openvino()


def by_turns(runs: Sequence[Run], feeds: Arrays, clock: Callable[[], float], bursts: int = BURSTS) -> list[float]:
    """Return the median milliseconds of one call of each of `runs`.

    They take turns in bursts, so that a busy machine slows all of them.

    Args:
        runs: Functions of inputs by name.
        feeds: Their inputs.
        clock: Returns seconds: `time.perf_counter`, or `time.process_time` for CPU time.
        bursts: Number of bursts.
    """
    times = [[burst(run, feeds, clock) for run in runs] for _ in range(bursts)]
    return [statistics.median(taken) for taken in zip(*times, strict=True)]


def burst(run: Run, feeds: Arrays, clock: Callable[[], float]) -> float:
    """Return the milliseconds of one call of `run`, over a burst of them; the first call warms the caches."""
    run(feeds)
    runs, start, began = 0, clock(), time.perf_counter()
    while time.perf_counter() - began < BURST_S:
        run(feeds)
        runs += 1
    return (clock() - start) / runs * 1e3
