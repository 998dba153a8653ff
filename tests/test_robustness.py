"""Damaged models and failing disks: refused in words, and nothing half-made is left. At length: bench/robustness."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import edgec
from edgec.errors import BadModel, EdgecError, InternalError
from edgec.model.load import Source as ModelSource
from tests.support.hostile.altered import altered_model
from tests.support.hostile.faults import faults
from tests.support.hostile.mutate import mutated_model
from tests.support.models import model, random_weights
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import random_graph

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "bench" / "robustness"
BOARD = ROOT / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"


@pytest.mark.parametrize("change", [mutated_model, altered_model], ids=["damaged", "altered"])
@pytest.mark.parametrize("first", range(0, 30, 10))
def test_damaged_models_are_checked_or_refused_in_words(first: int, change: Callable[..., ModelSource]) -> None:
    for seed in range(first, first + 10):
        given = change(random_graph(by_seed(seed)), seed)
        try:
            edgec.check(given, target="jetson-orin-nano")
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


# -- the scripts of bench/robustness


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module(name)


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_every_script_can_be_started(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("tvm", "asyncssh"):
        pytest.importorskip(package)
    assert script(name, monkeypatch).__doc__


def test_the_table_in_the_docs_is_that_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    table = script("table", monkeypatch)
    assert table.page() == (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"), "run table.py"


@pytest.mark.parametrize("kind", ["npy", "npz", "coco", "voc", "yolo", "text-lines", "pictures", "names"])
def test_damaged_data_is_read_or_refused_in_words(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = script("hostile_data", monkeypatch)
    for number in range(8):
        outcome = data.run(number, kind)
        assert not outcome.odd, outcome.message


def test_cases_go_on_behind_those_kept_and_odd_ones_are_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign, case = script("campaign", monkeypatch), script("case", monkeypatch)
    ends = {3: "traceback"}

    def run(*arguments: str) -> dict[str, object]:
        results = str(tmp_path / "results.json")
        monkeypatch.setattr(sys, "argv", ["attack.py", "--results", results, *arguments])
        kinds = {"one": lambda numbers: ((each, case.Outcome(ends.get(each, "done"))) for each in numbers)}
        with pytest.raises(SystemExit):
            campaign.run("An attack.", kinds, 2)
        found: dict[str, object] = json.loads(Path(results).read_text())["attack"]["one"]
        return found

    assert run()["cases"] == 2
    after = run()
    assert (after["cases"], list(after["odd"])) == (4, ["3"])  # type: ignore[call-overload]
    ends.clear()
    again = run("--again")
    assert (again["cases"], again["odd"], again["mended"], again["ended"]) == (4, {}, 1, {"done": 4})
    assert "4 cases: 4 done; odd: 0 (1 mended)" in capsys.readouterr().out
