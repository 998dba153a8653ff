"""The database is readable after any cut, loses nothing that was acknowledged, and merges."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.errors import BadOption
from edgec.targets.board import load_board
from edgec.targets.tvm.tuning import identity
from edgec.targets.tvm.tuning.database import Database, Measurement, confirmed, merge
from edgec.targets.tvm.tuning.identity import schedule_version, target_key

BY_RULE = {"rule": "conv", "tile": 0}


def measured(workload: str = "w", ratio: float | None = 0.5, tile: int = 1, **others: object) -> Measurement:
    facts = {"schedules": "s", "target": "t", "stage": "confirmed", "seconds": 1.0, "by_rule": 2.0, "baseline": BY_RULE}
    choice = {"rule": "conv", "tile": tile}
    return Measurement.model_validate(facts | {"workload": workload, "choice": choice, "ratio": ratio} | others)


def test_after_any_cut_the_whole_lines_are_there_and_more_can_be_added(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    Database(whole).append([measured("a"), measured("b")])
    content = whole.read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(len(content) + 1):
        path = tmp_path / "cut.db"
        path.write_bytes(content[:cut])
        kept = [each.workload for each in Database(path).measurements]
        assert kept[:1] == ["a"][: cut >= first - 1]
        Database(path).append([measured("c")])
        assert [each.workload for each in Database(path).measurements] == [*kept, "c"]


def test_two_writers_keep_each_others_lines(tmp_path: Path) -> None:
    one, other = Database(tmp_path / "db"), Database(tmp_path / "db")
    for number in range(5):
        one.append([measured(f"one {number}")])
        other.append([measured(f"other {number}")])
    assert len(Database(tmp_path / "db").measurements) == 10


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("a\nb\n")
    with pytest.raises(BadOption, match="is not a database of `edgec tune`"):
        Database(tmp_path / "db")
    with pytest.raises(BadOption, match="cannot write"):
        Database(tmp_path / "nowhere" / "db").append([measured()])


def test_a_file_of_one_line_that_is_no_measurement_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"my": "settings"}')
    with pytest.raises(BadOption, match="is not a database of `edgec tune`"):
        Database(tmp_path / "settings.json")


def test_only_what_is_confirmed_and_faster_by_enough_is_used() -> None:
    measurements = [
        measured("first look only", stage="first"),
        measured("final only", stage="final"),
        measured("too little", 0.99),
        measured("not made", None),
        measured("good", 0.9),
        measured("doubtful", 0.8),
        measured("doubtful", 1.2),
        measured("doubtful", 1.1),
        measured("vetoed", 0.8),
        measured("vetoed", None),
        measured("best of two", 0.9, tile=1),
        measured("best of two", 0.8, tile=2),
    ]
    assert confirmed(measurements) == {
        "good": [{"baseline": BY_RULE, "choice": {"rule": "conv", "tile": 1}}],
        "best of two": [{"baseline": BY_RULE, "choice": {"rule": "conv", "tile": 2}}],
    }


def test_ratios_to_different_choices_of_the_rule_are_kept_apart() -> None:
    # The same layer is direct by rule in one network and Winograd's in another.
    direct, transformed = {"rule": "conv", "tile": 0}, {"rule": "winograd", "tile": 0}
    measurements = [
        measured(ratio=0.5, tile=1, baseline=direct),
        measured(ratio=0.9, tile=2, baseline=direct),
        measured(ratio=1.3, tile=1, baseline=transformed),
        measured(ratio=0.9, tile=2, baseline=transformed),
    ]
    assert confirmed(measurements)["w"] == [
        {"baseline": direct, "choice": {"rule": "conv", "tile": 1}},
        {"baseline": transformed, "choice": {"rule": "conv", "tile": 2}},
    ]


def test_a_measurement_that_does_not_say_what_it_was_measured_beside_is_stale(tmp_path: Path) -> None:
    older = measured("older").model_dump_json(exclude={"baseline"})
    (tmp_path / "db").write_text(f"{older}\n{measured('newer').model_dump_json()}\n")
    assert merge([tmp_path / "db"], tmp_path / "all") == 2
    database = Database(tmp_path / "all")
    assert [each.workload for each in database.of("t", "s")] == ["newer"]
    assert database.stale("t", "s") == 1


def test_merging_is_a_union_without_duplicates(tmp_path: Path) -> None:
    Database(tmp_path / "a").append([measured("a"), measured("both")])
    Database(tmp_path / "b").append([measured("both"), measured("b")])
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all") == 3
    assert [each.workload for each in Database(tmp_path / "all").measurements] == ["a", "both", "b"]
    assert merge([tmp_path / "all", tmp_path / "a"], tmp_path / "all") == 3
    assert merge([tmp_path / "a"], tmp_path / "all") == 3  # what is there stays
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "all"}
    with pytest.raises(BadOption, match="no such file"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "all")


def test_a_merge_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    Database(tmp_path / "a").append([measured()])
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BadOption, match=r"cannot write .*all: no space left"):
        merge([tmp_path / "a"], tmp_path / "all")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_measurements_belong_to_board_precision_threads_and_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("rpi4")
    fewer = board.model_copy(update={"threads": 1})
    renamed = board.model_copy(update={"name": "mine", "memory_mib": 1})
    assert target_key(renamed, "fp32") == target_key(board, "fp32")
    keys = {target_key(board, "fp32"), target_key(board, "fp16"), target_key(fewer, "fp32")}
    assert len(keys | {target_key(load_board("rpi5"), "fp32")}) == 4
    here = target_key(load_board("host"), "fp32")
    monkeypatch.setattr(identity, "machine_identity", lambda: "another CPU")
    assert target_key(load_board("host"), "fp32") != here


def test_the_version_of_the_schedules_is_their_code_not_their_comments() -> None:
    assert len(schedule_version()) == 12
    same = ['"""One."""\ndef f():\n    """Two."""\n    return 1', "def f():  # why\n    return (1)"]
    same += ['def f():\n    return 1\n"""What for."""']
    assert len({identity._code(text) for text in same}) == 1
    others = ["def f():\n    return 2", "def f(x):\n    return 1", "def f():\n    return '1'", "def g():\n    return 1"]
    assert len({identity._code(text) for text in [same[0], *others]}) == 5


def test_the_version_of_the_schedules_is_that_of_a_tree_whose_files_may_move(tmp_path: Path) -> None:
    def tree(name: str, files: dict[str, str]) -> str:
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return identity.hash_of([tmp_path / name])

    tiles = "B = 2"
    flat = tree("flat", {"conv.py": "from room.tiles import cost\nA = 1", "tiles.py": tiles})
    moved = {
        "float/__init__.py": '"""Floats."""',
        "float/conv.py": "from room.common.tiles import cost\nA = 1",
        "common/tiles.py": tiles,
    }
    assert tree("moved", moved) == flat
    assert tree("other", moved | {"common/tiles.py": "B = 3"}) != flat
    assert tree("renamed", moved | {"float/conv.py": "from room.common.tiles import waste\nA = 1"}) != flat


def test_the_version_of_the_schedules_is_the_same_in_every_python() -> None:
    # 3.12 has new fields, and from 3.13 on `ast.dump` leaves out those that are empty.
    body = "[Return(value=Name(id='x', ctx=Load()))]"
    function = f"FunctionDef(name='f', args=arguments(args=[arg(arg='x')]), body={body})"
    assert identity._code("def f(x):\n    return x") == f"Module(body=[{function}])"
