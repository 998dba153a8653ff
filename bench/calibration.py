"""Time and peak memory of calibration, ours and onnxruntime.quantization's: a table of docs/results/quantization.md.

`python bench/calibration.py [--samples 64] [--size 640]`: entropy calibration of PP-OCRv4 det, each in a process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--task", default="det")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.task, options.samples)))
        return
    print("| | s | peak MB |\n| --- | --- | --- |")
    for which in ("edgec kl", "edgec mse", "onnxruntime entropy"):
        command = [sys.executable, __file__, "--one", which, "--task", options.task, "--samples", str(options.samples)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"killed by signal {-done.returncode}"])[-1]
            print(f"| {which} | failed | {last[:120]} |", flush=True)
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        print(f"| {which} | {result['seconds']:.1f} | {result['peak']:.0f} |", flush=True)


def measure(which: str, task_name: str, count: int) -> dict[str, float]:
    """Calibrate; return seconds, and peak resident memory in MB of this process."""
    from quantization_tasks import TASKS  # noqa: PLC0415

    task = TASKS[task_name]
    model, samples = task.canonical(), task.samples("calibration", count)
    start = time.perf_counter()
    if which.startswith("edgec"):
        from edgec.passes.quantize.calibrate import calibrate  # noqa: PLC0415
        from edgec.passes.quantize.placement import place  # noqa: PLC0415

        calibrate(model, samples, place(model).tensors, calibrator=which.split()[1])
    else:
        _onnxruntime(model, samples)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _onnxruntime(model: Any, samples: Any) -> None:
    from onnxruntime import quantization as library  # noqa: PLC0415, TID251

    from edgec.model.serialize import save  # noqa: PLC0415

    class Reader(library.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> Any:
            sample = next(self._left, None)
            return None if sample is None else dict(sample.inputs)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        calibrator = library.create_calibrator(
            path,
            ["Conv", "ConvTranspose", "Gemm", "MatMul"],
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=library.CalibrationMethod.Entropy,
        )
        calibrator.set_execution_providers(["CPUExecutionProvider"])
        calibrator.collect_data(Reader())
        calibrator.compute_data()


if __name__ == "__main__":
    main()
