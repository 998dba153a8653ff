"""Our artefacts beside ONNX Runtime and OpenVINO: CPU time of one thread, fp32, this machine.

    pip install openvino; python bench/compare_peers.py [NETWORK ...]

All three get the same model with the same static shapes and the same input. They take turns in bursts, so that a busy
machine slows all of them; a figure is the median over bursts of the process's CPU time per run. Errors are relative to
the range of ONNX Runtime's output: up to 1e-4 is accepted.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import openvino
from networks import NETWORKS, network

import edgec
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs
from edgec.reference.onnx_runtime import ort

BURSTS, BURST_S = 9, 0.2
TOLERANCE = 1e-4
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


def medians(contestants: list[Run], feeds: Arrays) -> list[float]:
    """Return the CPU milliseconds of each contestant."""
    times = [[cpu_ms(run, feeds) for run in contestants] for _ in range(BURSTS)]
    return [statistics.median(taken) for taken in zip(*times, strict=True)]


def row(name: str) -> list[float]:
    """Print the table's row of one network; return the ratios to ONNX Runtime and OpenVINO."""
    model = network(name)
    feeds = golden_inputs(inputs_of(model), seed=0)
    proto = ir.to_proto(model).SerializeToString()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "artefact"
        edgec.compile(model, target="host", output=folder, threads=1)
        ours = edgec.load(folder, threads=1).run
        winograd = b"winograd" in (folder / "model.so").read_bytes()
        peers = [onnx_runtime(proto), open_vino(proto, [spec.name for spec in outputs_of(model)])]
        expected = peers[0](feeds)
        errors = [compare(expected, run(feeds)).relative for run in (ours, peers[1])]
        times = medians([ours, *peers], feeds)
    ratios = [times[0] / peer for peer in times[1:]]
    mark = "" if errors[0] <= TOLERANCE else " FAILED"
    cells = [name, *(f"{value:.2f}" for value in times), *(f"{ratio:.2f}" for ratio in ratios)]
    print(
        f"| {' | '.join(cells)} | {errors[0]:.0e}{mark} | {errors[1]:.0e} | {'yes' if winograd else 'no'} |", flush=True
    )
    return ratios


def main() -> None:
    """Print the table and the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"default: {' '.join(NETWORKS)}")
    columns = ("model", "ours ms", "ONNX Runtime ms", "OpenVINO ms", "ours / ONNX Runtime", "ours / OpenVINO")
    print(f"| {' | '.join((*columns, 'our error', 'error of OpenVINO', 'Winograd'))} |\n{'| --- ' * 9}|")
    ratios = [row(name) for name in parser.parse_args().networks]
    means = [statistics.geometric_mean(column) for column in zip(*ratios, strict=True)]
    worst = [max(column) for column in zip(*ratios, strict=True)]
    print(f"| geometric mean | | | | {means[0]:.3f} | {means[1]:.3f} | | | |")
    print(f"| worst | | | | {worst[0]:.2f} | {worst[1]:.2f} | | | |")


if __name__ == "__main__":
    main()
