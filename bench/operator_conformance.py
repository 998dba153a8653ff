"""The operator tests that come with `onnx`, through edgec on this machine: docs/results/operators.md.

    python bench/operator_conformance.py [--results FILE] [--limit-s N] [name part ...]

Each test goes the whole way of a compilation: load, passes, import, lowering, code, execution. It is tried in two
forms: as it is, and with all inputs but the first as constants, which is what weights, shapes and axes are in networks.
It is

* passed, where one form gives the expected outputs and the other does too, or is refused (expected are the test's or,
  where ONNX Runtime's differ from those, ONNX Runtime's: such tests are counted apart);
* refused, where each form ends in an `EdgecError`: the message a user would read;
* failed, where any form gives other outputs, raises anything else, or takes the process with it.

What does not pass is given to TVM's own importer and default pipeline in the same two forms: a test that passes there
is lost. Results are appended to FILE, and tests in it are not run again, so that a run can be continued.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases
from workers import isolated, resumed

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

ATOL = 1e-5
"""Absolute tolerance; `onnx` states 1e-7, below the rounding of a float32 sum. The relative one is the test's own."""
ULPS = 4
PATIENCE_S = 180
REFUSALS = {
    "an input or output is a sequence, an optional or holds strings": r"is a (sequence|optional)|holds strings",
    "the size of an output depends on the data": r"NonMaxSuppression|NonZero|Unique|Compress|no static shape",
    "the element type is narrower than a byte, an 8-bit float or complex": r"on (float[48]|u?int[24]\b|complex)",
    "a use that TVM gets wrong": r" in training mode| with (the outputs|mode)|by computed scales|on uint64",
    "TVM's importer lacks the operator": r"back end cannot run",
    "TVM's importer refuses this use": r"cannot be imported into TVM",
    "a size is 0": r"sizes must be 1 or more",
    "an operator set before 7, or none": r"uses opset|which ONNX opset",
}
"""What is common to refusals, by a pattern of the message; the first that matches counts."""
Arrays = dict[str, np.ndarray]
Compiled = Callable[[Arrays], list[np.ndarray]]


def run_case(name: str) -> dict[str, str]:
    """Return verdict, reason, and where the test does not pass, what TVM's own pipeline makes of it."""
    warnings.filterwarnings("ignore")
    from edgec.errors import EdgecError  # noqa: PLC0415

    verdicts, reasons = [], []
    for model, feeds, expected in forms(cases()[name]):
        try:
            run = compile_ours(model, feeds[0])
            problem = difference(run, feeds, expected, cases()[name])
            agrees = problem and not difference(run, feeds, onnx_runtime(model, feeds), cases()[name])
            verdicts.append("as ONNX Runtime" if agrees else "failed" if problem else "passed")
        except EdgecError as error:
            problem = error.problem
            verdicts.append("refused")
        except Exception as error:
            problem = f"{type(error).__name__}: {last_line(error)}"
            verdicts.append("failed")
        reasons.append(problem)
    verdict = next(kind for kind in ("failed", "as ONNX Runtime", "passed", "refused") if kind in verdicts)
    if verdict in ("passed", "as ONNX Runtime"):
        return {"verdict": verdict}
    theirs = [judge_theirs(model, feeds, expected, cases()[name]) for model, feeds, expected in forms(cases()[name])]
    best = "" if "" in theirs else theirs[-1]
    return {"verdict": verdict, "reason": reasons[verdicts.index(verdict)], "tvm": best or "passes"}


def forms(case: Any) -> Iterator[tuple[onnx.ModelProto, list[Arrays], list[list[np.ndarray]]]]:
    """Yield model, inputs by name and expected outputs: as given, then with all inputs but the first constant."""
    names = [value.name for value in case.model.graph.input]
    feeds = [dict(zip(names, map(array, inputs), strict=True)) for inputs, _ in case.data_sets]
    expected = [list(map(array, outputs)) for _, outputs in case.data_sets]
    yield case.model, feeds, expected
    if len(names) < 2 or len(feeds) > 1 or not all(isinstance(value, np.ndarray) for value in feeds[0].values()):
        return
    bound = onnx.ModelProto()
    bound.CopyFrom(case.model)
    del bound.graph.input[1:]
    for value in names[1:]:
        bound.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(feeds[0][value]), value))
    yield bound, [{names[0]: feeds[0][names[0]]}], expected


def array(value: Any) -> Any:
    """Return a value of a test as numpy array; sequences and absent optionals stay what they are."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def compile_ours(model: onnx.ModelProto, feeds: Arrays) -> Compiled:
    """Compile as `edgec compile --target host` does, without an artefact around it."""
    from edgec.model.load import load  # noqa: PLC0415
    from edgec.model.shapes import fix_shapes  # noqa: PLC0415
    from edgec.options import CompileOptions  # noqa: PLC0415
    from edgec.passes import pipeline  # noqa: PLC0415
    from edgec.record import Record  # noqa: PLC0415
    from edgec.targets.board import load_board  # noqa: PLC0415
    from edgec.targets.tvm import TvmTarget  # noqa: PLC0415
    from edgec.targets.tvm.cpu import llvm_target, resolve  # noqa: PLC0415
    from edgec.targets.tvm.executable import executable  # noqa: PLC0415
    from edgec.targets.tvm.from_onnx import to_relax  # noqa: PLC0415
    from edgec.targets.tvm.pipeline import lower_relax  # noqa: PLC0415

    shapes = {name: value.shape for name, value in feeds.items() if isinstance(value, np.ndarray)}
    fixed = fix_shapes(load(model).model, shapes)
    board = load_board("host")
    options = CompileOptions(target="host", verify_passes=False)  # not with random axes and shapes
    canonical = pipeline.run(fixed, profile=TvmTarget().profile(board), options=options, record=Record())
    return called(executable(lower_relax(to_relax(canonical), board), llvm_target(resolve(board))), model)


def onnx_runtime(model: onnx.ModelProto, feeds: list[Arrays]) -> list[list[np.ndarray]]:
    """Return the outputs of ONNX Runtime; raises where it has none."""
    from edgec.reference.onnx_runtime import ort  # noqa: PLC0415

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [session.run(None, inputs) for inputs in feeds]


def compile_theirs(model: onnx.ModelProto) -> Compiled:
    """Compile with TVM's importer and the default pipeline of `relax.build`."""
    from tvm import relax  # noqa: PLC0415
    from tvm.relax.frontend.onnx import from_onnx  # noqa: PLC0415

    from edgec.targets.board import load_board  # noqa: PLC0415
    from edgec.targets.tvm.cpu import llvm_target, resolve  # noqa: PLC0415

    module = from_onnx(model, keep_params_in_input=False)
    return called(relax.build(module, llvm_target(resolve(load_board("host")))), model)


