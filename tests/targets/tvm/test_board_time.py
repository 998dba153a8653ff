"""The fit of times of ARM boards: the published errors, and the constants that edgec ships."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgec.plain_file import parse

BENCH = Path(__file__).parents[3] / "bench" / "board_time"


@pytest.fixture(scope="module")
def fit() -> ModuleType:
    sys.path.insert(0, str(BENCH))
    try:
        import fit
    finally:
        sys.path.pop(0)
    return fit


@pytest.mark.parametrize(
    ("core", "name", "median", "p90"),
    [
        ("cortex-a53", "Raspberry Pi 3B+", 0.08, 0.15),
        ("cortex-a72", "Raspberry Pi 4", 0.06, 0.15),
        ("cortex-a72", "RK3399 A72", 0.06, 0.15),
        ("cortex-a76", "Raspberry Pi 5", 0.06, 0.15),
    ],
)
def test_a_network_left_out_is_met(fit: ModuleType, core: str, name: str, median: float, p90: float) -> None:
    board = next(each for each in fit.boards(core) if each.name == name)
    ratios = fit.left_out(board)
    errors = np.abs(np.array(list(ratios.values())) - 1)
    assert np.median(errors) <= median
    assert np.quantile(errors, 0.9) <= p90
    assert fit.ranked_right(board, ratios) >= 0.95


def test_the_shipped_constants_are_those_of_the_fit(fit: ModuleType) -> None:
    shipped = parse("toml", fit.CONSTANTS.read_text())["cores"]
    for core in fit.CORES:
        constants, _ = fit.fit_core(core)
        assert [shipped[core][name] for name in fit.COUNTS] == pytest.approx(constants, rel=1e-2, abs=1e-3)


def test_known_constants_are_found_again(fit: ModuleType) -> None:
    rng = np.random.default_rng(0)
    events, constants = rng.uniform(1, 10, (20, 5)), np.array([0.5, 0.0, 1.0, 8.0, 9.0])
    assert fit.solve(events, events @ constants) == pytest.approx(constants, abs=1e-6)
