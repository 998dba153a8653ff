"""What each kernel of a network takes: measured by the artefact's own program, named by the ONNX nodes in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx_ir as ir
import pytest
from typer.testing import CliRunner

from edgec.api.compare import compare
from edgec.artefact import evidence
from edgec.artefact.artefact import Artefact
from edgec.cli import app
from edgec.model.cost import layer_costs, total_cost
from edgec.model.shapes import fix_shapes
from edgec.report.page import render
from edgec.targets.tvm.layers import layers_of
from tests.support.models import model, random_weights
from tests.support.tvm_artefact import compiled, edgec_run, small_model


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return compiled(tmp_path_factory.mktemp("profile") / "small.host", "host", threads=1)


def small() -> ir.Model:
    """A convolution with a ReLU, a view, and a product behind it."""
    text = """
    net (float[1, 2, 4, 4] x) => (float[1, 3] y)
    {
      c = Conv (x, w)
      r = Relu (c)
      f = Flatten (r)
      y = MatMul (f, v)
    }
    """
    return fix_shapes(model(text, random_weights(w=(2, 2, 4, 4), v=(2, 3))), {})


def test_a_layer_has_the_nodes_macs_and_bytes_of_what_its_call_computes() -> None:
    found = layers_of(small(), {("conv", 0): ("c", "r"), ("matmul", 0): ("y",)})
    conv, product = found
    assert [layer.nodes for layer in found] == [("c", "r"), ("f", "y")]
    assert (conv.macs, product.macs) == (2 * 2 * 16, 2 * 3)
    assert conv.bytes == 4 * (2 * 16 + 2 * 2 * 16 + 2)  # input, weights, output
    assert product.bytes == 4 * (2 + 2 * 3 + 3)


def test_nodes_of_no_call_belong_to_what_reads_them() -> None:
    (only,) = layers_of(small(), {("all", 0): ("y",)})
    assert len(only.nodes) == 4
    assert only.macs == total_cost(layer_costs(small())).macs


def test_every_multiply_add_is_in_a_kernel(artefact: Artefact) -> None:
    found = artefact.profile(runs=3, warmup=1)
    names = [name for kernel in found.kernels for name in kernel.nodes]
    assert len(names) == len(set(names))
    assert sum(kernel.macs for kernel in found.kernels) == total_cost(layer_costs(fix_shapes(small_model(), {}))).macs
    assert all(kernel.ms >= 0 and kernel.share_of_peak >= 0 for kernel in found.kernels)
    assert found.runs == 3 and found.whole_ms > 0 and found.peak_macs_per_s > 0
    assert found.sum_ms == pytest.approx(sum(kernel.ms for kernel in found.kernels) + found.executor_ms)


def test_a_trace_has_the_kernels_one_after_the_other(artefact: Artefact, tmp_path: Path) -> None:
    found = artefact.profile(runs=1, warmup=0, trace=tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["args"]["function"] for event in events] == [kernel.function for kernel in found.kernels]
    ends = [event["ts"] + event["dur"] for event in events]
    assert all(event["ts"] >= end for event, end in zip(events[1:], ends, strict=False))


def test_the_board_prints_a_table_slowest_first(artefact: Artefact) -> None:
    done = edgec_run(artefact, "--profile", "--runs", "2")
    assert done.returncode == 0, done.stderr
    _, head, *rows, whole, peak = done.stdout.splitlines()
    assert head.split() == ["ms", "share", "MMAC", "KiB", "peak", "nodes"]
    times = [float(row.split()[0]) for row in rows]
    assert times == sorted(times, reverse=True)
    assert "whole inference" in whole and "multiply-adds a second" in peak
    refused = edgec_run(artefact, "--trace", "/nowhere/trace.json")
    assert refused.returncode == 2 and "cannot write /nowhere/trace.json" in refused.stderr


def measured(folder: Path, ms: float) -> Artefact:
    """The artefact in `folder`, with evidence that its convolution took `ms`."""
    kernels = [
        {"function": "conv_relu", "nodes": ["/a/Conv", "/a/Relu"], "ms": ms, "macs": 5, "share_of_peak": 0.5},
        {"function": "unpack", "nodes": [], "ms": 0.1},
    ]
    facts = {"where": "here", "threads": 1, "runs": 3, "whole_ms": 1.0, "executor_ms": 0.1, "kernels": kernels}
    evidence.keep(folder, "kernels", facts)
    return Artefact.open(folder)


def test_the_report_shows_kernels_and_compare_tells_which_changed(artefact: Artefact, tmp_path: Path) -> None:
    shutil.copytree(artefact.folder, tmp_path / "old")
    shutil.copytree(artefact.folder, tmp_path / "new")
    old, new = measured(tmp_path / "old", 0.6), measured(tmp_path / "new", 0.9)
    page = render(old)
    assert "Measured kernels" in page
    assert "/<wbr>a/<wbr>Conv + /<wbr>a/<wbr>Relu" in page
    (note,) = compare(old, new).notes
    assert note == "Kernels whose time changed most, by their first ONNX node: /a/Conv 0.600 to 0.900 ms."
    assert not compare(old, old).notes


def test_several_artefacts_are_measured_side_by_side(artefact: Artefact) -> None:
    done = CliRunner().invoke(app, ["bench", str(artefact.folder.parent), "--json", "--runs", "2"])
    assert list(json.loads(done.stdout)) == [str(artefact.folder)]
    refused = CliRunner().invoke(app, ["bench", str(artefact.folder.parent), "--layers"])
    assert refused.exit_code != 0


def test_the_command_shows_the_kernels(artefact: Artefact) -> None:
    done = CliRunner().invoke(app, ["bench", str(artefact.folder), "-q", "--layers", "--runs", "2"])
    assert done.exit_code == 0, done.output
    assert "without clocks inside" in done.stdout
    assert evidence.read(artefact.folder)["kernels"]["runs"] == 2
