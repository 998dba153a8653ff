"""Artefacts: reproducible, complete or absent, and refused when they are not what was written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgec
from edgec.artefact import staging
from edgec.artefact.files import MANIFEST, SUMS, FileEntry, write_sums
from edgec.artefact.staging import staged_folder
from edgec.errors import BadArtefact, BadOption
from edgec.whole_file import whole_file

BOARD = str(Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
MODEL = onnx.parser.parse_model("""
<ir_version: 8, opset_import: ["" : 13]>
two (float[n, 4] a, float[n, 4] b) => (float[n, 4] sum, float[n, 4] product)
{ sum = Add (a, b)  product = Mul (a, b) }
""")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def artefact(tmp_path: Path) -> edgec.Artefact:
    return edgec.compile(MODEL, target=BOARD, output=tmp_path / "artefact")


def test_same_input_and_options_give_the_same_bytes(tmp_path: Path) -> None:
    first = edgec.compile(MODEL, target=BOARD, output=tmp_path / "1")
    second = edgec.compile(MODEL, target=BOARD, output=tmp_path / "2")
    assert tree(first.folder) == tree(second.folder)


def test_python_api_runs_it(artefact: edgec.Artefact) -> None:
    runner = edgec.load(artefact.folder, threads=1)
    assert [spec.name for spec in runner.inputs] == ["a", "b"]
    assert [spec.shape for spec in runner.outputs] == [(1, 4), (1, 4)]
    a, b = np.float32([[1, 2, 3, 4]]), np.float32([[5, 6, 7, 8]])
    outputs = runner.run({"a": a, "b": b})
    np.testing.assert_array_equal(outputs["sum"], a + b)
    np.testing.assert_array_equal(outputs["product"], a * b)


def test_source_may_be_path_bytes_proto_or_ir(tmp_path: Path) -> None:
    import onnx_ir

    path = tmp_path / "two.onnx"
    onnx.save(MODEL, path)
    sources = (path, str(path), path.read_bytes(), MODEL, onnx_ir.from_proto(MODEL))
    for index, source in enumerate(sources):
        artefact = edgec.compile(source, target=BOARD, output=tmp_path / str(index))
        assert artefact.verify().ok


def test_given_golden_inputs_are_kept(tmp_path: Path) -> None:
    inputs = {"a": np.ones((1, 4), np.float32), "b": np.full((1, 4), 2, np.float32)}
    artefact = edgec.compile(MODEL, target=BOARD, output=tmp_path / "x", inputs=inputs)
    np.testing.assert_array_equal(artefact.golden_outputs()["sum"], np.full((1, 4), 3))
    with pytest.raises(BadOption, match=r"input b: float32\[1x4\] was not given"):
        edgec.compile(MODEL, target=BOARD, output=tmp_path / "y", inputs={"a": inputs["a"]})
    with pytest.raises(BadOption, match="float64"):
        edgec.compile(MODEL, target=BOARD, output=tmp_path / "y", inputs=inputs | {"b": np.ones((1, 4))})


def test_older_artefact_is_replaced_other_folders_are_not(artefact: edgec.Artefact, tmp_path: Path) -> None:
    edgec.compile(MODEL, target=BOARD, output=artefact.folder, seed=1)
    assert edgec.Artefact.open(artefact.folder).manifest.options.seed == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("precious")
    with pytest.raises(BadOption, match="not an artefact"):
        edgec.compile(MODEL, target=BOARD, output=tmp_path / "mine")


def test_altered_file_is_refused(artefact: edgec.Artefact) -> None:
    path = artefact.folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BadArtefact, match=r"model\.onnx does not match its hash"):
        edgec.load(artefact.folder)


def test_missing_file_is_refused(artefact: edgec.Artefact) -> None:
    (artefact.folder / "golden" / "inputs" / "0.npy").unlink()
    with pytest.raises(BadArtefact, match=r"golden/inputs/0\.npy is missing"):
        edgec.load(artefact.folder)


def edit(artefact: edgec.Artefact, change: object) -> None:
    path = artefact.folder / MANIFEST
    data = json.loads(path.read_text()) | change  # type: ignore[operator]
    path.write_text(json.dumps(data))
    write_sums(artefact.folder, [FileEntry(**entry) for entry in data["files"]])


def test_a_file_that_nobody_listed_is_refused(artefact: edgec.Artefact) -> None:
    """Programs there might load it: lib/ is searched for libraries, a folder of Python for modules."""
    for name in ("lib/libc.so.6", "__pycache__/x.pyc", ".hidden"):
        (artefact.folder / name).parent.mkdir(exist_ok=True)
        (artefact.folder / name).touch()
        with pytest.raises(BadArtefact, match=f"{name} is not in the manifest"):
            edgec.load(artefact.folder)
        (artefact.folder / name).unlink()
    (artefact.folder / "link").symlink_to(artefact.folder)
    with pytest.raises(BadArtefact, match="link is not in the manifest"):
        edgec.load(artefact.folder)


def test_what_is_measured_and_built_later_may_be_there(artefact: edgec.Artefact) -> None:
    edit(artefact, {"later": ["engine"]})
    (artefact.folder / "engine").mkdir()
    (artefact.folder / "engine" / "plan").touch()
    with whole_file(artefact.folder / "evidence.json") as staged:  # as another process does just now
        staged.write_text("{}")
        edgec.Artefact.open(artefact.folder)
    edgec.Artefact.open(artefact.folder)


def test_every_bit_of_the_manifest_counts(artefact: edgec.Artefact) -> None:
    path = artefact.folder / MANIFEST
    good = path.read_bytes()
    for at in range(0, len(good), 29):
        path.write_bytes(bytes([*good[:at], good[at] ^ 1 << at % 8, *good[at + 1 :]]))
        with pytest.raises(BadArtefact):
            edgec.Artefact.open(artefact.folder)


@pytest.mark.parametrize("damage", [b"", b"\xff", b"x" * 64 + b"  manifest.json\n"])
def test_the_hashes_beside_it_are_needed(artefact: edgec.Artefact, damage: bytes) -> None:
    (artefact.folder / SUMS).write_bytes(damage)
    with pytest.raises(BadArtefact, match=SUMS):
        edgec.Artefact.open(artefact.folder)
    (artefact.folder / SUMS).unlink()
    with pytest.raises(BadArtefact, match=f"{SUMS}: No such file"):
        edgec.Artefact.open(artefact.folder)


def test_anyone_can_check_it_by_sha256sum(artefact: edgec.Artefact) -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=artefact.folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(artefact.manifest.files) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"runtime": {"file": "/etc/passwd"}},
        {"runtime": {"file": "manifest.json"}},
        {"runtime": {}},
        {"runtime": {"file": 3}},
        {"tolerance": float("nan")},
        {"threads": 0},
        {"threads": 10**30},
        {"later": ["../.."]},
        {"inputs": [{"name": "a", "shape": [-1], "dtype": "float32", "golden": "golden/inputs/0.npy"}]},
        {"inputs": [{"name": "a", "shape": [1], "dtype": "object", "golden": "golden/inputs/0.npy"}]},
        {"outputs": [{"name": "a", "shape": [1], "dtype": "float32", "golden": "../x"}]},
    ],
    ids=str,
)
def test_a_manifest_is_refused_that_no_compilation_writes(artefact: edgec.Artefact, change: dict[str, object]) -> None:
    """Also where its hashes are right: whoever wrote it."""
    edit(artefact, change)
    with pytest.raises(BadArtefact):
        edgec.Artefact.open(artefact.folder)


def test_a_manifest_that_is_no_plain_file_or_nested_too_deeply_is_refused(artefact: edgec.Artefact) -> None:
    path = artefact.folder / MANIFEST
    path.write_text('{"runtime":' * 100_000)
    with pytest.raises(BadArtefact, match="nested too deeply"):
        edgec.Artefact.open(artefact.folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadArtefact, match="is not a regular file"):
        edgec.Artefact.open(artefact.folder)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(BadArtefact, match="symbolic links"):
        edgec.Artefact.open(artefact.folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\..\\b"])
def test_path_that_leaves_the_folder_is_refused(artefact: edgec.Artefact, name: str) -> None:
    edit(artefact, {"files": [{"path": name, "size": 1, "sha256": "0" * 64}]})
    with pytest.raises(BadArtefact, match="leaves the folder"):
        edgec.load(artefact.folder)


def test_link_that_leaves_the_folder_is_refused(artefact: edgec.Artefact, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (artefact.folder / "link").symlink_to(tmp_path / "secret")
    edit(artefact, {"files": [{"path": "link", "size": 1, "sha256": "0" * 64}]})
    with pytest.raises(BadArtefact, match="leaves the folder"):
        edgec.load(artefact.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 2}'])
def test_broken_manifest_is_refused(artefact: edgec.Artefact, text: str) -> None:
    (artefact.folder / MANIFEST).write_text(text)
    write_sums(artefact.folder, ())
    with pytest.raises(BadArtefact, match=r"manifest\.json"):
        edgec.load(artefact.folder)


def test_nothing_is_left_when_a_step_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_disk_full_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="No space left"), staged_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "half"))
    assert not list(tmp_path.iterdir())


def test_older_artefact_survives_a_failed_compilation(artefact: edgec.Artefact) -> None:
    before = tree(artefact.folder)
    with pytest.raises(KeyboardInterrupt), staged_folder(artefact.folder) as folder:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt
    assert tree(artefact.folder) == before


def test_older_artefact_is_put_back_where_the_new_one_cannot_take_its_place(
    artefact: edgec.Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = tree(artefact.folder), Path.rename

    def fails_for_the_new_one(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(staging, "_exchange", lambda one, other: False)  # as on a file system without it
    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(KeyboardInterrupt), staged_folder(artefact.folder):
        pass
    assert tree(artefact.folder) == before


def test_a_link_to_an_artefact_stays_a_link(artefact: edgec.Artefact, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(artefact.folder)
    edgec.compile(MODEL, target=BOARD, output=tmp_path / "latest", seed=1)
    assert (tmp_path / "latest").is_symlink()
    assert edgec.Artefact.open(artefact.folder).manifest.options.seed == 1


def test_a_place_that_is_taken_or_closed_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    stages: list[str] = []
    for place, message in ((tmp_path / "mine", "is not an artefact"), (tmp_path / "mine" / "out", "is not writable")):
        with pytest.raises(BadOption, match=message):
            edgec.compile(MODEL, target=BOARD, output=place, progress=stages.append)
    assert set(stages) == {"load"}


def test_a_back_end_that_would_run_any_code_is_refused(artefact: edgec.Artefact) -> None:
    board = json.loads((artefact.folder / MANIFEST).read_text())["board"]
    edit(artefact, {"board": board | {"backend": "antigravity:fly"}})
    with pytest.raises(BadArtefact, match="'antigravity:fly' is not one that is installed"):
        edgec.Artefact.open(artefact.folder)


def test_write_error_of_the_operating_system_leaves_nothing(tmp_path: Path) -> None:
    """A real failing write, not a simulated one: the process may write no file over 1 KiB."""
    onnx.save(MODEL, tmp_path / "two.onnx")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); from edgec.cli import main;"
        f"sys.argv = ['edgec', 'compile', 'two.onnx', '--target', {BOARD!r}, '-o', 'out', '--shape', 'a=99,4',"
        "'--shape', 'b=99,4']; main()"
    )
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 2, process.stderr
    assert "Nothing was left behind" in process.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["two.onnx"]
