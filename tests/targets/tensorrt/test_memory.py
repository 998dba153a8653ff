"""Memory of a build, counted on the host: what cannot fit is refused there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgec.errors import UnsupportedModel
from edgec.targets.board import load_board
from edgec.targets.tensorrt.memory import activation_bytes, needed_mib, refuse_too_large, workspace_mib
from tests.support.models import model
from tests.support.tensorrt_board import write_artefact

NANO = load_board("jetson-nano")
CHAIN = "net (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) {{ a = Relu (x)  b = Sigmoid (a)  y = {} }}"
ONE = 4 * 4 * 8 * 8
"""Bytes of one of its values."""


def test_values_count_until_they_are_read_for_the_last_time() -> None:
    assert activation_bytes(model(CHAIN.format("Tanh (b)"))) == 2 * ONE
    assert activation_bytes(model(CHAIN.format("Add (b, a)"))) == 3 * ONE
    assert activation_bytes(model(CHAIN.format("Add (b, x)"))) == 3 * ONE


def wide(side: int) -> ir.Model:
    text = f"net (float[1, 1, {side}, {side}] x) => (float[1, 64, {side}, {side}] y) {{ y = Conv (x, w) }}"
    return model(text, {"w": np.ones((64, 1, 1, 1), np.float32)})


def test_what_cannot_fit_is_refused_with_its_parts() -> None:
    with pytest.raises(UnsupportedModel, match=r"MiB of activations.*jetson-nano has about 3584 MiB free") as caught:
        refuse_too_large(NANO, wide(4096))
    assert "smaller --shape" in (caught.value.remedy or "")
    refuse_too_large(load_board("jetson-agx-orin"), wide(4096))
    refuse_too_large(NANO, wide(1024))


def test_a_batch_counts_as_often_as_it_is_large() -> None:
    assert needed_mib(NANO, wide(512), 8) - needed_mib(NANO, wide(512)) == 7 * activation_bytes(wide(512)) >> 20
    with pytest.raises(UnsupportedModel):
        refuse_too_large(NANO, wide(1024), 16)


def test_workspace_is_an_eighth_within_bounds() -> None:
    assert [workspace_mib(load_board(name)) for name in ("jetson-nano", "jetson-tx2", "jetson-agx-orin")] == [
        512, 1024, 2048
    ]  # fmt: skip


def test_nothing_is_written_for_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.targets.tensorrt.memory.LIBRARIES_MIB", 100_000)
    with pytest.raises(UnsupportedModel, match="jetson-tx2"):
        write_artefact(tmp_path, model(CHAIN.format("Tanh (b)")))
    assert not (tmp_path / "model.onnx").exists()
