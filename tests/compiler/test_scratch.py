"""Scratch folders vanish with their block; what a killed process left is removed by the next one, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgec.artefact import staging
from edgec.artefact.staging import staged_folder
from edgec.errors import BadOption
from edgec.scratch import scratch_folder, staging_prefix, temporary_folder
from edgec.whole_file import write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from edgec.artefact.staging import staged_folder
from edgec.scratch import temporary_folder
from edgec.whole_file import whole_file

with temporary_folder() as scratch, whole_file("scales.json") as file, staged_folder(Path("artefact")) as folder:
    for place in (scratch / "half", file, folder / "half"):
        place.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, temporary: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False)
    assert len(list(temporary.iterdir())) == 1
    assert len(list(tmp_path.iterdir())) == 3
    with temporary_folder(), staged_folder(tmp_path / "artefact") as folder:
        write_text(tmp_path / "scales.json", "whole")
        (folder / "manifest.json").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"temporary", "scales.json", "artefact"}
    assert not list(temporary.iterdir())


def test_a_folder_in_use_and_those_of_other_names_stay(tmp_path: Path) -> None:
    others = [tmp_path / ".model.rpi4.abcdefgh.tmp", tmp_path / ".model.tmp", tmp_path / ".model.notes.tmp"]
    for path in others:
        path.mkdir()
    prefix = staging_prefix(tmp_path / "model")
    with scratch_folder(tmp_path, prefix) as first:
        (first / "half").touch()
        with scratch_folder(tmp_path, prefix) as second:
            assert second != first
            assert (first / "half").exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_where_there_are_no_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", without)
    with scratch_folder(tmp_path, "a-") as first, scratch_folder(tmp_path, "a-") as second:
        assert first.exists()
        assert second.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_process_removes_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def mkdtemp(**options: object) -> str:
        made.append(original(**options))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    original = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with scratch_folder(tmp_path, "some.") as folder:
        assert (len(made), folder.is_dir()) == (2, True)


def test_a_link_in_the_place_of_an_abandoned_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "a-abcdefgh.tmp").symlink_to(tmp_path / "precious")
    with scratch_folder(tmp_path, "a-"):
        pass
    assert (tmp_path / "precious").is_dir()


def test_the_name_of_a_staged_folder_is_not_too_long(tmp_path: Path) -> None:
    write_text(tmp_path / ("é" * 120 + ".json"), "text")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_or_closed_folder_for_temporary_files_is_the_users_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with (
        pytest.raises(BadOption, match=r"temporary files cannot be written in .*missing.*\n.*TMPDIR"),
        temporary_folder(),
    ):
        pass
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BadOption, match="No space left"), temporary_folder():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(FileNotFoundError), temporary_folder():
        (tmp_path / "of another matter").read_bytes()


# -- the destination is replaced at once


def test_readers_see_the_older_or_the_newer_folder_and_nothing_else(tmp_path: Path) -> None:
    """By the system's exchange of two folders, so that no kill can fall between two renames."""
    (tmp_path / "artefact").mkdir()
    (tmp_path / "artefact" / "manifest.json").write_text("old")
    before = (tmp_path / "artefact").stat().st_ino
    renamed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", lambda path, target: renamed.append(str(path)))
        with staged_folder(tmp_path / "artefact") as folder:
            (folder / "manifest.json").write_text("new")
    assert renamed == []
    assert (tmp_path / "artefact" / "manifest.json").read_text() == "new"
    assert (tmp_path / "artefact").stat().st_ino != before


def test_without_an_exchange_a_kill_between_two_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_exchange", lambda one, other: False)
    abandoned = tmp_path / ".artefact.abcdefgh.tmp"
    (abandoned / "old").mkdir(parents=True)
    (abandoned / "old" / "manifest.json").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "artefact"):
        raise KeyboardInterrupt
    assert (tmp_path / "artefact" / "manifest.json").read_text() == "old"
    with staged_folder(tmp_path / "artefact") as folder:
        (folder / "manifest.json").write_text("new")
    assert (tmp_path / "artefact" / "manifest.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["artefact"]


def test_of_two_that_write_one_place_the_last_stays(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "artefact") as one:
        (one / "manifest.json").write_text("one")
        with staged_folder(tmp_path / "artefact") as other:
            (other / "manifest.json").write_text("other")
        assert (tmp_path / "artefact" / "manifest.json").read_text() == "other"
    assert (tmp_path / "artefact" / "manifest.json").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["artefact"]


def test_everything_is_on_the_disk_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    sync = os.fsync

    def note(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    with staged_folder(tmp_path / "artefact") as folder:
        (folder / "golden").mkdir()
        (folder / "golden" / "0.npy").touch()
        (folder / "manifest.json").touch()
    assert set(flushed[:-1]) == {"new", "golden", "0.npy", "manifest.json"}
    assert flushed[-1] == tmp_path.name
