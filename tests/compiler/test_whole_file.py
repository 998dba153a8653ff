"""What is written to a place of the user's choice is there whole, or what was there before stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgec.errors import BadOption
from edgec.whole_file import whole_file, write_text


def test_the_file_is_there_when_the_block_ends(tmp_path: Path) -> None:
    with whole_file(tmp_path / "scales.json") as staged:
        staged.write_text("new")
        assert not (tmp_path / "scales.json").exists()
        assert (staged.parent.parent, staged.name) == (tmp_path, "scales.json")
    assert (tmp_path / "scales.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "scales.json"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, interruption: type[BaseException]) -> None:
    (tmp_path / "scales.json").write_text("old")
    with pytest.raises(interruption), whole_file(tmp_path / "scales.json") as staged:
        staged.write_text("ne")
        raise interruption
    assert (tmp_path / "scales.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "scales.json"]


def test_a_place_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"cannot write .*missing"):
        write_text(tmp_path / "missing" / "scales.json", "new")
    with pytest.raises(BadOption, match="cannot write"):
        write_text(tmp_path, "new")
    (tmp_path / "file").touch()
    with pytest.raises(BadOption, match=r"cannot write .*scales\.json"):
        write_text(tmp_path / "file" / "scales.json", "new")


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "scales.json")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "scales.json").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
