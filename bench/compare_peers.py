"""Our artefacts beside ONNX Runtime and OpenVINO: CPU time of one thread, fp32, this machine.

    pip install openvino; python bench/compare_peers.py [NETWORK ...]

All three get the same model with the same static shapes and the same input, and take turns (peers.py). Errors are
relative to the range of ONNX Runtime's output: up to 1e-4 is accepted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import onnx_ir as ir
from networks import NETWORKS, network
from peers import medians, onnx_runtime, open_vino

import edgec
from edgec.model.signature import inputs_of, outputs_of
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs

TOLERANCE = 1e-4


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
