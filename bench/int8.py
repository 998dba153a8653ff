"""Integer execution on this machine, and its ARM instructions under emulation: tables of docs/results/int8.md.

    pip install openvino; python bench/int8.py [TASK ...] [--arm rpi5 ... | --board x86-64-v3]

A network is quantized once (minmax, a few pictures, no repair: its speed does not depend on them); our int8 artefact,
our fp32 artefact of the float network, ONNX Runtime and OpenVINO then take turns, one thread. Figures are medians of
the process's CPU time. `weights` compares the constants of the ONNX networks, `model.so` our libraries: code and
weights. With --board, code for that x86 CPU runs here, int8 (weights as narrow as it wants them) and fp32 by turns,
weights of 8 bits third. With --arm, instructions a multiply-accumulate of one inference are counted
instead. Errors are relative to the range of what ONNX Runtime computes without optimizations; `sensitivity` is how far
its own outputs move when the input is scaled by 1 + 1e-4: quantized networks amplify single flipped roundings.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from peers import Arrays, medians, onnx_runtime, open_vino
from quantization_tasks import TASKS

import edgec
from edgec.compress.quantization import quantize_model
from edgec.model.cost import layer_costs
from edgec.model.graph import constant
from edgec.model.signature import inputs_of, outputs_of
from edgec.options import Precision
from edgec.passes.prepare import prepare
from edgec.quantizing import QuantizeOptions
from edgec.reference.compare import compare
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from edgec.targets.board import load_board
from edgec.targets.tvm.estimate import integer_weight_bits

sys.path.insert(0, str(Path(__file__).parent / "insn_count"))
import count

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

PICTURES = 8


@dataclass(frozen=True)
class Network:
    """A network in floats and in integers, and one input."""

    name: str
    floats: ir.Model
    integers: ir.Model
    feeds: Arrays

    @property
    def weights_share(self) -> float:
        """Bytes of the constants of the quantized network over those of the float one."""
        return constants(self.integers) / constants(self.floats)


def networks(names: list[str], bits: int = 8) -> Iterator[Network]:
    """Yield the networks, quantized to weights of `bits` bits."""
    for name in names:
        task = TASKS[name]
        floats = prepare(task.canonical())
        settings = QuantizeOptions(calibrator="minmax", repair=False, weight_bits=bits)
        result = quantize_model(floats, task.samples("calibration", PICTURES), settings, threads=1)
        yield Network(name, floats, result.quantized.model, golden_inputs(inputs_of(floats), seed=0))


def constants(model: ir.Model) -> int:
    """Return the bytes of a model's constants."""
    arrays = [constant(value) for value in model.graph.initializers.values()]
    return sum(array.nbytes for array in arrays if array is not None)


def host(network: Network) -> list[float]:
    """Print the row of one network; return ours int8 over ONNX Runtime, OpenVINO and ours fp32."""
    feeds, proto = network.feeds, ir.to_proto(network.integers).SerializeToString()
    expected = Reference(network.integers).run(feeds)
    nudged = {name: np.asarray(array * np.float32(1 + 1e-4)) for name, array in feeds.items()}
    sensitivity = compare(expected, Reference(network.integers).run(nudged)).relative
    with tempfile.TemporaryDirectory() as scratch:
        runs, sizes = ours_of([(network.integers, "int8"), (network.floats, "fp32")], "host", Path(scratch))
        runs += [onnx_runtime(proto), open_vino(proto, [spec.name for spec in outputs_of(network.integers)])]
        error = compare(expected, runs[0](feeds)).relative
        ours, floats, ort, vino = medians(runs, feeds)
    ratios = [ours / ort, ours / vino, ours / floats]
    cells = [*(f"{ms:.2f}" for ms in (ours, floats, ort, vino)), *(f"{ratio:.2f}" for ratio in ratios)]
    print(
        f"| {network.name} | {' | '.join(cells)} | {error:.0e} | {sensitivity:.0e} | {network.weights_share:.3f} | "
        f"{sizes[0] / sizes[1]:.3f} |",
        flush=True,
    )
    return ratios


