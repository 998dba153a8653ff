"""`edgec check`: one finding a node, exit code 0, 1 or 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgec import check
from edgec.cli import app
from edgec.errors import BadOption
from edgec.model.serialize import save
from tests.support.models import model

HARD_SWISH = "net (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { a = Relu (x)  y = HardSwish (a) }"
NON_ZERO = "net (float[4] x) => (int64 y) { n = NonZero (x)  y = ReduceMax <keepdims = 0> (n) }"


def written(folder: Path, text: str) -> Path:
    save(model(text), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("text", "target", "code"),
    [
        (HARD_SWISH, "jetson-tx2", 0),
        (NON_ZERO, "jetson-tx2", 1),
        (HARD_SWISH, "host", 0),
        (NON_ZERO, "host", 0),
    ],
)
def test_exit_code_says_whether_it_can_be_compiled(text: str, target: str, code: int, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(written(tmp_path, text)), "--target", target, "--json"])
    assert result.exit_code == code
    assert json.loads(result.stdout)["legal"] is (code == 0)


def test_a_rewrite_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(written(tmp_path, HARD_SWISH)), "-t", "jetson-tx2"])
    assert "HardSigmoid" in result.stdout
    assert "1 supported, 1 rewritten, 0 refused" in result.stdout


def test_a_refusal_says_what_to_do() -> None:
    refused = next(f for f in check(model(NON_ZERO), target="jetson-tx2").findings if f.verdict == "refused")
    assert refused.reason == "TensorRT's parser does not support the operator"
    assert refused.remedy == "TensorRT 8.5 supports it: choose a board that has it."


def test_an_input_type_is_refused_before_the_nodes() -> None:
    network = model("net (double[4] x) => (double[4] y) { y = Relu (x) }")
    first = check(network, target="jetson-tx2").findings[0]
    assert (first.where, first.verdict) == ("input 'x'", "refused")


def test_a_board_with_a_dla_says_what_would_run_there(tmp_path: Path) -> None:
    """On Xavier, HardSwish becomes HardSigmoid and Mul only before TensorRT 8.5; no DLA has it."""
    path = str(written(tmp_path, HARD_SWISH))
    findings = check(path, target="jetson-xavier-nx").findings
    assert findings[1].device == "GPU: HardSwish is not a layer of the DLA"
    result = CliRunner().invoke(app, ["check", path, "-t", "jetson-xavier-nx", "--all"])
    assert "0 of 2 could run on the DLA" in result.stdout
    assert check(path, target="jetson-tx2").findings[0].device == ""


def test_unknown_target_is_an_error() -> None:
    with pytest.raises(BadOption, match="unknown target"):
        check(model(HARD_SWISH), target="jetson-tx3")
