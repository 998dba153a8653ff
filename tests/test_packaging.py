"""The wheel holds what the folders hold, and the README tells the truth about the commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgec.plain_file import parse

ROOT = Path(__file__).parent.parent
ROOTS = {"edgec": "compiler", "edgec.passes": "passes", "edgec.targets": "targets"}
PROJECT = parse("toml", (ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    found = set()
    for package, folder in ROOTS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def test_the_picture_of_the_rooms_is_that_of_the_import_contracts() -> None:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        from architecture_picture import PICTURE, drawing
    finally:
        sys.path.pop(0)
    assert PICTURE.read_text() == drawing(PROJECT), "draw it anew: python bench/architecture_picture.py"


def test_every_package_folder_is_listed() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


@pytest.mark.parametrize("folder", ROOTS.values())
def test_every_folder_with_python_is_a_package(folder: str) -> None:
    bare = {path.parent for path in (ROOT / folder).rglob("*.py")} - {
        p.parent for p in (ROOT / folder).rglob("__init__.py")
    }
    assert not bare


def test_installed_copy_has_every_source_file() -> None:
    import edgec
    import edgec.passes
    import edgec.targets

    installed = {"compiler": edgec, "passes": edgec.passes, "targets": edgec.targets}
    for folder, module in installed.items():
        assert module.__file__ is not None
        home = Path(module.__file__).parent
        sources = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        missing = [str(path) for path in sources if not (home / path.relative_to(ROOT / folder)).exists()]
        assert not missing, "not in the wheel: add it to package-data or packages"


def test_constraints_have_a_version_for_each_requirement_that_it_admits() -> None:
    tested = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [
        *PROJECT["project"]["dependencies"],
        *(each for name in ("tvm", "tune", "eval", "ssh") for each in extras[name]),
    ]
    for requirement in map(Requirement, asked):
        if requirement.name not in ("edgec", "tomli"):
            assert requirement.specifier.contains(tested[requirement.name]), requirement


def test_one_version_is_told_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert (ROOT / "CHANGELOG.md").read_text().index(f"## [{version}]") < 200
