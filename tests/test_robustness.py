"""Damaged models and failing disks: refused in words, and nothing half-made is left. At length: bench/robustness."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgec
from edgec.errors import BadModel, EdgecError, InternalError
from tests.support.hostile.faults import faults
from tests.support.hostile.mutate import mutated_model
from tests.support.models import model, random_weights
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import random_graph

BOARD = Path(__file__).parents[1] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"


@pytest.mark.parametrize("first", range(0, 30, 10))
def test_damaged_models_are_checked_or_refused_in_words(first: int) -> None:
    for seed in range(first, first + 10):
        damaged = mutated_model(random_graph(by_seed(seed)), seed)
        try:
            edgec.check(damaged, target="jetson-orin-nano")
        except EdgecError as error:
            assert not isinstance(error, InternalError), seed
            assert error.problem


def test_a_convolution_whose_groups_do_not_divide_its_channels() -> None:
    text = "g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) { y = Conv <group = 3> (x, w) }"
    with pytest.raises(BadModel, match=r"Conv node 'y': 3 groups, 4 channels"):
        model(text, random_weights(w=(4, 4, 1, 1)))


def test_every_write_flush_and_rename_may_fail(tmp_path: Path) -> None:
    """A full disk at each of them in its turn: an error in words, and no output that is half."""
    source = model("g (float[1, 3] x) => (float[1, 4] y) { y = MatMul (x, w) }", random_weights(w=(3, 4)))

    def compile_with(fails: int | None) -> int:
        out = tmp_path / f"out{fails}"
        with faults(fails) as told:
            try:
                edgec.compile(source, target=str(BOARD), output=out)
            except EdgecError as error:
                assert not isinstance(error, InternalError), told.where
                assert "No space left" in error.problem
        if out.exists():
            assert edgec.Artefact.open(out).verify().ok
        assert not list(tmp_path.glob(".*.tmp")), told.where
        return told.calls

    calls = compile_with(None)
    assert calls > 10
    for fails in range(0, calls, 3):
        compile_with(fails)
