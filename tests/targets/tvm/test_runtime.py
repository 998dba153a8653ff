"""TVM's runtime libraries: where they come from, what is refused, and what a machine must have to run an artefact."""

from __future__ import annotations

import platform
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tvm")

from edgec.errors import BadOption, CannotRunHere, MissingDependency
from edgec.record import Record
from edgec.targets.base import RunContext
from edgec.targets.board import Board, load_board
from edgec.targets.tvm import cpu, run, runtime_libs, wheels, zig
from edgec.targets.tvm.runtime_libs import install_runtime, needed_glibc, runtime_libraries
from edgec.targets.tvm.wheels import Versions, installed_versions

OTHER = "aarch64" if platform.machine() == "x86_64" else "x86_64"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runtime_libs, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def runtime_folder(board: Board, wheel: Path | None, record: Record) -> Path:
    """Return what `runtime_libraries` yields, which stays where it is in the cache."""
    with runtime_libraries(board, wheel, record):
        pass  # now it is kept
    with runtime_libraries(board, wheel, record) as folder:
        return folder


def other_board(**changes: Any) -> Board:
    return load_board("rpi4" if OTHER == "aarch64" else "x86-64-v3").model_copy(update=changes)


def fake_wheels(folder: Path, versions: Versions, architecture: str = OTHER) -> Path:
    """Write wheels that hold what is looked for, and return the folder."""
    folder.mkdir(exist_ok=True)
    members: Mapping[str, tuple[str, ...]] = {
        f"apache_tvm-{versions.tvm}-py3-none-manylinux_2_27_{architecture}.whl": (
            "tvm/lib/libtvm_runtime.so",
            "tvm/lib/libtvm_runtime_extra.so",
            "tvm/lib/libtvm_compiler.so",
            "tvm/LICENSE",
        ),
        f"apache_tvm_ffi-{versions.ffi}-cp39-cp39-manylinux_2_24_{architecture}.whl": (
            "tvm_ffi/lib/libtvm_ffi.so",
            f"apache_tvm_ffi-{versions.ffi}.dist-info/licenses/LICENSE",
        ),
    }
    for name, files in members.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for file in files:
                archive.writestr(file, f"content of {file}\0GLIBC_2.17\0")
    return folder


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "SHA256", {})


def test_this_machines_libraries_come_from_the_installed_wheel(cache: Path) -> None:
    folder = runtime_folder(load_board("host"), None, Record())
    assert folder.is_relative_to(cache)
    assert (folder / "libtvm_runtime.so").read_bytes()[:4] == b"\x7fELF"
    assert {"LICENSE.tvm", "LICENSE.tvm-ffi", "NOTICE.tvm-ffi"} <= {path.name for path in folder.iterdir()}


def test_given_wheels_are_unpacked(cache: Path, tmp_path: Path, unpinned: None) -> None:
    given = fake_wheels(tmp_path / "wheels", installed_versions())
    folder = runtime_folder(other_board(), given, Record())
    names = {path.name for path in folder.iterdir()}
    assert {"libtvm_runtime.so", "libtvm_ffi.so", "LICENSE.tvm", "LICENSE.tvm-ffi"} <= names
    assert not {"libtvm_compiler.so", "libtvm_runtime_extra.so"} & names


def test_one_of_the_two_wheels_may_be_named(cache: Path, tmp_path: Path, unpinned: None) -> None:
    given = next(fake_wheels(tmp_path / "wheels", installed_versions()).glob("apache_tvm-*.whl"))
    assert (runtime_folder(other_board(), given, Record()) / "libtvm_ffi.so").is_file()


def test_an_artefact_gets_the_libraries_alone(cache: Path, tmp_path: Path, unpinned: None) -> None:
    source = runtime_folder(other_board(), fake_wheels(tmp_path / "wheels", installed_versions()), Record())
    assert (source / "SHA256SUMS").exists()
    (source / "libtvm_runtime_extra.so").touch()  # as older versions kept it
    install_runtime(source, tmp_path / "lib")
    names = {path.name for path in (tmp_path / "lib").iterdir()}
    assert names == {"libtvm_runtime.so", "libtvm_ffi.so"}


def test_a_damaged_cache_is_renewed(cache: Path, tmp_path: Path, unpinned: None) -> None:
    given = fake_wheels(tmp_path / "wheels", installed_versions())
    library = runtime_folder(other_board(), given, Record()) / "libtvm_runtime.so"
    good = library.read_bytes()
    library.write_bytes(good[:-1])
    assert runtime_folder(other_board(), given, Record()) == library.parent
    assert library.read_bytes() == good


def test_a_wheel_that_is_not_the_published_one_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = installed_versions()
    monkeypatch.setattr(wheels, "SHA256", {("apache-tvm", versions.tvm, OTHER): "0" * 64})
    with pytest.raises(BadOption, match=r"SHA-256 .* expected 000"):
        runtime_folder(other_board(), fake_wheels(tmp_path / "wheels", versions), Record())
    assert not any(cache.glob("tvm-runtime/*"))


