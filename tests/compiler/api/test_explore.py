"""Exploration: points of accuracy against time, resumed after a kill, each of which can be compiled."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgec
from edgec.compress.exploration import JOURNAL
from edgec.compress.front import Front, FrontPoint
from edgec.errors import BadOption
from tests.passes.quantize_support import pictures, small
from tests.support.models import saved

BOARD = "jetson-tx2"
"""A board whose artefacts need no compiler here."""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a small network and unlabelled pictures, as arguments of `explore`."""
    folder = tmp_path_factory.mktemp("explore")
    data = folder / "data.npy"
    np.save(data, np.concatenate([sample.inputs["image"] for sample in pictures(20)]))
    prune = {"multiple": 1}
    model = saved(small(), folder / "model.onnx")
    return {"model": model, "target": BOARD, "data": str(data), "prune": prune, "precision": "fp32"}


@pytest.fixture(scope="module")
def front(given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a whole exploration."""
    folder = tmp_path_factory.mktemp("front")
    edgec.explore(**given, output=folder)
    return folder


def test_points_go_from_untouched_to_far_too_small(front: Path) -> None:
    found = Front.load(front)
    first, *rest = found.points
    assert first.loss == 0
    assert len(rest) >= 2
    assert all(point.milliseconds <= point.max_latency for point in found.points)
    times = [point.milliseconds for point in found.points]
    assert times == sorted(times, reverse=True)
    assert (found.decided_on, found.held_out) == (12, 8)
    for name in ("front.md", "front.html", "front.svg"):
        assert (front / name).stat().st_size > 0
    assert f"edgec compile {front} --point 1" in (front / "front.md").read_text()


def test_a_killed_run_goes_on_and_ends_the_same(given: dict[str, Any], front: Path, tmp_path: Path) -> None:
    script = (
        f"import edgec\nif __name__ == '__main__':\n    edgec.explore(output={str(tmp_path)!r}, **{plain(given)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    journal = tmp_path / JOURNAL
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 3):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "front.json").exists()
    said: list[str] = []
    edgec.explore(**given, output=tmp_path, progress=said.append)
    assert Front.load(tmp_path) == Front.load(front)


def plain(given: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}


def test_a_point_is_compiled_as_it_was_measured(given: dict[str, Any], front: Path, tmp_path: Path) -> None:
    from edgec.api.explore import point_of
    from edgec.compress.front import SENSITIVITY

    point = Front.load(front).points[1]
    model, options = point_of(front, 2)
    artefact = edgec.compile(model, output=tmp_path / "out", journal=front / SENSITIVITY, **options)
    compression = artefact.manifest.compression
    assert compression is not None
    assert compression.loss == pytest.approx(point.loss, rel=1e-9, abs=1e-12)
    assert compression.steps[-1].macs == point.macs
    assert compression.steps[-1].seconds == pytest.approx(1e-3 * point.milliseconds)
    assert (front / SENSITIVITY).exists()


def test_a_changed_model_or_a_missing_point_is_refused(front: Path, tmp_path: Path) -> None:
    from edgec.api.explore import point_of

    with pytest.raises(BadOption, match="there is no point 99"):
        point_of(front, 99)
    with pytest.raises(BadOption, match=r"front\.json"):
        point_of(tmp_path, 1)
    changed = Front.load(front).model_copy(update={"sha256": "0" * 64})
    changed.save(tmp_path)
    with pytest.raises(BadOption, match="missing or has changed"):
        point_of(tmp_path, 1)


def test_a_journal_of_other_settings_is_refused(given: dict[str, Any], front: Path) -> None:
    with pytest.raises(BadOption, match="was started with another options"):
        edgec.explore(**{**given, "prune": {"cap": 0.5, "multiple": 1}}, output=front)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_loss": 0.1}, "no goal of an exploration"),
        ({"data": None}, "needs pictures"),
        ({"target": "host", "data": "nowhere"}, "nowhere"),
    ],
)
def test_refusals(given: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        edgec.explore(**{**given, **change}, output=tmp_path / "front")


def test_the_front_has_the_points_that_no_other_beats() -> None:
    def point(ms: float, loss: float) -> FrontPoint:
        figures: dict[str, Any] = {"value": 0, "decided": 0, "macs": 0, "weight_bytes": 0, "in_float": 0}
        return FrontPoint(precision="fp32", max_latency=ms, milliseconds=ms, loss=loss, **figures)

    points = (point(4, 0.0), point(3, 0.2), point(2, 0.1), point(1, float("inf")))
    shared: dict[str, Any] = {
        "sha256": "",
        "options": {},
        "metric": "map",
        "before": 1.0,
        "decided_on": 1,
        "held_out": 1,
    }
    assert Front(model="m", points=points, **shared).best == (points[0], points[2])
