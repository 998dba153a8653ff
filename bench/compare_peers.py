"""Times our lowering beside ONNX Runtime and, where installed, OpenVINO: CPU time of one thread, fp32, this machine.

    python bench/compare_peers.py model.onnx ...      (static shapes; inputs are seeded random numbers)

Contestants take turns in bursts, so that a busy machine slows all of them; a figure is the median over bursts of the
process's CPU time per run. Outputs are compared with ONNX Runtime's every time.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.target_model import target_model

BURSTS, BURST_S = 7, 0.2
Run = Callable[[], list[np.ndarray]]


def ours(path: Path, feeds: dict[str, np.ndarray]) -> tuple[Run, str]:
    board = load_board("host")
    target = llvm_target(resolve(board))
    start = time.process_time()
    module = from_onnx(onnx.load(path), keep_params_in_input=False)
    lowered = lower_with_report(module, target_model(board), target)
    executable = relax.build(lowered.module, target=target)
    compile_s = time.process_time() - start
    main = relax.VirtualMachine(executable, tvm.cpu())["main"]
    arguments = [tvm.runtime.tensor(value) for value in feeds.values()]

    def run() -> list[np.ndarray]:
        result = main(*arguments)
        return [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]

    return run, f"compiled in {compile_s:.0f} s, fallback: {', '.join(lowered.report.fallbacks()) or 'none'}"


def ort(path: Path, feeds: dict[str, np.ndarray]) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def openvino(path: Path, feeds: dict[str, np.ndarray]) -> Run | None:
    try:
        import openvino as ov  # noqa: PLC0415
    except ImportError:
        return None
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    values = list(feeds.values())
    return lambda: list(request.infer(values).values())


def cpu_ms(run: Run) -> float:
    run()
    runs, start, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < BURST_S:
        run()
        runs += 1
    return (time.process_time() - start) / runs * 1e3


def compare(path: Path) -> list[float]:
    rng = np.random.default_rng(0)
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    feeds = {}
    for value in graph.input:
        if value.name not in weights:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            feeds[value.name] = rng.random(shape, dtype=np.float32)
    mine, note = ours(path, feeds)
    peers: list[Any] = [ort(path, feeds), openvino(path, feeds)]
    expected = peers[0]()
    worst = max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) for a, b in zip(mine(), expected, strict=True))
    runs = [mine, *(peer for peer in peers if peer is not None)]
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(BURSTS):
        for run, taken in zip(runs, times, strict=True):
            taken.append(cpu_ms(run))
    medians = [statistics.median(taken) for taken in times]
    ratios = [medians[0] / peer for peer in medians[1:]]
    cells = [
        path.stem,
        *(f"{value:.2f}" for value in medians),
        *(f"{ratio:.3f}" for ratio in ratios),
        f"{worst:.1e}",
        note,
    ]
    print("| " + " | ".join(cells) + " |", flush=True)
    return ratios


def main() -> None:
    warnings.filterwarnings("ignore")
    # One worker, pinned: the first runtime call decides the pool of this thread.
    tvm.get_global_func("runtime.config_threadpool")(-3, 1, ["0"])
    print("| model | ours | ORT | OpenVINO | ours/ORT | ours/OpenVINO | max error of range | |\n" + "| --- " * 8 + "|")
    ratios = [compare(Path(name)) for name in sys.argv[1:]]
    for index, peer in enumerate(("ONNX Runtime", "OpenVINO")):
        known = [pair[index] for pair in ratios if len(pair) > index]
        if known:
            print(f"geometric mean ours/{peer}: {statistics.geometric_mean(known):.3f} over {len(known)} models")


if __name__ == "__main__":
    main()
