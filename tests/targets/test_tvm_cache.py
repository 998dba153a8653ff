"""What was compiled before comes from the user's cache: the same bytes, or none."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgec.options import CompileOptions
from edgec.targets.board import load_board
from edgec.targets.tvm import compile_cache
from tests.support.models import model
from tests.support.tvm_artefact import compiled

FACTS = {"cpu": "test", "sorts": False}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compile_cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "compiled"


def library(folder: Path, content: bytes = b"machine code") -> Path:
    path = folder / f"library{len(content)}"
    path.write_bytes(content)
    return path


def test_the_second_compilation_copies_the_library_and_gives_the_same_artefact(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []
    first = compiled(tmp_path / "first", "host", listener=stages.append)
    assert len(list(cache.iterdir())) == 1
    assert "generate code" in stages
    stages.clear()
    second = compiled(tmp_path / "second", "host", listener=stages.append)
    assert "generate code" not in stages
    assert second.manifest == first.manifest
    assert second.verify().ok


def test_it_can_be_left_out(cache: Path, tmp_path: Path) -> None:
    artefact = compiled(tmp_path / "out", "host", cache=False)
    assert not cache.exists()
    assert "cache" not in json.loads((artefact.folder / "manifest.json").read_text())["options"]


def key(text: str = "g (float[4] x) => (float[4] y) { y = Relu (x) }", board: str = "rpi4", **options: object) -> str:
    settings = CompileOptions.model_validate({"target": board, **options})
    return compile_cache.key_of(model(text), load_board(board), settings)


def test_the_key_is_the_content() -> None:
    assert key() == key(seed=7)
    assert (
        len({key(), key(board="rpi5"), key(precision="fp16"), key("g (float[4] x) => (float[4] y) {y = Abs (x)}")}) == 4
    )


def test_the_key_of_this_machine_is_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(board="host")
    monkeypatch.setattr(compile_cache, "machine_identity", lambda: "another CPU")
    assert key(board="host") != before


def test_the_key_follows_the_code_that_generates(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(compile_cache, "_sources_hash", lambda: "a schedule was changed")
    assert key() != before


def test_an_entry_is_given_back_as_it_was_kept(cache: Path, tmp_path: Path) -> None:
    assert compile_cache.take("k", tmp_path / "out") is None
    compile_cache.keep("k", library(tmp_path), FACTS)
    assert compile_cache.take("k", tmp_path / "out") == FACTS
    assert (tmp_path / "out").read_bytes() == b"machine code"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"sha256": "0", "facts": {}}\nother', b"\xff\xfe\n", b"[1]\nx", b"3"])
def test_a_damaged_entry_is_dropped(damage: bytes, cache: Path, tmp_path: Path) -> None:
    compile_cache.keep("k", library(tmp_path), FACTS)
    (cache / "k").write_bytes(damage)
    assert compile_cache.take("k", tmp_path / "out") is None
    assert not (cache / "k").exists()
    assert not (tmp_path / "out").exists()


def test_a_flipped_bit_is_noticed(cache: Path, tmp_path: Path) -> None:
    compile_cache.keep("k", library(tmp_path), FACTS)
    content = bytearray((cache / "k").read_bytes())
    content[-1] ^= 1
    (cache / "k").write_bytes(content)
    assert compile_cache.take("k", tmp_path / "out") is None


def test_what_was_used_longest_ago_goes_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate("abc"):
        compile_cache.keep(name, library(tmp_path, b"x" * 1000), FACTS)
        os.utime(cache / name, (1000 - age, 1000 - age))
    assert compile_cache.take("c", tmp_path / "out") == FACTS  # the oldest, but used now
    monkeypatch.setattr(compile_cache, "LIMIT_BYTES", 3500)
    compile_cache.keep("d", library(tmp_path, b"x" * 1000), FACTS)
    assert {path.name for path in cache.iterdir()} == {"a", "c", "d"}


def test_what_exceeds_the_cache_is_not_kept(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_cache, "LIMIT_BYTES", 10)
    compile_cache.keep("k", library(tmp_path), FACTS)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(compile_cache, "cache_folder", lambda: tmp_path / "file")
    compile_cache.keep("k", library(tmp_path), FACTS)
    assert compile_cache.take("k", tmp_path / "out") is None


def test_concurrent_writers_leave_whole_entries(cache: Path, tmp_path: Path) -> None:
    source = library(tmp_path, bytes(range(256)) * 4000)

    def one(index: int) -> bool:
        compile_cache.keep("k", source, FACTS)
        return compile_cache.take("k", tmp_path / f"out{index}") == FACTS

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(40)))
    assert [path.name for path in cache.iterdir()] == ["k"]
