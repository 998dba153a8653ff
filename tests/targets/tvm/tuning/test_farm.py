"""Tuning on boards through TVM's tracker, on loopback: one board is killed and restarted, another one hangs."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edgec.errors import BadOption, CannotRunHere
from edgec.targets.board import load_board
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.tuning import measure, tune
from edgec.targets.tvm.tuning.database import Database, confirmed
from edgec.targets.tvm.tuning.measure import Bench
from edgec.targets.tvm.tuning.search import Result
from edgec.targets.tvm.tuning.serve import last_line, parse_tracker
from edgec.targets.tvm.tuning.tune import TuneSettings, tune_network
from tests.support.models import model, random_weights

NETWORK = """
small (float[1, 3, 24, 24] image) => (float[1, 32, 24, 24] features)
{
  c = Conv <pads = [1, 1, 1, 1]> (image, w, b)
  r = Relu (c)
  features = Conv (r, v)
}
"""
KEY = "test-board"
HOST = "127.0.0.1"


class Farm:
    """A tracker and boards, each a process group of its own."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        tracker = self._start("tune", "--serve", "--host", HOST)
        assert tracker.stdout is not None
        self.address = f"{HOST}:{tracker.stdout.readline().partition('port ')[2].partition(';')[0]}"

    def board(self) -> subprocess.Popen[str]:
        """Start a board; it is there when this returns."""
        board = self._start("board", "--tracker", self.address, "--key", KEY, "--host", HOST)
        assert board.stdout is not None
        board.stdout.readline()
        return board

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from edgec.cli import main; main()", *arguments]
        environment = os.environ | {"TVM_BIND_THREADS": "0", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment)
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in self._processes:
            kill(process, signal.SIGKILL)
            process.wait()


def kill(process: subprocess.Popen[str], how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, how)


@pytest.fixture
def farm() -> Iterator[Farm]:
    started = Farm()
    yield started
    started.close()


def small() -> Any:
    return model(NETWORK, random_weights(w=(16, 3, 3, 3), b=(16,), v=(32, 16, 1, 1)))


@pytest.mark.slow
def test_boards_that_die_and_hang_cost_their_measurement_only(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, dying = farm.board(), farm.board()
    monkeypatch.setattr(measure, "START_S", 5.0)
    monkeypatch.setattr(measure, "PER_SECOND", 1.0)
    monkeypatch.setattr(tune, "PEAK_S", 0.05)
    monkeypatch.setattr("edgec.targets.tvm.tuning.task.NEAR_PEAK", math.inf)  # however busy the machine is
    monkeypatch.setattr("edgec.targets.tvm.tuning.search.SECONDS", {"first": 0.5, "final": 0.1, "confirmed": 0.1})
    started = []
    run = tune.NetworkTrials.run

    def die_and_return() -> None:
        kill(dying, signal.SIGKILL)
        farm.board()

    def disturbed(trials: Any, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        started.append(choices)
        if len(started) == 1:
            kill(hanging, signal.SIGSTOP)
        if len(started) == 2:
            threading.Timer(1.0, die_and_return).start()  # while it measures, or just before or after
        return run(trials, choices, seconds)

    monkeypatch.setattr(tune.NetworkTrials, "run", disturbed)
    board = load_board("host").model_copy(update={"threads": 1})
    settings = TuneSettings(trials=2, tracker=parse_tracker(farm.address, KEY))
    database = Database(tmp_path / "db")
    feeds = [tune.np.zeros((1, 3, 24, 24), "float32")]
    done = tune_network(small(), board, feeds, database, settings)
    assert done.lost == 0
    looked = {(each.workload, str(each.choice)) for each in Database(tmp_path / "db").measurements}
    wanted = {
        (task.workload.key, str(choice.as_json()))
        for task in done.tasks
        for choice in task.choices[1 : task.allowed + 1]
    }
    assert {task.reason for task in done.tasks} == {""}
    assert wanted <= looked
    assert confirmed(database.measurements).keys() == {task.workload.key for task in done.tasks if task.best[0] < 1}
    assert done.ratio <= 1


@pytest.mark.slow
def test_a_tracker_ends_without_a_word_on_any_address_and_says_that_its_port_is_taken() -> None:
    command = [sys.executable, "-c", "from edgec.cli import main; main()", "tune", "--serve", "--host", "127.0.0.2"]
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **how) as tracker:
        port = tracker.stdout.readline().partition("port ")[2].partition(";")[0]
        second = subprocess.run([*command, "--port", port], check=False, **how)
        tracker.send_signal(signal.SIGTERM)
        assert (tracker.wait(), tracker.stderr.read()) == (0, "")
    assert second.returncode == 2
    assert "the tracker cannot listen: ValueError: cannot bind to any port" in second.stderr
    assert "Exception ignored" not in second.stderr


def test_an_error_without_text_is_named_by_its_type() -> None:
    assert last_line(ValueError("Traceback:\n  ...\nno port is free\n")) == "no port is free"
    assert last_line(TimeoutError()) == "TimeoutError"


def test_without_a_tracker_the_remedy_is_the_command() -> None:
    problem = r"no tracker responds at 127.0.0.1:9.*\nStart a tracker: edgec tune --serve"
    with pytest.raises(CannotRunHere, match=problem):
        Bench([], 1, parse_tracker("127.0.0.1:9", KEY))
    with pytest.raises(BadOption, match="is not of the form HOST:PORT"):
        parse_tracker("nowhere", KEY)


def test_what_cannot_be_measured_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ATTEMPTS", 1)
    bench = Bench([], 1)
    broken = measure.TimedNetwork(tmp_path / "none.so", ("kernel",))
    with pytest.raises(measure.Lost):
        bench.measure([broken], 0.0)
    bench.close()
