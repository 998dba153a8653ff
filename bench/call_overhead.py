"""What a call from Python costs beyond the network itself, beside ONNX Runtime: CPU time, this machine, fp32.

    python bench/call_overhead.py [--threads 2]

Small networks, whose time is that of the call where they compute next to nothing. `call us` is CPU time of
`edgec.load(...).run`, by turns with ONNX Runtime as in peers.py, medians; `inside us` is the wall time of the network
alone, median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import parser
from peers import medians, onnx_runtime
from recurrent import layer

import edgec
from edgec.reference.compare import compare

DETECTOR = Path(__file__).parent.parent / "examples" / "detector" / "detector.onnx"
BARE = "(float[1, 16] x) => (float[1, 16] y) { y = Relu (x) }"
THREE_LAYERS = """(float[1, 3, 16, 16] x) => (float[1, 10] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1]> (b, w2)
    d = Relu (c)
    e = GlobalAveragePool (d)
    f = Flatten (e)
    y = MatMul (f, w3)
}"""
WEIGHTS = {"w1": (8, 3, 3, 3), "w2": (16, 8, 3, 3), "w3": (16, 10)}


def network(text: str, weights: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return the model that `text` describes, with random weights."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> network {text}')
    rng = np.random.default_rng(0)
    for name, shape in weights.items():
        weight = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--threads", type=int, default=1)
    threads = options.parse_args().threads
    networks = {
        "one Relu": network(BARE, {}),
        "three layers": network(THREE_LAYERS, WEIGHTS),
        "LSTM, one step": layer("LSTM", "forward", 1, 1, 64, 64),
        "demo detector": onnx.load(DETECTOR),
    }
    columns = ("network", "call us", "ONNX Runtime us", "ratio", "inside us", "error")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for name, model in networks.items():
        rng = np.random.default_rng(1)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "artefact"
            edgec.compile(model, target="host", output=folder, threads=threads)
            with edgec.load(folder, threads=threads) as runner:
                feeds = {spec.name: rng.standard_normal(spec.shape).astype(spec.dtype) for spec in runner.inputs}
                peer = onnx_runtime(model.SerializeToString(), threads)
                error = compare(peer(feeds), runner.run(feeds)).relative
                ours, theirs = (1e3 * ms for ms in medians([runner.run, peer], feeds))
                inside = 1e6 * statistics.median(runner.bench(feeds, warmup=20, runs=500))
        row = (name, f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}", f"{inside:.1f}", f"{error:.0e}")
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
