"""Runs the operator tests that ship with `onnx` through the lowering on this machine and prints passed/refused/failed.

    python bench/operator_conformance.py [name part ...]

A test counts as failed where TVM's own pipeline computes the expected outputs and ours does not. Every test runs in a
worker process that is replaced when it dies, so that a crash is one failure and not the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections import Counter
from functools import cache
from typing import Any

import numpy as np

RTOL, ATOL = 1e-3, 1e-5
MARK = "@@"
"""Begins the lines of a worker that are answers: TVM prints to stdout, too."""


@cache
def cases() -> dict[str, Any]:
    from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415

    return {case.name: case for case in collect_testcases(None)}


def run_case(name: str) -> tuple[str, str]:
    import tvm  # noqa: PLC0415
    from tvm import relax  # noqa: PLC0415
    from tvm.relax.frontend.onnx import from_onnx  # noqa: PLC0415

    from edgec.targets.board import load_board  # noqa: PLC0415
    from edgec.targets.tvm.cpu import llvm_target, resolve  # noqa: PLC0415
    from edgec.targets.tvm.pipeline import lower_relax  # noqa: PLC0415

    board = load_board("host")
    target = llvm_target(resolve(board))
    try:
        case = cases()[name]
        model, inputs, expected = case.model, [s[0] for s in case.data_sets], [s[1] for s in case.data_sets]
        shapes = {i.name: list(value.shape) for i, value in zip(model.graph.input, inputs[0], strict=True)}
        module = from_onnx(model, shape_dict=shapes, keep_params_in_input=False)
    except Exception as error:
        return "refused", f"import: {str(error).strip().splitlines()[-1] if str(error).strip() else type(error)}"[:160]

    def matches(lower: Any) -> str:
        vm = relax.VirtualMachine(relax.build(lower(module), target=target), tvm.cpu())
        for feeds, wanted in zip(inputs, expected, strict=True):
            result = vm["main"](*(tvm.runtime.tensor(np.ascontiguousarray(value)) for value in feeds))
            got = [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]
            for have, want in zip(got, wanted, strict=True):
                if have.shape != want.shape:
                    return f"shape {have.shape} instead of {want.shape}"
                if not np.allclose(have, want, rtol=RTOL, atol=ATOL, equal_nan=True):
                    return f"differs by {np.abs(have.astype('f8') - want.astype('f8')).max():.2e}"
        return ""

    try:
        problem = matches(lambda mod: lower_relax(mod, board))
    except Exception as error:
        problem = (str(error).strip().splitlines() or [str(type(error))])[-1][:200]
    if not problem:
        return "passed", ""
    try:
        theirs = matches(lambda mod: mod)
    except Exception as error:
        theirs = (str(error).strip().splitlines() or [str(type(error))])[-1][:200]
    return ("refused", f"TVM's own pipeline: {theirs}"[:160]) if theirs else ("failed", problem)


def worker() -> None:
    warnings.filterwarnings("ignore")
    for line in sys.stdin:
        try:
            verdict, reason = run_case(line.strip())
        except Exception as error:
            verdict, reason = "failed", repr(error)[:200]
        print(f"\n{MARK}{json.dumps([verdict, reason])}", flush=True)


def main() -> None:
    parts = sys.argv[1:]
    chosen = [case for case in cases() if not parts or any(part in case for part in parts)]
    counts: Counter[str] = Counter()
    process = None
    for case in chosen:
        if process is None:
            command = [sys.executable, __file__, "--worker"]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(case + "\n")
        process.stdin.flush()
        answer = next((line for line in process.stdout if line.startswith(MARK)), "").removeprefix(MARK)
        if not answer:
            process = None
        verdict, reason = json.loads(answer) if answer else ("failed", "the process died")
        counts[verdict] += 1
        if verdict != "passed":
            print(f"{verdict:8s} {case}: {reason}", flush=True)
    print(dict(counts))


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        worker()
    else:
        main()
