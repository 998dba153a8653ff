"""A small network compiled for this machine, run in this process and by its own edgec-run."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgec.artefact.artefact import Artefact
from edgec.artefact.files import MANIFEST, SUMS, write_sums
from edgec.errors import BadOption, UnsupportedModel
from edgec.reference.compare import compare
from edgec.reference.session import Reference
from edgec.targets.tvm import run as run_module
from edgec.targets.tvm.cpu_flags import machine_flags
from edgec.targets.tvm.run_process import ProcessRunner
from tests.support import data_sizes
from tests.support.models import model
from tests.support.sanitized import lean_copy, sanitized_run
from tests.support.tvm_artefact import compiled, edgec_run

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return compiled(tmp_path_factory.mktemp("host") / "artefact", "host")


@pytest.fixture(scope="module")
def lean(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lean")
    lean_copy(artefact, folder)
    return folder


def test_it_gives_the_results_of_the_reference(artefact: Artefact) -> None:
    verification = artefact.verify()
    assert verification.where == "native"
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


@pytest.mark.skipif("avx2" not in machine_flags(), reason="this CPU has no AVX2")
def test_code_for_avx2_gives_them_too(tmp_path: Path) -> None:
    verification = compiled(tmp_path / "artefact", "x86-64-v3").verify()
    assert verification.where == "native"
    assert verification.comparison.within(TOLERANCE), str(verification.comparison)


def test_it_holds_all_that_a_board_needs(artefact: Artefact) -> None:
    files = {entry.path: entry for entry in artefact.manifest.files}
    assert {"model.so", "edgec-run", "lib/libtvm_runtime.so", "lib/libtvm_ffi.so"} <= set(files)
    assert {"cpp/edgec.hpp", "cpp/example.cc", "cpp/CMakeLists.txt", "cpp/include/tvm/ffi/c_api.h"} <= set(files)
    assert {"LICENSES/LICENSE.tvm", "LICENSES/LICENSE.libcxx", "LICENSES/LICENSE.libcxxabi"} <= set(files)
    assert {"lib/libedgec.so", "cpp/edgec_c.h", "python/edgec_model.py"} <= set(files)
    assert "lib/libtvm_runtime_extra.so" not in files
    assert files["edgec-run"].executable
    assert files["edgec-run"].size < 1 << 20


def test_the_same_input_gives_the_same_bytes(artefact: Artefact, tmp_path: Path) -> None:
    again = compiled(tmp_path / "again", "host", cache=False)
    assert again.manifest.model_dump_json() == artefact.manifest.model_dump_json()


def test_the_library_names_no_place_of_this_machine(artefact: Artefact) -> None:
    for name in ("model.so", "edgec-run"):
        content = (artefact.folder / name).read_bytes()
        assert b"/tmp/" not in content
        assert str(Path.home()).encode() not in content


def test_a_model_that_sorts_needs_no_library_for_that(tmp_path: Path) -> None:
    text = "g (float[2, 30] x) => (float[2, 5] y, int64[2, 5] i) <int64[1] k = {5}> { y, i = TopK (x, k) }"
    artefact = compiled(tmp_path / "topk", "host", model(text))
    assert not (artefact.folder / "lib" / "libtvm_runtime_extra.so").is_file()
    assert artefact.verify().comparison.within(TOLERANCE)
    assert edgec_run(artefact, "--self-test").returncode == 0


@pytest.mark.parametrize("name", ["rows and their places", "suppressed boxes", "regions of a picture"])
def test_outputs_come_in_their_true_sizes(name: str, tmp_path: Path) -> None:
    network = data_sizes.network(name)
    artefact, reference = compiled(tmp_path / "sized", "host", network), Reference(network)
    assert artefact.manifest.counts
    assert artefact.verify().comparison.within(TOLERANCE)
    assert edgec_run(artefact, "--self-test").returncode == 0
    with artefact.runner() as runner:
        for feeds in data_sizes.samples(network):
            assert compare(reference.run(feeds), runner.run(feeds)).within(TOLERANCE)


def test_an_unsupported_operator_is_named(tmp_path: Path) -> None:
    text = "g (float[4] x) => (float[4] y) { [dice] y = Bernoulli <seed = 1.0> (x) }"
    with pytest.raises(UnsupportedModel, match=r"Bernoulli .*'dice'"):
        compiled(tmp_path / "out", "host", model(text))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("in_process", [True, False])
def test_feeds_that_do_not_fit_are_refused(
    artefact: Artefact, in_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_in_process", lambda runtime: in_process)
    runner, feeds = artefact.runner(), artefact.golden_inputs()
    turned = feeds | {"image": feeds["image"].transpose(0, 2, 3, 1)}
    for wrong in (turned, feeds | {"extra": feeds["extra"].astype(np.float64)}, {"image": feeds["image"]}):
        with pytest.raises(BadOption):
            runner.run(wrong)
        with pytest.raises(BadOption):
            runner.bench(wrong, warmup=0, runs=1)
    lying_otherwise = {name: np.asfortranarray(array).astype(">f4") for name, array in feeds.items()}
    for name, array in runner.run(feeds).items():
        np.testing.assert_array_equal(runner.run(lying_otherwise)[name], array)


# -- in this process


def test_several_python_threads_may_share_a_runner(artefact: Artefact) -> None:
    runner, feeds = artefact.runner(threads=2), artefact.golden_inputs()
    scaled = [{name: array * (1 + run / 7) for name, array in feeds.items()} for run in range(4 * 20)]
    expected = [runner.run(one) for one in scaled]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(runner.run, scaled))
    for one, other in zip(expected, actual, strict=True):
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array)


def test_runners_with_different_numbers_of_threads_work_side_by_side(artefact: Artefact) -> None:
    runners = [artefact.runner(threads) for threads in (1, 2, 3)]
    results = [runner.run(artefact.golden_inputs())["scores"] for runner in runners + runners[::-1]]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_bench_counts_only_the_timed_runs(artefact: Artefact) -> None:
    times = artefact.runner().bench(artefact.golden_inputs(), warmup=2, runs=5)
    assert len(times) == 5
    assert all(0 < seconds < 10 for seconds in times)


def test_without_the_tvm_that_compiled_it_its_own_runner_is_used(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_in_process", lambda runtime: False)
    runner = artefact.runner()
    assert isinstance(runner, ProcessRunner)
    assert runner.description == "edgec-run"
    np.testing.assert_allclose(
        runner.run(artefact.golden_inputs())["scores"], artefact.golden_outputs()["scores"], rtol=TOLERANCE
    )
    assert len(runner.bench(artefact.golden_inputs(), warmup=1, runs=4)) == 4


# -- edgec-run


def test_self_test_passes(artefact: Artefact) -> None:
    done = edgec_run(artefact, "--self-test")
    assert done.returncode == 0, done.stderr
    for name in ("features", "scores", "best"):
        assert f"ok       {name}: largest error" in done.stdout


def test_it_finds_its_files_from_anywhere(artefact: Artefact, tmp_path: Path) -> None:
    copy = tmp_path / "on the board"
    shutil.copytree(artefact.folder, copy)
    done = subprocess.run([copy / "edgec-run", "--self-test"], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_self_test_fails_on_a_difference(artefact: Artefact, tmp_path: Path) -> None:
    copy = tmp_path / "altered"
    shutil.copytree(artefact.folder, copy)
    golden = copy / next(port.golden for port in artefact.manifest.outputs if port.name == "scores")
    np.save(golden, np.load(golden) + np.float32(0.1))
    done = subprocess.run([copy / "edgec-run", "--self-test"], capture_output=True, text=True, check=False)
    assert (done.returncode, "was altered or damaged" in done.stderr) == (2, True)
    done = subprocess.run(
        [copy / "edgec-run", "--self-test", "--no-check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "MISMATCH scores" in done.stdout
    assert "ok       features" in done.stdout


def test_json_report(artefact: Artefact) -> None:
    done = edgec_run(artefact, "--json", "--self-test", "--runs", "5", "--warmup", "1", "--threads", "2")
    report = json.loads(done.stdout)
    assert report["threads"] == 2
    assert report["passed"] is True
    assert len(report["times_ms"]) == 5
    assert report["median_ms"] == pytest.approx(np.median(report["times_ms"]), abs=1e-6)
    assert report["p90_ms"] == pytest.approx(np.percentile(report["times_ms"], 90), abs=1e-6)
    assert report["p99_ms"] == pytest.approx(np.percentile(report["times_ms"], 99), abs=1e-6)
    assert [output["name"] for output in report["outputs"]] == ["features", "scores", "best"]


def test_inputs_and_outputs_are_npy_files(artefact: Artefact, tmp_path: Path) -> None:
    feeds = {name: array * np.float32(0.5) for name, array in artefact.golden_inputs().items()}
    arguments = ["--output-dir", str(tmp_path)]
    for name, array in feeds.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments += ["--input", f"{name}={tmp_path / name}.npy"]
    done = edgec_run(artefact, *arguments)
    assert done.returncode == 0, done.stderr
    for index, (name, expected) in enumerate(artefact.runner().run(feeds).items()):
        actual = np.load(tmp_path / f"{index}-{name}.npy", allow_pickle=False)
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=1e-7)


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


EXTRA = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8), }\n"
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a .npy file"),
    "text": (b"hello, this is no array", "is not a .npy file"),
    "truncated header": (b"\x93NUMPY\x01\x00\xff\x00{'descr'", "truncated .npy header"),
    "huge header": (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f", "malformed .npy header"),
    "no shape": (_npy("{'descr': '<f4', 'fortran_order': False}"), "no 'shape'"),
    "odd shape": (_npy(EXTRA.replace("1, 8", "1, x")), "malformed shape"),
    "giant shape": (_npy(EXTRA.replace("1, 8", "99999999999999999999")), "malformed shape"),
    "object array": (_npy(EXTRA.replace("<f4", "|O")), "unsupported .npy element type '|O'"),
    "big-endian": (_npy(EXTRA.replace("<f4", ">f4")), "unsupported .npy element type '>f4'"),
    "Fortran order": (_npy(EXTRA.replace("False", "True"), bytes(32)), "Fortran order"),
    "wrong shape": (_npy(EXTRA.replace("1, 8", "8, 1"), bytes(32)), "contains float32[8x1], but extra is float32[1x8]"),
    "wrong dtype": (_npy(EXTRA.replace("<f4", "<i4"), bytes(32)), "contains int32[1x8], but extra is float32[1x8]"),
    "too short": (_npy(EXTRA, bytes(31)), "truncated"),
    "too long": (_npy(EXTRA, bytes(33)), "more bytes than its shape needs"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_input_file_is_refused_with_one_message(artefact: Artefact, tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    np.save(tmp_path / "image.npy", artefact.golden_inputs()["image"])
    (tmp_path / "extra.npy").write_bytes(content)
    given = ("--input", f"image={tmp_path}/image.npy", "--input", f"extra={tmp_path}/extra.npy")
    done = sanitized_run(artefact.folder, "--no-check", *given)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frobnicate"], "unknown option '--frobnicate'"),
        (["--runs"], "--runs needs a value"),
        (["--runs", "0"], "--runs: a whole number of at least 1 was expected, got '0'"),
        (["--threads", "two"], "--threads: a whole number of at least 1"),
        (["--input", "image"], "NAME=FILE.npy was expected"),
        (["--input", "img=x.npy"], "no input is called img; inputs: image extra"),
        (["--input", "image=/nowhere.npy"], "cannot read /nowhere.npy"),
        (["--self-test", "--input", "image=x.npy"], "--self-test uses the golden inputs"),
        (["--artefact", "/nowhere"], "cannot read /nowhere/SHA256SUMS"),
        (["--artefact", "/nowhere", "--no-check"], "cannot read /nowhere/manifest.json"),
        (["--output-dir", "/nowhere"], "cannot write /nowhere/"),
    ],
)
def test_bad_arguments_are_refused_with_one_message(lean: Path, arguments: list[str], message: str) -> None:
    done = sanitized_run(lean, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_input_is_named(artefact: Artefact, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", artefact.golden_inputs()["image"])
    done = edgec_run(artefact, "--input", f"image={tmp_path}/image.npy")
    assert (done.returncode, done.stderr) == (2, "edgec-run: input extra was not given\n")


MANIFESTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "cpu": (lambda data: data["runtime"]["cpu_flags"].append("quantum"), "this CPU lacks quantum"),
    "dtype": (lambda data: data["inputs"][0].update(dtype="complex64"), "unknown dtype complex64"),
    "odd dtype": (lambda data: data["inputs"][0].update(dtype="float33"), "unknown dtype float33"),
    "key": (lambda data: data.pop("threads"), 'manifest.json lacks "threads"'),
    "tolerance": (lambda data: data["outputs"][0].update(accepted="high"), "a number was expected"),
    "library": (lambda data: data["runtime"].update(library="nothing.so"), "does not list nothing.so"),
    "library elsewhere": (lambda data: data["runtime"].update(library="/tmp/other.so"), "does not list /tmp/other.so"),
    "golden elsewhere": (lambda data: data["inputs"][0].update(golden="../../x.npy"), "does not list ../../x.npy"),
    "more golden": (
        lambda data: data["inputs"][0]["more"].append(data["inputs"][0]["golden"]),
        "a different number of golden samples",
    ),
    "wider output": (lambda data: data["outputs"][0].update(dtype="uint64"), "features is not as compiled"),
    "longer output": (lambda data: data["outputs"][0].update(shape=[1, 8, 10, 1000]), "features is not as compiled"),
    "larger input": (lambda data: data["inputs"][1].update(shape=[1, 800]), "contains float32[1x8]"),
    "giant": (lambda data: data["outputs"][0].update(shape=[1 << 40, 1 << 40]), "impossible shape"),
    "negative": (lambda data: data["outputs"][0].update(shape=[-1]), "impossible shape"),
    "fewer inputs": (lambda data: data["inputs"].pop(), ""),
    "more outputs": (lambda data: data["outputs"].append(data["outputs"][0]), ""),
    "batch": (lambda data: data["runtime"].update(batch=1 << 40) or data["inputs"][0].update(shape=[]), "has no batch"),
    "no batch": (lambda data: data["runtime"].update(batch=0), "a batch of 1 is not supported: the model takes 1 to 0"),
    "list": (lambda data: data.update(inputs=3), "a list was expected"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_it_cannot_use_is_refused(artefact: Artefact, tmp_path: Path, case: str) -> None:
    change, message = MANIFESTS[case]
    copy = tmp_path / "copy"
    kept = lean_copy(artefact, copy)
    data = json.loads((copy / MANIFEST).read_text())
    change(data)
    (copy / MANIFEST).write_text(json.dumps(data))
    write_sums(copy, kept)
    done = sanitized_run(copy)
    assert done.returncode == 2
    assert message in done.stderr


def test_it_survives_a_manifest_nested_without_end(artefact: Artefact, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("[" * 200_000)
    done = sanitized_run(tmp_path, "--no-check")
    assert (done.returncode, "nested too deeply" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["model.so", "lib/libtvm_ffi.so", MANIFEST, "golden/inputs/0.npy", SUMS])
@pytest.mark.parametrize("cut", [False, True])
def test_an_altered_file_is_refused_before_it_is_used(artefact: Artefact, tmp_path: Path, name: str, cut: bool) -> None:
    copy = tmp_path / "copy"
    lean_copy(artefact, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content[: len(content) // 2] if cut else content)
    done = sanitized_run(copy)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["libtvm_ffi.so", "libtvm_runtime.so"])
def test_the_runtime_is_not_loaded_before_it_is_compared(artefact: Artefact, tmp_path: Path, name: str) -> None:
    """The system would load a library that the program is linked with, and run code in it, before `main`."""
    copy = tmp_path / "copy"
    shutil.copytree(artefact.folder, copy)
    (copy / "lib" / name).write_bytes(b"no library")
    done = subprocess.run([copy / "edgec-run"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{name} was altered or damaged" in done.stderr
    unchecked = subprocess.run([copy / "edgec-run", "--no-check"], capture_output=True, text=True, check=False)
    assert unchecked.returncode == 2
    assert "a library cannot be loaded" in unchecked.stderr


def test_names_do_not_reach_the_terminal_as_commands(artefact: Artefact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    kept = lean_copy(artefact, copy)
    text = (copy / MANIFEST).read_text().replace('"scores"', json.dumps("s\x1b[2J\x9b31mcores"))
    (copy / MANIFEST).write_text(text)
    write_sums(copy, kept)
    done = sanitized_run(copy, "--self-test")
    assert "ok       s?[2J??31mcores: largest error" in done.stdout


def test_it_is_a_native_program(artefact: Artefact) -> None:
    """No script, no Python: the board needs glibc and libstdc++ only."""
    assert (artefact.folder / "edgec-run").read_bytes()[:4] == b"\x7fELF"


def test_the_cpp_example_builds_and_runs(artefact: Artefact, tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        pytest.skip("needs cmake and g++")
    copy = tmp_path / "artefact"
    shutil.copytree(artefact.folder, copy)
    strict = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"
    for command in (["cmake", "-B", "build", strict, "-DCMAKE_CXX_COMPILER=g++"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=copy / "cpp", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([copy / "cpp/build/example", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "input  image: float32, 1200 elements" in done.stdout
    assert "output scores: float32, 4 elements, first " in done.stdout