def ours_of(
    models: list[tuple[ir.Model, Precision]], board: str, scratch: Path
) -> tuple[list[Callable[[Arrays], Arrays]], list[int]]:
    """Compile `models` for `board`, one thread; return them to be run here and the bytes of their libraries."""
    runs, sizes = [], []
    for index, (model, precision) in enumerate(models):
        folder = scratch / f"{index}"
        edgec.compile(model, target=board, output=folder, precision=precision, threads=1)
        runs.append(edgec.load(folder, threads=1).run)
        sizes.append((folder / "model.so").stat().st_size)
    return runs, sizes


def other(narrow: Network, wide: Network, board: str) -> list[float]:
    """Print the row of one network on another x86 CPU; return int8 over fp32, with narrow weights and with 8 bits."""
    models: list[tuple[ir.Model, Precision]] = [(narrow.integers, "int8"), (narrow.floats, "fp32")]
    with tempfile.TemporaryDirectory() as scratch:
        runs, _ = ours_of([*models, (wide.integers, "int8")], board, Path(scratch))
        error = compare(Reference(narrow.integers).run(narrow.feeds), runs[0](narrow.feeds)).relative
        ours, floats, whole = medians(runs, narrow.feeds)
    ratios = [ours / floats, whole / floats]
    cells = [*(f"{ms:.2f}" for ms in (ours, floats)), *(f"{ratio:.2f}" for ratio in ratios)]
    print(f"| {narrow.name} | {' | '.join(cells)} | {error:.0e} |", flush=True)
    return ratios


def arm(network: Network, boards: list[str]) -> None:
    """Print the instructions of one inference for each board."""
    macs = sum(layer.macs for layer in layer_costs(network.floats))
    cells = []
    for name in boards:
        with tempfile.TemporaryDirectory() as folder:
            edgec.compile(network.integers, target=name, output=Path(folder) / "artefact", precision="int8", threads=1)
            program = Path(folder) / "artefact" / "edgec-run"
            report = count.run([program, "--mark"], cpu=load_board(name).emulator_cpu or "max")
            cells.append(f"{count.regions(report)[0]['total'] / macs:.3f}")
    print(f"| {network.name} | {macs / 1e6:.0f} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), help=f"default: {' '.join(TASKS)}")
    parser.add_argument("--arm", nargs="+", metavar="BOARD", help="count instructions for these boards instead")
    parser.add_argument("--board", help="an x86 board whose code this machine runs")
    options = parser.parse_args()
    if options.board:
        bits = integer_weight_bits(load_board(options.board))
        print(f"| | int8 ms | fp32 ms | int8 / fp32 | 8-bit weights / fp32 | error |\n{'| --- ' * 6}|")
        pairs = zip(networks(options.tasks, bits), networks(options.tasks), strict=True)
        rows = [other(narrow, wide, options.board) for narrow, wide in pairs]
        means = [statistics.geometric_mean(column) for column in zip(*rows, strict=True)]
        print(f"| geometric mean | | | {' | '.join(f'{mean:.2f}' for mean in means)} | |")
        return
    if options.arm:
        print(f"| | MMAC | {' | '.join(options.arm)} |\n{'| --- ' * (2 + len(options.arm))}|")
        for network in networks(options.tasks):
            arm(network, options.arm)
        return
    times = ("int8 ms", "fp32 ms", "ONNX Runtime int8 ms", "OpenVINO int8 ms")
    ratios = ("int8 / ONNX Runtime", "int8 / OpenVINO", "int8 / fp32")
    print(f"| {' | '.join(('', *times, *ratios, 'error', 'sensitivity', 'weights', 'model.so'))} |\n{'| --- ' * 12}|")
    measured = [host(network) for network in networks(options.tasks)]
    means = [statistics.geometric_mean(column) for column in zip(*measured, strict=True)]
    print(f"| geometric mean | | | | | {' | '.join(f'{mean:.3f}' for mean in means)} | | | | |")


if __name__ == "__main__":
    main()
