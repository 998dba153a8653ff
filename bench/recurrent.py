"""Recurrent layers beside ONNX Runtime and OpenVINO: CPU time of one thread, fp32, this machine.

    pip install openvino; python bench/recurrent.py

Layers of the sizes that text recognizers (CRNN: 80 steps, 256 units) and voice activity detectors (one step, 64 units)
have. Figures as in compare_peers.py; `int8` are W and R behind DequantizeLinear, for our artefact alone.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import onnx
from compare_peers import TOLERANCE, medians, onnx_runtime, open_vino
from onnx import TensorProto, helper, numpy_helper

import edgec
from edgec.reference.compare import compare

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
LAYERS = (
    ("LSTM", "bidirectional", 80, 1, 256, 256),
    ("LSTM", "bidirectional", 40, 1, 512, 48),
    ("GRU", "bidirectional", 80, 1, 256, 256),
    ("LSTM", "forward", 80, 8, 128, 256),
    ("LSTM", "forward", 200, 1, 40, 100),
    ("LSTM", "forward", 1, 1, 64, 64),
    ("GRU", "forward", 1, 1, 64, 64),
    ("RNN", "forward", 50, 1, 64, 128),
)
"""Operator, direction, steps, batch, inputs, hidden size."""


def layer(kind: str, direction: str, steps: int, batch: int, inputs: int, hidden: int) -> onnx.ModelProto:
    """Return a model of one layer with an initial state, which returns the sequence and the last state."""
    rng = np.random.default_rng(0)
    directions, gates = 2 if direction == "bidirectional" else 1, GATES[kind]
    shapes = {
        "w": (directions, gates * hidden, inputs),
        "r": (directions, gates * hidden, hidden),
        "b": (directions, 2 * gates * hidden),
    }
    constants = [
        numpy_helper.from_array((rng.standard_normal(shape) / hidden**0.5).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    state = (directions, batch, hidden)
    attributes = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(
        kind, ["x", *shapes, "", "state"], ["y", "last"], hidden_size=hidden, direction=direction, **attributes
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (steps, batch, inputs)),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, state),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (steps, directions, batch, hidden)),
            helper.make_tensor_value_info("last", TensorProto.FLOAT, state),
        ],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    """Print the table."""
    columns = ("layer", "ours ms", "ONNX Runtime ms", "OpenVINO ms", "ours / ONNX Runtime", "ours / OpenVINO", "error")
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for kind, direction, steps, batch, inputs, hidden in LAYERS:
        model = layer(kind, direction, steps, batch, inputs, hidden)
        proto = model.SerializeToString()
        rng = np.random.default_rng(1)
        shapes = {each.name: [d.dim_value for d in each.type.tensor_type.shape.dim] for each in model.graph.input}
        feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "artefact"
            edgec.compile(model, target="host", output=folder, threads=1)
            ours = edgec.load(folder, threads=1).run
            peers = [onnx_runtime(proto), open_vino(proto, ["y", "last"])]
            error = compare(peers[0](feeds), ours(feeds)).relative
            times = medians([ours, *peers], feeds)
        name = f"{kind} {direction}, {steps} steps, batch {batch}, {inputs} to {hidden}"
        ratios = [f"{times[0] / peer:.2f}" for peer in times[1:]]
        mark = "" if error <= TOLERANCE else " FAILED"
        print(f"| {' | '.join([name, *(f'{ms:.3f}' for ms in times), *ratios])} | {error:.0e}{mark} |", flush=True)


if __name__ == "__main__":
    main()
