"""The flow of the script: check the board, build the engine if necessary, verify, measure, write result.json."""

import argparse
import json
import os
import signal
import sys
import time
import traceback
from typing import Any, Dict, List, Optional

from .failure import Failure, VerificationFailure
from .settings import read_settings

RESULT = "result.json"
SHOWN_LAYERS = 20
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the script in the artefact folder; return 0, 1 (outputs differ) or 2 (any other error)."""
    options = _parse(arguments)
    try:
        _check_numpy()
        return _build_step() if options.in_this_process else _all_steps(options)
    except VerificationFailure as failure:  # result.json contains the figures already
        print("build_engine.py: {}".format(failure), file=sys.stderr)
        return failure.exit_code
    except Failure as failure:
        return _report(str(failure), failure.exit_code, options)
    except KeyboardInterrupt:
        return _report("interrupted", Failure.exit_code, options)
    except Exception as error:  # users get one message; --debug shows where it comes from
        message = "unexpected {}: {} (--debug shows where)".format(type(error).__name__, error)
        return _report(message, Failure.exit_code, options)


def _parse(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="build_engine.py", description="Builds, verifies and times this folder's TensorRT engine on the board."
    )
    parser.add_argument("--runs", type=_positive, default=100, help="timed inferences (default 100)")
    parser.add_argument("--warmup", type=_seconds, default=1.0, help="seconds of warm-up runs before (default 1)")
    parser.add_argument("--layers", action="store_true", help="measure each layer of the engine, too")
    parser.add_argument("--force", action="store_true", help="build even if the engine is up to date")
    parser.add_argument("--build-only", action="store_true", help="build only; do not verify or measure")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)  # for the child process
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be between 0 and 3600")
    return value


def _report(message: str, code: int, options: argparse.Namespace) -> int:
    if options.debug:
        traceback.print_exc()
    print("build_engine.py: " + message, file=sys.stderr)
    try:
        _write_result({"status": "failed", "message": message})
    except OSError as error:
        print("build_engine.py: cannot write {}: {}".format(RESULT, error.strerror), file=sys.stderr)
    return code


def _check_numpy() -> None:
    try:
        import numpy  # noqa: F401, PLC0415
    except ImportError:
        raise Failure("this Python has no numpy: sudo apt-get install python3-numpy") from None


def _all_steps(options: argparse.Namespace) -> int:
    from . import board, facts, sums  # noqa: PLC0415  # need numpy

    sums.check_files(FOLDER)
    settings = read_settings(FOLDER)
    here = board.look(settings)
    for warning in here.warnings:
        print("warning: " + warning, file=sys.stderr)
    reason = "asked for by --force" if options.force else facts.why_not_usable(settings, here.facts)
    seconds: Optional[float] = None
    if reason:
        print("building the engine ({}); this takes minutes".format(reason), flush=True)
        started = time.time()
        board.build_in_child(FOLDER, *(["--debug"] if options.debug else []))
        seconds = time.time() - started
    else:
        print("the engine is up to date: not built again")
    if options.build_only:
        return 0
    from . import layers, measure, session, verify  # noqa: PLC0415  # need TensorRT, which board.look has made sure of

    loaded = session.Session(here.cuda, settings)
    outputs = verify.verify(loaded, settings)
    size = os.path.getsize(settings.path(facts.ENGINE))
    result: Dict[str, Any] = {
        "status": "ok" if all(output["passed"] for output in outputs) else "outputs differ",
        "machine": here.machine,
        "warnings": here.warnings,
        "engine": dict(here.facts, bytes=size, build_seconds=seconds),
        "outputs": outputs,
    }
    if result["status"] == "ok":
        result.update(measure.measure(loaded, options.warmup, options.runs))
        if options.layers:
            result["layers"] = layers.measure_layers(loaded, options.runs)
    _write_result(result)
    _print_outputs(outputs)
    if result["status"] != "ok":
        _raise_differs(outputs)
    _print_latency(result)
    _print_layers(result.get("layers", []))
    return 0


def _raise_differs(outputs: List[Dict[str, Any]]) -> None:
    names = ", ".join(repr(output["name"]) for output in outputs if not output["passed"])
    raise VerificationFailure("the engine's outputs differ from the golden data: {}.".format(names))


def _build_step() -> int:
    # The builder runs for minutes without checking Python's signals: Ctrl-C must end it, and the parent reports it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import board  # noqa: PLC0415

    settings = read_settings(FOLDER)
    here = board.look(settings)
    from . import build  # noqa: PLC0415

    for warning in build.build(settings, here.facts):
        print("warning: " + warning)  # to standard output, because standard error is for failures
    return 0


def _write_result(result: Dict[str, Any]) -> None:
    path = os.path.join(FOLDER, RESULT)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(dict(result, schema=1), file, indent=2, sort_keys=True)
        file.write("\n")
    os.replace(path + ".part", path)


def _print_outputs(outputs: List[Dict[str, Any]]) -> None:
    for output in outputs:
        error = "not a number" if output["error"] is None else "{:.2e}".format(output["error"])
        verdict = "ok" if output["passed"] else "DIFFERS"
        print("output {}: error {} (tolerance {:.0e}) {}".format(output["name"], error, output["tolerance"], verdict))


def _print_layers(layers: List[Dict[str, Any]]) -> None:
    for layer in sorted(layers, key=lambda layer: -layer["ms"])[:SHOWN_LAYERS]:
        print("{:>8.3f} ms  {}".format(layer["ms"], layer["name"]))
    if len(layers) > SHOWN_LAYERS:
        print("{} more layers are in {}".format(len(layers) - SHOWN_LAYERS, RESULT))


def _print_latency(result: Dict[str, Any]) -> None:
    for part, times in sorted(result["latency_ms"].items()):
        print("{:>11}: median {median:.3f} ms, p90 {p90:.3f}, p99 {p99:.3f}".format(part, **times))
    print(" throughput: {:.1f} inferences/s".format(result["throughput_per_s"]))
