"""What was compiled before comes from the user's cache: the same bytes, or none. A cache is never needed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgec import scratch
from edgec.errors import BadOption
from edgec.options import CompileOptions
from edgec.record import Record
from edgec.targets.board import load_board
from edgec.targets.tvm import cache, compile_cache, runner_build, zig
from edgec.targets.tvm.cache import Cache
from edgec.targets.tvm.runner_build import install_runner
from edgec.targets.tvm.sealed import SUMS, is_sealed, seal
from tests.support.models import model
from tests.support.tvm_artefact import compiled

FACTS = {"cpu": "test", "sorts": False}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the entries of the kind "compiled"."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "compiled"


def library(folder: Path, content: bytes = b"machine code") -> Path:
    path = folder / f"library{len(content)}"
    path.write_bytes(content)
    return path


def test_the_second_compilation_copies_the_library_and_gives_the_same_artefact(folder: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    first = compiled(tmp_path / "first", "host", progress=stages.append)
    assert len(list(folder.iterdir())) == 1
    assert "generate code" in stages
    stages.clear()
    second = compiled(tmp_path / "second", "host", progress=stages.append)
    assert "generate code" not in stages
    assert second.manifest == first.manifest
    assert second.verify().ok


def test_it_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    artefact = compiled(tmp_path / "out", "host", cache=False)
    assert not folder.exists()
    assert "cache" not in json.loads((artefact.folder / "manifest.json").read_text())["options"]


# -- keys


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


# -- entries


def test_an_entry_is_given_back_as_it_was_kept(folder: Path, tmp_path: Path) -> None:
    kept = Cache("compiled")
    assert kept.take("k", tmp_path / "out") is None
    kept.keep("k", library(tmp_path), FACTS)
    assert kept.take("k", tmp_path / "out") == FACTS
    assert (tmp_path / "out").read_bytes() == b"machine code"


def test_no_bit_of_an_entry_can_be_altered_or_lost(folder: Path, tmp_path: Path) -> None:
    """Of its hash, of the facts and of the content alike; what was altered is removed."""
    Cache("compiled").keep("k", library(tmp_path), FACTS)
    good = (folder / "k").read_bytes()
    damaged = [good[:length] for length in range(len(good))]
    damaged += [bytes([*good[:at], good[at] ^ 1 << at % 8, *good[at + 1 :]]) for at in range(len(good))]
    for content in [*damaged, good + b"\0", b"[" * 200_000]:
        (folder / "k").write_bytes(content)
        assert Cache("compiled").take("k", tmp_path / "out") is None
        assert not (folder / "k").exists()
        assert not (tmp_path / "out").exists()


def test_only_plain_files_are_entries(folder: Path, tmp_path: Path) -> None:
    """A pipe would be waited for without end."""
    kept = Cache("compiled")
    kept.keep("other", library(tmp_path), FACTS)
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to(folder / "other")):
        make(folder / "k")
        assert kept.take("k", tmp_path / "out") is None
        kept.keep("k", library(tmp_path), FACTS)
        assert kept.take("k", tmp_path / "out") == FACTS
        (folder / "k").unlink()


def test_what_was_used_longest_ago_goes_first(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Cache("compiled")
    for age, name in enumerate("abc"):
        kept.keep(name, library(tmp_path, b"x" * 1000), FACTS)
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert kept.take("c", tmp_path / "out") == FACTS  # the oldest, but used now
    monkeypatch.setattr(cache, "LIMIT_BYTES", 3500)
    kept.keep("d", library(tmp_path, b"x" * 1000), FACTS)
    assert {path.name for path in folder.iterdir()} == {"a", "c", "d"}


def test_what_exceeds_the_cache_is_not_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT_BYTES", 10)
    Cache("compiled").keep("k", library(tmp_path), FACTS)
    assert not folder.exists()


def test_a_cache_that_cannot_be_used_is_told_and_done_without(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    kept = Cache("compiled", told.append)
    folder.parent.write_text("no folder")
    kept.keep("k", library(tmp_path), FACTS)
    assert kept.take("k", tmp_path / "out") is None
    folder.parent.unlink()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept.keep("k", library(tmp_path), FACTS)
    assert [("cannot be used" in message, "without it" in message) for message in told] == [(True, True)] * 2
    assert not list(folder.iterdir())


def test_concurrent_writers_leave_whole_entries(folder: Path, tmp_path: Path) -> None:
    source = library(tmp_path, bytes(range(256)) * 4000)

    def one(index: int) -> bool:
        Cache("compiled").keep("k", source, FACTS)
        return Cache("compiled").take("k", tmp_path / f"out{index}") == FACTS

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(40)))
    assert [path.name for path in folder.iterdir()] == ["k"]


def test_a_damaged_runner_is_built_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def build(program: str, board: object, scratch: Path, record: Record) -> None:
        built.append(scratch)
        (scratch / program).write_text("a program")

    monkeypatch.setattr(runner_build, "_compile", build)
    for _ in range(2):
        install_runner(load_board("host"), Record(), tmp_path / "edgec-run")
    assert len(built) == 1
    assert os.access(tmp_path / "edgec-run", os.X_OK)
    for damage in (b"", b"a prog", b"a pro9ram"):
        next((folder.parent / "runner").iterdir()).write_bytes(damage)
        install_runner(load_board("host"), Record(), tmp_path / "edgec-run")
        assert (tmp_path / "edgec-run").read_text() == "a program"
    assert len(built) == 4


# -- sealed folders


def test_a_sealed_folder_is_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a").write_text("one")
    (folder / "deep" / "b").write_text("two")
    assert not is_sealed(folder)
    seal(folder)
    assert is_sealed(folder)
    shutil.copytree(folder, tmp_path / "good")
    for damage in (
        lambda: (folder / "a").write_text("ona"),
        (folder / "deep" / "b").unlink,
        (folder / "deep" / "c").touch,
        lambda: (folder / "link").symlink_to(tmp_path),
        lambda: (folder / SUMS).write_text("\n".join((folder / SUMS).read_text().splitlines()[:-1])),
        lambda: (folder / SUMS).write_text(""),
        lambda: (folder / SUMS).write_bytes(b"\xff\xfe"),
        lambda: ((folder / "a").unlink(), os.mkfifo(folder / "a")),
        lambda: ((folder / SUMS).unlink(), os.mkfifo(folder / SUMS)),
    ):
        damage()
        assert not is_sealed(folder)
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "good", folder)
    assert is_sealed(folder)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(zig, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / f"zig-{zig.zig_version()}"


def test_what_zig_built_before_is_believed_only_as_it_was_left(kept: Path, tmp_path: Path) -> None:
    with zig._built_before(tmp_path / "instead") as folder:
        assert folder == kept
        (folder / "libc.a").write_text("objects")
    with zig._built_before(tmp_path / "instead") as folder:
        assert (folder / "libc.a").read_text() == "objects"
    (kept / "libc.a").write_text("object5")
    with zig._built_before(tmp_path / "instead") as folder:
        assert not list(folder.iterdir())


def test_a_cache_of_zig_that_another_process_keeps_is_done_without(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other may be stopped, and never end."""
    monkeypatch.setattr(zig, "PATIENCE_S", 0)
    with zig._built_before(tmp_path / "one") as first, zig._built_before(tmp_path / "other") as second:
        assert (first, second) == (kept, tmp_path / "other")


