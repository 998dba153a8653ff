"""The search finds what is faster, keeps the rule's choice where nothing is, and goes on where it was killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.errors import CannotRunHere
from edgec.targets.tvm.regions.rule import Workload
from edgec.targets.tvm.schedules.choices import Choice
from edgec.targets.tvm.schedules.common.tiles import ConvTile
from edgec.targets.tvm.tuning.database import Database, confirmed
from edgec.targets.tvm.tuning.search import Lost, Result, Search, Tuning, compare
from edgec.targets.tvm.tuning.task import Task, make_tasks

WORKLOADS = {
    Workload(f"layer {number}", 1000): [Choice("matmul", ConvTile(1, tile)) for tile in range(1, 20)]
    for number in range(4)
}

ONCE = {workload.key: 1 for workload in WORKLOADS}


class MadeUp:
    """Layer n is fastest with tile 5 + n, 20 % faster than by rule; layer 3 is fastest by rule."""

    def __init__(self, noise: float = 0.0, places: int = 1) -> None:
        self.places, self.measured, self._random, self._noise = places, 0, random.Random(0), noise

    def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
        self.measured += 1
        whole = 1 - sum(1 - self.truth(key, choice) for key, choice in choices.items()) / 4
        return {"": Result(whole, 1, whole)} | {key: self._result(key, choice) for key, choice in choices.items()}

    def _result(self, key: str, choice: Choice) -> Result:
        ratio = self.truth(key, choice) * math.exp(self._random.gauss(0, self._noise))
        return Result(ratio, 1.0, ratio)

    def truth(self, key: str, choice: Choice) -> float:
        number = int(key.split()[1])
        return 1.3 if number == 3 else 0.8 + 0.03 * abs(choice.plan.pixels - 5 - number)


def search(path: Path, trials: Any, looks: int = 18, **options: Any) -> Tuning:
    times = {workload.key: 0.25 for workload in WORKLOADS}
    tasks = make_tasks(WORKLOADS, times, ONCE, whole=1.0, peak=1e6, trials=looks)
    return Search(tasks, trials, Database(path), target="t", schedules="s", whole=1.0, **options).run()


def test_it_finds_the_fastest_and_leaves_what_is_fastest_by_rule(tmp_path: Path) -> None:
    done = search(tmp_path / "db", MadeUp())
    assert [(task.best[0], task.best[1].plan.pixels) for task in done.tasks] == [(0.8, 5), (0.8, 6), (0.8, 7), (1, 1)]
    assert done.ratio == pytest.approx(0.85)
    found = confirmed(Database(tmp_path / "db").measurements)
    assert found == {
        task.workload.key: [{"baseline": task.choices[0].as_json(), "choice": task.best[1].as_json()}]
        for task in done.tasks[:3]
    }


def test_what_was_measured_beside_another_choice_of_the_rule_is_measured_again(tmp_path: Path) -> None:
    first, second = MadeUp(), MadeUp()
    search(tmp_path / "db", first)
    # In another network the rule takes the second choice.
    others = {workload: [choices[1], choices[0], *choices[2:]] for workload, choices in WORKLOADS.items()}
    tasks = make_tasks(others, dict.fromkeys(ONCE, 0.25), ONCE, whole=1.0, peak=1e6, trials=18)
    other = Search(tasks, second, Database(tmp_path / "db"), target="t", schedules="s", whole=1.0)
    assert [(task.best, task.looked_at) for task in tasks] == [((1.0, task.choices[0]), 0) for task in tasks]
    assert other.run().ratio == pytest.approx(0.85)
    assert second.measured == first.measured


def test_boards_measure_at_the_same_time(tmp_path: Path) -> None:
    assert search(tmp_path / "db", MadeUp(places=3)).ratio == pytest.approx(0.85)


def test_noise_does_not_pass_for_a_gain(tmp_path: Path) -> None:
    class Equal(MadeUp):
        def truth(self, key: str, choice: Choice) -> float:
            return 1.0

    done = search(tmp_path / "db", Equal(noise=0.01))
    assert done.ratio > 0.99


def test_what_makes_the_network_slower_is_not_kept(tmp_path: Path) -> None:
    class Harmful(MadeUp):
        def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
            return super().run(choices, seconds) | {"": Result(1, 1, 1.01)}

    assert search(tmp_path / "db", Harmful()).ratio == 1
    assert confirmed(Database(tmp_path / "db").measurements) == {}


def test_choices_that_harm_one_another_are_not_kept_together(tmp_path: Path) -> None:
    class Rivals(MadeUp):
        def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
            found = super().run(choices, seconds)
            return found | {"": Result(1, 1, 1.0 if {"layer 0", "layer 1"} <= choices.keys() else found[""].ratio)}

    done = search(tmp_path / "db", Rivals())
    faster = {task.workload.key for task in done.tasks if task.best[0] < 1}
    assert faster == confirmed(Database(tmp_path / "db").measurements).keys()
    assert not {"layer 0", "layer 1"} <= faster
    assert done.ratio <= 0.99


def test_a_choice_that_cannot_be_made_is_not_tried_again(tmp_path: Path) -> None:
    class Partial(MadeUp):
        def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
            return {key: found for key, found in super().run(choices, seconds).items() if key != "layer 0"}

    assert search(tmp_path / "db", Partial()).tasks[0].best[0] == 1
    again = Partial()
    search(tmp_path / "db", again)
    assert again.measured == 1  # what is kept, as a whole


def test_the_time_is_kept_and_the_next_run_measures_the_rest(tmp_path: Path) -> None:
    first = MadeUp()
    search(tmp_path / "db", first, until=-1.0)
    assert first.measured == 0
    search(tmp_path / "db", first, looks=6)
    second, whole = MadeUp(), MadeUp()
    assert search(tmp_path / "db", second).ratio == pytest.approx(0.85)
    search(tmp_path / "other", whole)
    assert first.measured + second.measured <= whole.measured + 3


def test_a_lost_trial_costs_itself_only_and_three_in_a_row_end_the_run(tmp_path: Path) -> None:
    class Unreliable(MadeUp):
        def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
            found = super().run(choices, seconds)
            if self.measured % 4 == 1:
                raise Lost("the board was rebooted")
            return found

    done = search(tmp_path / "db", Unreliable())
    assert done.lost > 0
    assert done.ratio < 0.9

    class Gone(MadeUp):
        def run(self, choices: Mapping[str, Choice], seconds: float) -> dict[str, Result]:
            raise Lost("no answer")

    with pytest.raises(CannotRunHere, match=r"3 measurements in a row were not completed: no answer"):
        search(tmp_path / "new", Gone())


def test_layers_near_the_peak_and_small_ones_are_left_out() -> None:
    times = {"layer 0": 0.5, "layer 1": 0.4, "layer 2": 1e-4, "layer 3": 0.0001}
    tasks = make_tasks(WORKLOADS, times, ONCE, whole=1.0, peak=2100.0, trials=10)
    assert [(task.workload.key, task.reason) for task in tasks[:2]] == [
        ("layer 0", "at 95% of the peak"),
        ("layer 1", "at 119% of the peak"),
    ]
    assert {task.reason for task in tasks[2:]} == {"it takes under 0.2% of the time"}


def test_a_layer_by_winograd_counts_with_the_quarter_of_the_multiplications_that_it_does() -> None:
    direct, transformed = (Choice(rule, ConvTile(1, 1)) for rule in ("conv", "winograd"))
    workloads = {Workload("layer 0", 1000): [direct, transformed], Workload("layer 1", 1000): [transformed, direct]}
    tasks = make_tasks(workloads, {"layer 0": 0.5, "layer 1": 0.5}, ONCE, whole=1.0, peak=1600.0, trials=10)
    assert [(task.reason, task.allowed) for task in tasks] == [("at 125% of the peak", 0), ("", 1)]


def test_short_layers_get_fewer_trials() -> None:
    times = {"layer 0": 0.9, "layer 1": 0.01, "layer 2": 0.004, "layer 3": 0.003}
    assert [task.allowed for task in make_tasks(WORKLOADS, times, ONCE, 1.0, 1e6, 10)] == [10, 5, 2, 2]


def test_turns_are_compared_one_by_one() -> None:
    drift = np.array([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    assert compare(drift, 0.5 * drift).ratio == 0.5


def killed_run(path: Path, acknowledged: Any) -> None:
    class Telling(Database):
        def append(self, measurements: Any) -> None:
            super().append(measurements)
            os.write(acknowledged, b"".join(f"{each.model_dump_json()}\n".encode() for each in measurements))

    times = {workload.key: 0.25 for workload in WORKLOADS}
    tasks = make_tasks(WORKLOADS, times, ONCE, whole=1.0, peak=1e6, trials=18)
    Search(tasks, MadeUp(), Telling(path), target="t", schedules="s", whole=1.0).run()


def test_ten_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng, path, told = random.Random(0), tmp_path / "db", b""
    for _ in range(10):
        reader, writer = os.pipe()
        process = multiprocessing.get_context("fork").Process(target=killed_run, args=(path, writer))
        process.start()
        os.close(writer)
        wanted = rng.randrange(1, 1200)
        said = b""
        while len(said) < wanted and (some := os.read(reader, wanted - len(said))):
            said += some
        os.kill(process.pid or 0, signal.SIGKILL)
        while some := os.read(reader, 1 << 16):
            said += some
        process.join()
        os.close(reader)
        told += said[: said.rfind(b"\n") + 1]
        there = {each.model_dump_json() for each in Database(path).measurements}
        assert {line.decode() for line in told.splitlines()} <= there
    assert search(path, MadeUp()).ratio == pytest.approx(0.85)


def test_a_task_tells_its_own_state() -> None:
    workload, choices = next(iter(WORKLOADS.items()))
    task = Task(workload, choices, seconds=1.0, share=0.5, allowed=3)
    assert task.best == (1.0, choices[0])
    assert task.next_looks() == choices[1:4]
    task.note(choices[1], "first", 0.9)
    task.note(choices[2], "first", 1.1)
    assert (task.looked_at, task.finalists(), task.winner()) == (2, [choices[1]], None)
    task.note(choices[1], "final", 0.9)
    assert (task.finalists(), task.winner()) == ([], choices[1])
    task.note(choices[1], "confirmed", 0.91)
    assert (task.best, task.winner()) == ((0.91, choices[1]), None)