def test_a_wheel_whose_hash_is_not_known_is_not_downloaded(cache: Path, offline: None, unpinned: None) -> None:
    with pytest.raises(MissingDependency, match=r"edgec does not know the hash of apache-tvm's wheel\n.*pip download"):
        runtime_folder(other_board(), None, Record())


def test_a_wheel_of_another_version_is_refused_with_the_command_that_gets_the_right_one(
    cache: Path, tmp_path: Path
) -> None:
    given = fake_wheels(tmp_path / "wheels", Versions("0.1", "0.2"))
    with pytest.raises(BadOption, match=r"contains no apache_tvm-.*pip download"):
        _flat(lambda: runtime_folder(other_board(), given, Record()))


def test_a_wheel_for_another_cpu_is_refused(cache: Path, tmp_path: Path) -> None:
    given = fake_wheels(tmp_path / "wheels", installed_versions(), "riscv64")
    with pytest.raises(BadOption, match=f"contains no .*{OTHER}.whl"):
        runtime_folder(other_board(), given, Record())


def test_a_wheel_that_is_not_there_is_refused(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no such file or folder"):
        runtime_folder(other_board(), tmp_path / "nothing.whl", Record())


def test_a_wheel_that_is_no_archive_is_refused(cache: Path, tmp_path: Path, unpinned: None) -> None:
    given = fake_wheels(tmp_path / "wheels", installed_versions())
    next(given.glob("apache_tvm-*.whl")).write_bytes(b"no archive")
    with pytest.raises(BadOption, match=r"apache_tvm-.*\.whl: File is not a zip file"):
        runtime_folder(other_board(), given, Record())


def test_without_a_network_the_remedy_is_the_offline_way(cache: Path, offline: None) -> None:
    stages: list[str] = []
    with pytest.raises(MissingDependency, match=r"cannot be downloaded: .*\n.*--runtime-wheel"):
        runtime_folder(other_board(), None, Record(listener=stages.append))
    assert stages == [f"download TVM's runtime for {OTHER}, once (95 MB)"]
    assert not any(cache.glob("tvm-runtime/*"))


def test_a_board_with_an_older_glibc_is_refused(cache: Path) -> None:
    board = load_board("host").model_copy(update={"glibc": "2.26"})
    with pytest.raises(BadOption, match=r"board host has glibc 2\.26, but TVM's runtime needs 2\.27"):
        runtime_folder(board, None, Record())


def test_everything_is_linked_for_what_the_runtime_needs(cache: Path) -> None:
    folder = runtime_folder(load_board("host"), None, Record())
    assert needed_glibc(sorted(folder.glob("*.so"))) <= zig.GLIBC


def test_without_tvm_the_remedy_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "PACKAGES", ("no-such-package",))
    with pytest.raises(MissingDependency, match=r"no-such-package.*\npip install 'apache-tvm"):
        installed_versions()


# -- CPUs


def test_the_hosts_cpu_becomes_its_name_and_needs_only_what_is_there() -> None:
    board = cpu.resolve(load_board("host"))
    assert board.cpu != "host"
    assert set(cpu.needed_flags(board)) <= cpu.machine_flags()


def test_instruction_sets_a_virtual_machine_hides_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    visible = cpu.machine_flags() - {"avx2", "asimd"}
    monkeypatch.setattr(cpu, "machine_flags", lambda: visible)
    board = cpu.resolve(load_board("host"))
    assert {"-avx2", "-neon"} & set(board.features)
    assert not {"avx2", "asimd"} & set(cpu.needed_flags(board))


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("x86-64-v3", {"avx2", "fma"}, {"avx512f"}),
        ("x86-64-v4", {"avx512f", "avx512vl"}, {"avx512_vnni"}),
        ("rpi4", {"asimd"}, {"asimddp", "atomics"}),
        ("rpi5", {"asimd", "asimddp", "asimdhp", "atomics"}, {"sve", "i8mm"}),
        ("graviton3", {"sve", "i8mm", "bf16"}, set()),
    ],
)
def test_boards_need_the_instruction_sets_of_their_cpu(name: str, has: set[str], lacks: set[str]) -> None:
    flags = set(cpu.needed_flags(cpu.resolve(load_board(name))))
    assert has <= flags
    assert not lacks & flags


def test_a_cpu_llvm_does_not_know_is_refused() -> None:
    with pytest.raises(BadOption, match="board rpi4: LLVM does not know the aarch64 CPU 'pentium'"):
        cpu.resolve(load_board("rpi4").model_copy(update={"cpu": "pentium"}))


def test_an_artefact_for_a_better_cpu_is_refused(tmp_path: Path) -> None:
    runtime = {"architecture": platform.machine(), "cpu_flags": ["quantum"]}
    with pytest.raises(CannotRunHere, match="its CPU lacks quantum"):
        run.open_artefact(RunContext(tmp_path, load_board("host"), (), (), runtime, threads=1))


def _flat(action: Any) -> None:
    """Run `action`; problem and remedy of its refusal on one line."""
    try:
        action()
    except BadOption as error:
        raise BadOption(str(error).replace("\n", " ")) from error