def test_a_cache_of_zig_that_cannot_be_written_is_copied(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zig._built_before(tmp_path / "instead") as folder:
        (folder / "libc.a").write_text("objects")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with zig._built_before(tmp_path / "instead") as folder:
        assert folder == tmp_path / "instead"
        assert (folder / "libc.a").read_text() == "objects"


def test_zig_goes_on_without_a_cache_whose_disk_is_full(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Path] = []

    def run(
        command: object, *, environment: dict[str, str], temporary: Path, **_: object
    ) -> subprocess.CompletedProcess[str]:
        used.append(Path(environment["ZIG_GLOBAL_CACHE_DIR"]))
        assert temporary.name.startswith(scratch.PREFIX)  # where the next run removes what a killed zig leaves
        if used[-1] != kept:
            return subprocess.CompletedProcess([], 0, "", "")
        (kept / "libc.a").write_text("the first ha")
        return subprocess.CompletedProcess([], 1, "", "error: unable to build libc: NoSpaceLeft")

    monkeypatch.setattr(zig, "run_child", run)
    told: list[str] = []
    zig.zig("cc", [], tmp_path, told.append)
    assert [path == kept for path in used] == [True, False]
    assert told == [f"the cache {kept} cannot be used (No space left on device), so edgec continues without it"]
    assert not (kept / "libc.a").exists()


def test_a_full_disk_for_temporary_files_is_an_error(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = subprocess.CompletedProcess([], 1, "", "error: NoSpaceLeft")
    monkeypatch.setattr(zig, "run_child", lambda command, **_: full)
    with pytest.raises(BadOption, match=r"zig cc: the disk of .* is full") as refused:
        zig.zig("cc", [], tmp_path)
    assert "TMPDIR" in refused.value.remedy