def called(built: Any, model: onnx.ModelProto) -> Compiled:
    """Return a function that runs what was built for `model`, from inputs by name to outputs."""
    import tvm  # noqa: PLC0415
    from tvm import relax  # noqa: PLC0415

    machine = relax.VirtualMachine(built, tvm.cpu())
    names = [value.name for value in model.graph.input]

    def run(feeds: Arrays) -> list[np.ndarray]:
        result = machine["main"](*(tvm.runtime.tensor(np.array(feeds[name])) for name in names))
        return [result.numpy()] if hasattr(result, "numpy") else [item.numpy() for item in result]

    return run


def difference(run: Compiled, feeds: list[Arrays], expected: list[list[np.ndarray]], case: Any) -> str:
    """Return how the outputs differ from what is expected; empty if they do not."""
    for inputs, wanted in zip(feeds, expected, strict=True):
        got = run(inputs)
        if len(got) != len(wanted):
            return f"{len(got)} outputs instead of {len(wanted)}"
        for have, want in zip(got, map(np.asarray, wanted), strict=True):
            if have.shape != want.shape or have.dtype != want.dtype:
                return f"{have.dtype}{have.shape} instead of {want.dtype}{want.shape}"
            same = np.array_equal(have, want) if have.dtype.kind in "biu" else close(have, want, case.rtol)
            if not same:
                return f"values differ: {have.ravel()[:4]} instead of {want.ravel()[:4]}"
    return ""


def close(have: np.ndarray, want: np.ndarray, rtol: float) -> bool:
    """Return whether floats agree within `rtol`, or `ULPS` steps of their type where that is coarser."""
    if have.dtype.kind == "c":
        return bool(np.allclose(have, want, rtol=rtol, atol=ATOL, equal_nan=True))
    rtol = max(rtol, ULPS * float(ml_dtypes.finfo(have.dtype).eps))
    return bool(np.allclose(have.astype("f8"), want.astype("f8"), rtol=rtol, atol=ATOL, equal_nan=True))


def judge_theirs(model: onnx.ModelProto, feeds: list[Arrays], expected: list[list[np.ndarray]], case: Any) -> str:
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        try:
            return difference(compile_theirs(model), feeds, expected, case)
        except Exception as error:
            return f"{type(error).__name__}: {last_line(error)}"


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[-1][:200]


@cache
def cases() -> dict[str, Any]:
    return {case.name: case for case in collect_testcases(None)}


def verdicts(names: list[str], patience_s: float = PATIENCE_S) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each test with its verdict; one that dies or hangs failed."""
    for name, verdict in isolated(run_case, names, patience_s):
        dead = {"verdict": "failed", "reason": str(verdict), "tvm": "not asked"}
        yield name, verdict if isinstance(verdict, dict) else dead


def main() -> None:
    """Run the tests, then print what is not passed and the table of all results in FILE."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="run tests whose names hold one of these; default: all")
    parser.add_argument("--results", type=Path, help="JSON lines; results there are kept")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="stop after so many seconds")
    options = parser.parse_args()
    chosen = [name for name in cases() if not options.parts or any(part in name for part in options.parts)]
    report(resumed(chosen, verdicts, options.results, options.limit_s), len(chosen))


def report(known: dict[str, dict[str, str]], chosen: int) -> None:
    """Print each test that fails or is lost, the refusals by reason, and the counts."""
    refusals: Counter[str] = Counter()
    for name, verdict in known.items():
        lost = verdict.get("tvm") == "passes"
        if verdict["verdict"] == "failed" or lost:
            print(f"{verdict['verdict']}{', lost' if lost else ''}: {name}: {verdict['reason']}")
        if verdict["verdict"] == "refused":
            refusals[kind_of_refusal(verdict["reason"])] += 1
    print("\n| refused | tests |\n| --- | --- |")
    for reason, tests in refusals.most_common():
        print(f"| {reason} | {tests} |")
    counts = Counter(verdict["verdict"] for verdict in known.values())
    lost = sum(verdict.get("tvm") == "passes" for verdict in known.values())
    kinds = ("passed", "as ONNX Runtime", "refused", "failed")
    print(f"\n| tests | {' | '.join(kinds)} | lost |\n{'| --- ' * 6}|")
    print(f"| {len(known)} of {chosen} | {' | '.join(str(counts[kind]) for kind in kinds)} | {lost} |")


def kind_of_refusal(reason: str) -> str:
    """Return what refusals have in common: the reason without names of models, nodes and values."""
    for kind, pattern in REFUSALS.items():
        if re.search(pattern, reason):
            return kind
    return re.sub(r"'[^']*'", "...", reason)[:80]


if __name__ == "__main__":
    main()
