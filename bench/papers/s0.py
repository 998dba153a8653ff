"""S0, fixed-point low-bit detectors: clip pairs with power-of-two scales, and ours: `python bench/papers/s0.py`.

The source clips activations to +-2^n_x and weights to +-2^n_w while it trains, then rounds both to b bits with
n + k = b - 1. Here the same clipping and rounding is done to the trained demo detector, for nine pairs; with
`--train PYTHON`, an interpreter that has torch, some pairs are trained on for a short while by
examples/detector/finetune.py, the networks kept in build/s0. Then edgec's calibrator `fixed-point` chooses a range for
each tensor, and the layers are repaired.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir

sys.path.insert(0, str(Path(__file__).parents[1]))
from quantization_tasks import TASKS, Task

from edgec.compress.quantization import quantize_model
from edgec.evaluation.run_metrics import run_metrics
from edgec.model.cost import layer_costs, total_cost
from edgec.model.graph import constant, label
from edgec.model.load import load
from edgec.model.serialize import save, weight_bytes
from edgec.passes.prepare import prepare
from edgec.passes.quantize.placement import place
from edgec.quantizing import QuantizeOptions
from edgec.reference.session import Reference

ACTIVATIONS = (1, 2, 3)
"""n_x: clipped to +-2, +-4, +-8."""
WEIGHTS = (0, 2, 3)
"""n_w: clipped to +-1 (the source's), +-4, +-8. Not trained while clipped, with its batch norms folded, the demo
detector has depthwise weights up to 8."""
TUNED = ((8, 0, 3), (8, 3, 3), (4, 0, 3))
"""Bits, n_w, n_x of the pairs that are trained on: the source's choice, and what comes closest without training."""
ROOT = Path(__file__).parents[2]
PUBLISHED = """
Published, trained while clipped, 8 bits, PASCAL VOC2012: YOLOv3-SPP 323 -> 82.75 MB, mAP 0.592 -> 0.573;
Faster R-CNN ResNet50 315 -> 76.75 MB, 0.780 -> 0.776; Faster R-CNN MobileNetV2 29 -> 7.25 MB, 0.636 -> 0.623."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibration", type=int, default=64)
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--train", help="Python interpreter with torch; default: nothing is trained")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=5000, help="of an epoch")
    options = parser.parse_args()
    task = TASKS["detector"]
    model = prepare(task.load())
    parameters = total_cost(layer_costs(model)).parameters
    print(f"| demo detector, mAP on {options.tests} pictures | weights | activations | MB | mAP |")
    print("| --- | --- | --- | --- | --- |")
    row("float", "32 bit", "32 bit", weight_bytes(model), score(model, task, options.tests))
    for bits in (8, 4):
        for n_x in ACTIVATIONS:
            for n_w in WEIGHTS:
                clipped = clip(model, n_x, n_w, bits)
                names = f"{bits} bit, +-{2.0**n_w:g}", f"{bits} bit, +-{2**n_x}"
                row("one clip pair", *names, parameters * bits // 8, score(clipped, task, options.tests))
    for bits, n_w, n_x in TUNED if options.train else ():
        clipped = clip(tuned(model, bits, n_w, n_x, options), n_x, n_w, bits)
        names = f"{bits} bit, +-{2.0**n_w:g}", f"{bits} bit, +-{2**n_x}"
        row("the same, trained on", *names, parameters * bits // 8, score(clipped, task, options.tests))
    samples = task.samples("calibration", options.calibration)
    for bits in (8, 4):
        settings = QuantizeOptions(calibrator="fixed-point", weight_bits=bits)
        made = quantize_model(model, samples, settings).quantized.model
        what = f"{bits} bit, by channel"
        row("edgec, fixed-point", what, "8 bit, by tensor", weight_bytes(made), score(made, task, options.tests))
    print(PUBLISHED)


def row(what: str, weights: str, activations: str, size: int, value: float) -> None:
    """Print one row."""
    print(f"| {what} | {weights} | {activations} | {size / 1e6:.2f} | {value:.3f} |", flush=True)


def clip(model: ir.Model, n_x: int, n_w: int, bits: int) -> ir.Model:
    """Return the network with one fixed-point format for all weights and one for all activations, still in floats."""
    changed = model.clone()
    placement = place(changed)
    layers = set(placement.layers)
    for node in changed.graph:
        value = node.inputs[1] if label(node) in layers else None
        array = constant(value)
        if value is not None and array is not None:
            value.const_value = ir.tensor(rounded(array, n_w, bits), name=value.name)
    values = {value.name: value for node in changed.graph for value in (*node.inputs, *node.outputs) if value}
    for name, uses in placement.uses.items():
        _insert(changed.graph, values[name], uses, n_x, bits)
    return changed


def tuned(model: ir.Model, bits: int, n_w: int, n_x: int, options: argparse.Namespace) -> ir.Model:
    """Return the network trained on while clipped and rounded; it is kept for the next time."""
    folder = ROOT / "build" / "s0"
    result = folder / f"{bits}_{n_w}_{n_x}_{options.epochs}_{options.pictures}.onnx"
    if not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save(model, folder / "float.onnx")
        script = ROOT / "examples" / "detector" / "finetune.py"
        how = ["--fixed-point", str(bits), str(n_w), str(n_x), "--rate", "1e-3", "--threads", "1"]
        how += ["--epochs", str(options.epochs), "--pictures", str(options.pictures), "--output", str(result)]
        subprocess.run([options.train, str(script), str(folder / "float.onnx"), *how], check=True, stdout=sys.stderr)
    return prepare(load(result).model)


def rounded(array: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Return float32 numbers in b bits with n of them before the binary point: q = round(x * 2^k), k = b - 1 - n."""
    scale = 2.0 ** (bits - 1 - n)
    steps = np.clip(np.rint(array * scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return (steps / scale).astype(np.float32)


def _insert(graph: ir.Graph, value: ir.Value, uses: set[tuple[str, int]], n: int, bits: int) -> None:
    scale = 2.0 ** (bits - 1 - n)
    ends = -(2.0**n), 2.0**n - 1 / scale
    numbers = [
        _number(graph, f"{value.name}_{what}", x) for what, x in zip("abcd", (*ends, scale, 1 / scale), strict=True)
    ]
    low, high, up, down = numbers
    clipped = ir.node("Clip", [value, low, high], name=f"{value.name}_clip")
    raised = ir.node("Mul", [clipped.outputs[0], up], name=f"{value.name}_up")
    steps = ir.node("Round", raised.outputs, name=f"{value.name}_round")
    lowered = ir.node("Mul", [steps.outputs[0], down], name=f"{value.name}_down")
    readers = [use for use in value.uses() if (label(use.node), use.idx) in uses]
    first = next(node for node in graph if any(node is use.node for use in readers))
    graph.insert_before(first, [clipped, raised, steps, lowered])
    for use in readers:
        use.node.replace_input_with(use.idx, lowered.outputs[0])


def _number(graph: ir.Graph, name: str, number: float) -> ir.Value:
    held = ir.Value(name=name, const_value=ir.tensor(np.array(number, np.float32), name=name))
    graph.register_initializer(held)
    return held


def score(model: ir.Model, task: Task, tests: int) -> float:
    """Return the mAP on the test pictures."""
    samples = task.samples("test", tests)
    return run_metrics(Reference(model, optimize=True).run, samples, {"map": task.make()})["map"].value


if __name__ == "__main__":
    main()
