"""The command line, on a small model and the example plugin's back end (ONNX Runtime), which needs no compiler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from PIL import Image

import edgec
from edgec.cli import compile_main, main
from edgec.cli.inspect_artefact import in_words
from edgec.targets.board import load_board
from edgec.targets.emulated_time import Counts, EmulatedTime
from edgec.targets.tvm.emulated.time_model import time_of

BOARD = Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"

MODEL = """
<ir_version: 8, opset_import: ["" : 13]>
small (float[batch, 3, 8, 8] image) => (float[batch, 4, 8, 8] y)
<float[4, 3, 1, 1] w = {0.5, -1, 2, 0.25, 1, 1, -0.5, 0.5, 0.5, 1, -2, 3}>
{ c = Conv (image, w)  y = Relu (c) }
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), path)
    return path


@pytest.fixture
def artefact(model: Path, tmp_path: Path) -> Path:
    return edgec.compile(model, target=str(BOARD), output=tmp_path / "artefact").folder


@dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `edgec ARGUMENTS` in this process."""

    def invoke(*arguments: object, cwd: Path | None = None, entry: Callable[[], None] = main) -> Result:
        monkeypatch.setattr(sys, "argv", ["edgec", *map(str, arguments)])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capsys.readouterr()
        try:
            entry()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Result(code, *capsys.readouterr())

    return invoke


def test_help_names_every_command_and_imports_no_back_end() -> None:
    code = "import sys, edgec.cli as c\ntry: c.app(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'tvm', 'onnxruntime', 'onnx', 'numpy'} & set(sys.modules), sys.modules.keys()"
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    for command in ("compile", "targets", "inspect", "run", "verify", "bench", "doctor"):
        assert command in process.stdout


def test_compile_writes_an_artefact_and_says_so_in_json(run: Run, model: Path) -> None:
    process = run("compile", model, "--target", BOARD, "--json", cwd=model.parent)
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["target"] == "copy-board"
    assert result["relative_error"] < 1e-6
    assert (model.parent / "small.copy-board" / "manifest.json").is_file()


def test_the_name_compile_is_the_same_command(run: Run, model: Path, tmp_path: Path) -> None:
    assert run(model, "--target", BOARD, "-o", tmp_path / "out", "-q", entry=compile_main).returncode == 0
    assert edgec.Artefact.open(tmp_path / "out").manifest.source.name == "small"


def test_both_names_are_installed() -> None:
    for name in ("edgec", "compile"):
        assert "Usage" in subprocess.check_output([Path(sys.executable).parent / name, "--help"], text=True)


def test_settings_file_and_flags_over_it(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "edgec.toml").write_text(f'target = "{BOARD}"\nseed = 3\n[shapes]\nimage = [2, 3, 8, 8]\n')
    process = run("compile", model, "--config", tmp_path / "edgec.toml", "--seed", "5", "-o", tmp_path / "out")
    assert process.returncode == 0, process.stderr
    options = edgec.Artefact.open(tmp_path / "out").manifest.options
    assert options.seed == 5
    assert options.shapes == {"image": (2, 3, 8, 8)}


def test_every_option_has_a_flag(run: Run) -> None:
    from edgec.options import CompileOptions

    text = run("compile", "--help").stdout
    renamed = {"shapes": "shape", "batch": "shape", "extra_passes": "extra-pass", "measuring": "data"}
    for field in CompileOptions.model_fields:
        assert f"--{renamed.get(field, field.replace('_', '-'))}" in text


def test_the_limit_of_memory_is_an_option_of_every_command(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEC_MAX_MEMORY", "4GiB")
    done = run("inspect", str(model), "--max-memory", "64B")
    assert (done.returncode, "--max-memory" in done.stderr) == (2, True)
    assert run("check", str(model), "--max-memory", "much").returncode == 2


def test_run_writes_the_outputs(run: Run, artefact: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    np.save(tmp_path / "x.npy", image)
    process = run("run", artefact, "--input", tmp_path / "x.npy", "-o", tmp_path / "out", "--json")
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)[0]["shape"] == [1, 4, 8, 8]
    expected = edgec.load(artefact).run({"image": image})["y"]
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "y.npy"), expected)


def test_run_takes_a_picture(run: Run, artefact: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "red.png")
    process = run("run", artefact, "--input", f"image={tmp_path / 'red.png'}", "--json")
    assert json.loads(process.stdout)[0]["max"] == 1.0  # the filter that takes red as it is


def test_verify_and_bench(run: Run, artefact: Path) -> None:
    verified = run("verify", artefact, "--json")
    result = json.loads(verified.stdout)
    assert (result["ok"], result["where"]) == (True, "onnxruntime")
    assert result["errors"]["y"] < 1e-6
    timed = run("bench", artefact, "--json", "--runs", "3")
    assert json.loads(timed.stdout)["runs"] == 3
    assert set(json.loads((artefact / "evidence.json").read_text())) == {"verification", "latency"}


def test_a_time_is_estimated_by_emulation_only_for_arm_boards(run: Run, artefact: Path) -> None:
    refused = run("bench", artefact, "--emulate-time")
    assert refused.returncode == 2
    assert "is not estimated by emulation\nThat is for CPUs of ARM boards" in refused.stderr
    assert "one thread\nOmit --trace" in run("bench", artefact, "--emulate-time", "--threads", "2").stderr
    assert "'half' is not of the form ARTEFACT=MS" in run("bench", artefact, "--measured", "half").stderr
    refused = run("verify", artefact, "--emulate-time")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is not estimated by emulation" in refused.stderr


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> EmulatedTime:
    """Stand in for an emulator that counts what an artefact executes; return the time that follows for a board."""
    counts = Counts(
        instructions=100_000_000, multiply_adds=60_000_000, cycles=9e7, l1_misses=4_000_000, memory_misses=1_000_000
    )
    found = time_of(counts, load_board("rpi4"))
    runner = SimpleNamespace(estimated_time=lambda counts, measured: found)
    monkeypatch.setattr("edgec.artefact.emulated._count", lambda artefact, layers: (runner, counts))
    return found


def test_verify_and_bench_estimate_the_same_time(run: Run, artefact: Path, counted: EmulatedTime) -> None:
    told = f"{counted.ms:.3g} ms on rpi4 at 1500 MHz, one thread; 90 % of times lie between {counted.low_ms:.3g} and "
    assert run("bench", artefact, "--emulate-time").stdout.startswith(told)
    verified = run("verify", artefact, "--emulate-time")
    assert verified.returncode == 0
    compared, estimated = verified.stdout.split(": ok\n")
    assert "y" in compared
    assert estimated.startswith(told)
    assert "estimated from 100.0 M instructions, 60.0 M of them multiply-adds of vectors" in estimated
    result = json.loads(run("verify", artefact, "--emulate-time", "--json").stdout)
    assert (result["ok"], result["emulated_time"]["high_ms"]) == (True, counted.high_ms)
    assert result["emulated_time"] == json.loads(run("bench", artefact, "--emulate-time", "--json").stdout)
    evidence = json.loads((artefact / "evidence.json").read_text())
    assert evidence["emulated_time"] == result["emulated_time"]
    assert set(evidence) == {"verification", "emulated_time"}


def test_inspect_tells_an_emulated_time_from_a_measured_one(run: Run, artefact: Path, counted: EmulatedTime) -> None:
    assert json.loads(run("inspect", artefact, "--json").stdout)["times"] == {}
    run("bench", artefact, "--runs", "2")
    run("bench", artefact, "--emulate-time")
    shown = run("inspect", artefact).stdout
    assert "measured latency: median " in shown
    assert f"estimated by emulation, not measured: {counted.ms:.3g} ms on rpi4 at 1500 MHz, one thread;" in shown
    assert f"90 % of times lie between {counted.low_ms:.3g} and {counted.high_ms:.3g} ms" in shown
    times = json.loads(run("inspect", artefact, "--json").stdout)["times"]
    assert times["latency"]["runs"] == 2
    assert times["emulated_time"]["low_ms"] == counted.low_ms
    (artefact / "evidence.json").write_text('{"emulated_time": {"ms": "soon"}}')
    refused = run("inspect", artefact)
    assert (refused.returncode, "evidence.json: emulated_time" in refused.stderr) == (2, True)


def test_verify_fails_with_1_when_the_outputs_differ(run: Run, model: Path, tmp_path: Path) -> None:
    from edgec.artefact.manifest import read_manifest, write_manifest

    folder = edgec.compile(model, target=str(BOARD), output=tmp_path / "a").folder
    manifest = read_manifest(folder)
    golden = folder / manifest.outputs[0].golden
    np.save(golden, np.load(golden) + 1)
    write_manifest(manifest, folder)
    process = run("verify", folder)
    assert process.returncode == 1
    assert "accepted 1e-04" in process.stderr


def test_inspect(run: Run, model: Path) -> None:
    process = run("inspect", model, "--json")
    data = json.loads(process.stdout)
    assert data["totals"] == {"macs": 3 * 4 * 64, "parameters": 12}
    assert "Conv" in run("inspect", model).stdout


def test_inspect_shows_open_sizes_by_their_names_and_says_how_to_give_them(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "open.onnx"
    onnx.save(onnx.parser.parse_model(MODEL.replace("3, 8, 8", "3, H, W").replace("4, 8, 8", "4, R, C")), path)
    shown = run("inspect", path).stdout
    assert "input image: float32[batch, 3, H, W]\n" in shown
    assert "output y: float32[batch, 4, R, C]\n" in shown
    assert "Give --shape image=1,3,?,? with a size for each ?." in " ".join(shown.split())
    found = json.loads(run("inspect", path, "--json").stdout)
    assert [layer["shape"] for layer in found["layers"]] == [["batch", 4, "?", "?"]] * 2
    assert [layer["parameters"] for layer in found["layers"]] == [12, 0]
    with_board = run("inspect", path, "--target", "rpi4")
    assert with_board.returncode == 2
    assert "has dimensions without a size: H, W" in with_board.stderr


def test_inspect_of_an_artefact(run: Run, artefact: Path) -> None:
    assert json.loads(run("inspect", artefact, "--json").stdout)["source"]["name"] == "small"
    assert "output y" in run("inspect", artefact).stdout


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (["avx", "fma"], "avx, fma"),
        ({"conv": 2, "rows": 1}, "conv 2, rows 1"),
        ([{"value": "y", "shape": [1, 4]}] * 39, "39 records, which --json shows"),
        ([], "none"),
        (None, "none"),
        (0, "0"),
    ],
)
def test_inspect_shows_each_value_of_an_artefact_in_a_line(value: object, shown: str) -> None:
    assert in_words(value) == shown


def test_targets_and_doctor_in_json(run: Run) -> None:
    boards = {board["name"]: board for board in json.loads(run("targets", "--json").stdout)}
    assert boards["jetson-tx2"]["backend"] == "tensorrt"
    assert {check["name"] for check in json.loads(run("doctor", "--json").stdout)} >= {"apache-tvm", "qemu-aarch64"}


BAD = {
    "no such file": (["compile", "nothing.onnx", "--target", "host"], "nothing.onnx"),
    "unknown target": (["compile", "small.onnx", "--target", "rpi"], "Did you mean"),
    "no target": (["compile", "small.onnx"], "--target"),
    "unknown precision": (["compile", "small.onnx", "--target", BOARD, "--precision", "fp7"], "precision"),
    "precision the board lacks": (["compile", "small.onnx", "--target", BOARD, "--precision", "int8"], "It has: fp32"),
    "wrong input name": (["compile", "small.onnx", "--target", BOARD, "--shape", "imge=1,3,8,8"], "image"),
    "wrong rank": (["compile", "small.onnx", "--target", BOARD, "--shape", "image=1,3,8"], "image"),
    "malformed shape": (["compile", "small.onnx", "--target", BOARD, "--shape", "image=1,a"], "whole numbers"),
    "malformed pair": (["compile", "small.onnx", "--target", BOARD, "--shape", "image"], "name=value"),
    "unknown preprocessing": (["compile", "small.onnx", "--target", BOARD, "--preprocess", "mea=1"], "mean"),
    "missing settings file": (["compile", "small.onnx", "--config", "no.toml"], "no.toml"),
    "unknown setting": (["compile", "small.onnx", "--config", "bad.toml"], "Did you mean seed"),
    "argument as a setting": (
        ["compile", "small.onnx", "--config", "output.toml"],
        "output.toml: unknown setting 'out",
    ),
    "golden input missing": (["compile", "small.onnx", "--target", BOARD, "--input", "image=no.npy"], "no.npy"),
    "unknown pass": (["compile", "small.onnx", "--target", BOARD, "--extra-pass", "clamp-weight"], "clamp-weights"),
    "no artefact": (["verify", "."], "manifest.json"),
    "unwritable output": (["compile", "small.onnx", "--target", BOARD, "-o", "/proc/x/y"], "/proc/x"),
    "output taken": (["compile", "small.onnx", "--target", BOARD, "-o", "taken"], "not an artefact"),
    "no such option": (["compile", "--colour"], "colour"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_message_and_exit_code_2(run: Run, model: Path, case: str) -> None:
    (model.parent / "bad.toml").write_text('target = "host"\nsed = 1\n')
    (model.parent / "output.toml").write_text('target = "host"\noutput = "o"\n')
    (model.parent / "taken").mkdir()
    (model.parent / "taken" / "precious").touch()
    before = sorted(path.name for path in model.parent.iterdir())
    arguments, expected = BAD[case]
    process = run(*arguments, cwd=model.parent)
    assert process.returncode == 2, process.stderr
    assert expected in process.stderr
    assert "Traceback" not in process.stderr
    assert sorted(path.name for path in model.parent.iterdir()) == before


def test_names_reach_the_terminal_as_text(run: Run, tmp_path: Path) -> None:
    hostile = "\x1b]0;title\x07[red]\x9b2J[/]"
    proto = onnx.parser.parse_model(MODEL.replace("y)", "z)").replace("y =", "z ="))
    proto.graph.node[1].output[0] = proto.graph.output[0].name = hostile
    onnx.save(proto, tmp_path / "x.onnx")
    shown = run("inspect", tmp_path / "x.onnx", "--shape", "image=1,3,8,8")
    assert shown.returncode == 0, shown.stderr
    assert "?]0;title[red]?2J[/]" in shown.stdout
    refused = run("inspect", tmp_path / f"{hostile.replace('/', '')}.onnx")
    assert "?]0;title[red]?2J[]" in refused.stderr


def test_paths_that_are_no_text_are_told_nevertheless(run: Run, tmp_path: Path) -> None:
    missing = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.onnx")
    assert f"error: {tmp_path}/?.onnx: No such file" in run("inspect", missing).stderr


def test_settings_and_boards_nested_without_end(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("x = " + "[" * 20_000)
    for arguments in (("--target", BOARD, "--config", tmp_path / "deep.toml"), ("--target", tmp_path / "deep.toml")):
        done = run("compile", model, *arguments)
        assert (done.returncode, "nested too deeply" in done.stderr) == (2, True)


def test_a_path_that_the_system_refuses(run: Run) -> None:
    finished = run("inspect", "x" * 5000)
    assert finished.returncode == 2
    assert "xxx... (5000 letters): File name too long" in finished.stderr


def test_a_loop_of_links_is_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").symlink_to("x.onnx")
    done = run("quantize", tmp_path / "x.onnx", "--data", tmp_path, "-o", tmp_path / "y.onnx")
    assert (done.returncode, "symbolic links" in done.stderr) == (2, True)


def test_errors_in_json(run: Run) -> None:
    process = run("verify", "nowhere", "--json")
    assert process.returncode == 2
    assert "nowhere" in json.loads(process.stderr)["error"]


def test_warnings_of_the_log_are_printed(run: Run, model: Path, tmp_path: Path) -> None:
    arguments = ("prune", model, "-o", tmp_path / "o.onnx", "--criterion", "taylor", "--ratio", "0.5", "--no-repair")
    assert "warning: the criterion taylor is called reconstruction" in run(*arguments).stderr
