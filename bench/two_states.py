"""Two states of edgec in one run: whether a change of the code kept its artefacts, their speed and its figures.

    python bench/two_states.py BEFORE [AFTER] [--networks NETWORK ...] [--int8 TASK ...] [--rows TASK ...]

BEFORE and AFTER are commits of this repository; AFTER is HEAD unless given. Each is installed into a scratch folder
and compiles and runs in processes of its own. The artefacts of both take turns, one thread; figures are medians of CPU
time, and a ratio below 1 means that AFTER is faster. `library` says whether the compiled code is equal byte for byte.
`--rows` runs quantization.py and pruning.py of each commit on a few seeded pictures, and says whether they print the
same digits.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import onnx_ir as ir
from networks import NETWORKS, network
from quantization_tasks import TASKS

from edgec.compress.quantization import quantize_model
from edgec.passes.prepare import prepare
from edgec.quantizing import QuantizeOptions

ROOT = Path(__file__).parents[1]
COMPILE = """
import sys, edgec
model, output, precision = sys.argv[1:]
edgec.compile(model, target="host", output=output, precision=precision, threads=1)
"""
HEAD = (
    "| network | precision | before ms | after ms | after / before | library |\n| --- | --- | --- | --- | --- | --- |"
)
INTEGERS = ("rec", "cls", "orientation", "det-320", "detector")
TIME = """
import sys, time, edgec
from edgec.model.load import load
from edgec.model.signature import inputs_of
from edgec.reference.golden import golden_inputs
run = edgec.load(sys.argv[2], threads=1).run
feeds = golden_inputs(inputs_of(load(sys.argv[1]).model), seed=0)
for _ in sys.stdin:  # a burst each; its first run warms the caches
    run(feeds)
    runs, start, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < 0.2:
        run(feeds)
        runs += 1
    print((time.process_time() - start) / runs * 1e3, flush=True)
"""
BURSTS = 9
PICTURES = 8
SECONDS = re.compile(r"""["'](s|seconds)["']: [0-9.]+""")
QUANTIZATION = ("--only", "edgec", "--calibration", "32", "--test", "100")
PRUNING = ("--macs", "0.25", "--ways", "fpgm", "obs", "--calibration", "32", "--watched", "16", "--tests", "100")


def installed(commit: str, scratch: Path) -> Path:
    """Return a folder with the files of `commit` and, under lib/, edgec as pip installs it."""
    folder = scratch / commit.replace("/", "_").replace("^", "-")
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", "lib", "."]
    subprocess.run(pip, cwd=folder, check=True)
    return folder


def environment(state: Path) -> dict[str, str]:
    """Return the environment of processes that import edgec as of `state`."""
    return os.environ | {"PYTHONPATH": str(state / "lib"), "TVM_BIND_THREADS": "0"}


def run(state: Path, *command: str) -> str:
    """Run Python in a state's folder; return what it prints."""
    command = (sys.executable, *command)
    done = subprocess.run(command, cwd=state, env=environment(state), check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def by_turns(states: list[Path], model: Path, folders: list[Path]) -> list[float]:
    """Return the milliseconds of the artefact of each state, run by the state's own runner."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", TIME, str(model), str(folder)],
                    env=environment(state),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for state, folder in zip(states, folders, strict=True)
        ]
        times = [[burst(process) for process in processes] for _ in range(BURSTS)]
        for process in processes:
            process.communicate()
    return [statistics.median(taken) for taken in zip(*times, strict=True)]


def burst(process: subprocess.Popen[str]) -> float:
    """Return the milliseconds that `process` measures once it is asked."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def models(names: list[str], tasks: list[str], scratch: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield name, precision and ONNX file of the networks in floats, then of the tasks' networks in integers."""
    path = scratch / "model.onnx"
    for name in names:
        ir.save(network(name), path)
        yield name, "fp32", path
    for name in tasks:
        task = TASKS[name]
        settings = QuantizeOptions(calibrator="minmax", repair=False)
        samples = task.samples("calibration", PICTURES)
        quantized = quantize_model(prepare(task.canonical()), samples, settings, threads=1).quantized
        ir.save(quantized.model, path)
        yield name, "int8", path


def ratio(name: str, precision: str, model: Path, states: list[Path], scratch: Path) -> float:
    """Print the row of one network; return the time of the newer state's artefact over the older one's."""
    folders = [scratch / f"{name}-{precision}-{index}" for index in range(len(states))]
    for state, folder in zip(states, folders, strict=True):
        run(state, "-c", COMPILE, str(model), str(folder), precision)
    before, after = by_turns(states, model, folders)
    libraries = [(folder / "model.so").read_bytes() for folder in folders]
    same = "equal" if libraries[0] == libraries[1] else "differs"
    print(f"| {name} | {precision} | {before:.2f} | {after:.2f} | {after / before:.3f} | {same} |", flush=True)
    return after / before


def rows(task: str, states: list[Path], scratch: Path) -> None:
    """Print whether both states quantize and prune the network of `task` to the same figures."""
    for script, options in (("quantization", QUANTIZATION), ("pruning", PRUNING)):
        printed = []
        for index, state in enumerate(states):
            results = scratch / f"{task}-{script}-{index}"
            printed.append(run(state, f"bench/{script}.py", task, *options, "--results", str(results)))
        equal = SECONDS.sub("", printed[0]) == SECONDS.sub("", printed[1])
        same = "the same digits" if equal else "different digits"
        print(f"\n{script} of {task}: {same}\n\n{printed[1]}", flush=True)
        if not equal:
            print(f"before:\n\n{printed[0]}", flush=True)


def main() -> None:
    """Print a table of times, its geometric means, and the comparison of the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?", default="HEAD")
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument(
        "--int8", nargs="*", choices=TASKS, default=["rec", "cls", "orientation", "det-320", "detector"]
    )
    parser.add_argument("--rows", nargs="*", choices=TASKS, default=["cls", "orientation"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        states = [installed(commit, scratch) for commit in (options.before, options.after)]
        print(HEAD)
        ratios: dict[str, list[float]] = {}
        for name, precision, path in models(options.networks, options.int8, scratch):
            ratios.setdefault(precision, []).append(ratio(name, precision, path, states, scratch))
        for precision, values in ratios.items():
            print(f"| geometric mean | {precision} | | | {statistics.geometric_mean(values):.3f} | |")
        for task in options.rows:
            rows(task, states, scratch)


if __name__ == "__main__":
    main()
