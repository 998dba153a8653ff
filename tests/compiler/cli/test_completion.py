"""The completion of a shell offers values of options, as the generated script asks for them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from edgec.cli import app
from edgec.registry import names
from edgec.targets.board import board_names


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("compile m.onnx --target ", board_names()),
        ("check m.onnx -t rpi", ["rpi3", "rpi4", "rpi5"]),
        ("prune m.onnx -t rtx", ["rtx"]),
        ("tune m.onnx --precision ", ["fp32", "fp16", "int8"]),
        ("matrix m.onnx --targets host,rpi", ["host,rpi3", "host,rpi4", "host,rpi5"]),
        ("matrix m.onnx --precisions fp32,", ["fp32,fp16", "fp32,int8"]),
        ("eval m.onnx --metric ", names("metrics")),
        ("compile m.onnx --metric map", [name for name in names("metrics") if name.startswith("map")]),
        ("prune m.onnx --criterion ", names("criteria")),
        ("compile m.onnx --calibrator ", names("calibrators")),
        ("quantize m.onnx --calibrator ", names("calibrators")),
    ],
)
def test_values_are_offered(typed: str, offered: list[str]) -> None:
    words = f"edgec {typed}"
    asked = {"_EDGEC_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    answer = CliRunner().invoke(app, [], prog_name="edgec", env=asked)
    assert answer.stdout.split() == offered
