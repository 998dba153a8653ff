"""The licences of an artefact are those of the installed packages, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgec.errors import MissingDependency
from edgec.record import Record
from edgec.targets.board import load_board
from edgec.targets.native.licence import OWN
from edgec.targets.tvm.licences import LINKED, install_licences
from edgec.targets.tvm.runtime_libs import LICENCES, runtime_libraries
from edgec.targets.tvm.zig import zig_file

IN_PROGRAMS = {"libcxx": "LLVM Exceptions", "zig": "Zig contributors", "glibc": "GNU C Library"}


def test_libraries_and_what_is_linked_into_programs_have_their_licences(tmp_path: Path) -> None:
    with runtime_libraries(load_board("host"), None, Record()) as runtime:
        install_licences(runtime, tmp_path / "LICENSES", pictures=True)
    texts = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "LICENSES").iterdir()}
    assert set(texts) == {*LICENCES.values(), *LINKED, "LICENSE.stb", OWN}
    for name, words in IN_PROGRAMS.items():
        assert words in texts[f"LICENSE.{name}"]
    assert texts["LICENSE.stb"].startswith("This software is available under 2 licenses")
    assert "Copyright (c) 2017 Sean Barrett" in texts["LICENSE.stb"]
    assert "*/" not in texts["LICENSE.stb"]


def test_both_sources_of_stb_have_the_same_licence() -> None:
    native = Path(__file__).parents[3] / "targets" / "native"
    ends = {(native / name).read_text().rpartition("This software")[2] for name in ("stb_image.h", "stb_image_write.h")}
    assert len(ends) == 1


def test_a_program_without_pictures_needs_no_licence_of_their_reader(tmp_path: Path) -> None:
    install_licences(tmp_path, tmp_path / "LICENSES", pictures=False)
    assert {path.name for path in (tmp_path / "LICENSES").iterdir()} == {*LINKED, OWN}


def test_a_file_that_ziglang_lacks_is_named() -> None:
    with pytest.raises(MissingDependency, match=r"`ziglang` does not contain lib/no\.txt"):
        zig_file("lib/no.txt")
