"""An artefact is copied to a board by SSH, built, verified and measured there; broken off, it goes on."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

import edgec
from edgec.artefact import evidence
from edgec.artefact.artefact import Artefact
from edgec.artefact.device import Device, parse_device
from edgec.artefact.remote import LONGEST_LINE, _lines, deploy
from edgec.errors import BadArtefact, BadOption, CannotRunHere
from tests.support.tensorrt_board import small_model

pytest.importorskip("asyncssh")
from tests.support.ssh_board import SshBoard, asyncssh_board, sshd_board


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board") / "small net.tx2"
    return edgec.compile(ir.to_proto(small_model()), target="jetson-tx2", output=folder).folder


@pytest.fixture
def artefact(compiled: Path, tmp_path: Path) -> Artefact:
    return Artefact.open(shutil.copytree(compiled, tmp_path / "small net.tx2"))


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The board user's home, and that of the user here, whose keys and known hosts count."""
    board, here = tmp_path / "board", tmp_path / "here"
    board.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return board, here


@pytest.fixture
def board(homes: tuple[Path, Path]) -> Iterator[SshBoard]:
    with asyncssh_board(*homes) as served:
        yield served


@pytest.mark.parametrize("server", [asyncssh_board, sshd_board], ids=["asyncssh", "openssh"])
def test_copied_built_verified_measured_and_brought_back(
    homes: tuple[Path, Path], artefact: Artefact, server: type
) -> None:
    steps: list[str] = []
    with server(*homes) as board:
        result = deploy(artefact, parse_device(board.url), steps.append, runs=3)
        assert (result.status, result.runs) == ("ok", 3)
        assert evidence.read(artefact.folder)["latency"]["where"] == "the board, TensorRT 8.2.1.8 on sm_62"
        assert steps[0].startswith("connect to ")
        assert any(step.startswith("building the engine") for step in steps)

        steps.clear()
        again = deploy(artefact, parse_device(board.url), steps.append, runs=3)
    assert again.status == "ok"
    assert not [step for step in steps if step.startswith("copy")]
    assert "the engine is up to date: not built again" in steps


def test_only_what_differs_is_copied_again(board: SshBoard, artefact: Artefact) -> None:
    steps: list[str] = []
    deploy(artefact, parse_device(board.url), runs=1)
    there = board.home / "edgec" / artefact.folder.name
    (there / "model.onnx").write_bytes(b"half")
    (there / "golden/inputs/0.npy").unlink()
    deploy(artefact, parse_device(board.url), steps.append, runs=1)
    assert [step for step in steps if step.startswith("copy")][-1].startswith("copy 2 of ")
    assert (there / "model.onnx").read_bytes() == (artefact.folder / "model.onnx").read_bytes()
    assert not list(there.rglob("*.part"))


def test_hashes_without_end_are_refused(board: SshBoard, artefact: Artefact) -> None:
    """They would fill the memory."""
    board.answer = lambda command: itertools.repeat(b"x" * 60_000) if "sha256sum" in command else None
    with pytest.raises(CannotRunHere, match=r"lists files in edgec/.* without end"):
        deploy(artefact, parse_device(board.url), runs=1)


def test_a_broken_connection_is_told_and_the_next_call_goes_on(board: SshBoard, artefact: Artefact) -> None:
    board.hang_up = True
    with pytest.raises(CannotRunHere) as caught:
        deploy(artefact, parse_device(board.url), runs=1)
    assert "used again" in str(caught.value.remedy)
    board.hang_up = False
    steps: list[str] = []
    assert deploy(artefact, parse_device(board.url), steps.append, runs=1).status == "ok"
    assert not [step for step in steps if step.startswith("copy")]


def test_an_interrupt_ends_the_builder_on_the_board_too(homes: tuple[Path, Path], artefact: Artefact) -> None:
    log = homes[0] / "calls"

    def interrupt(step: str) -> None:
        if not step.startswith("building the engine"):
            return
        while not (log.exists() and "hang" in log.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    with sshd_board(*homes, STAND_IN_FAULT="hang", STAND_IN_LOG=str(log)) as board:
        with pytest.raises(KeyboardInterrupt):
            deploy(artefact, parse_device(board.url), interrupt)
        builder = int(re.findall(r'"hang", (\d+)', log.read_text())[0])
        deadline = time.monotonic() + 10
        while Path(f"/proc/{builder}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(f"/proc/{builder}").exists()


def test_a_failure_on_the_board_comes_back_in_its_words(board: SshBoard, artefact: Artefact) -> None:
    board.environment["STAND_IN_FAULT"] = "parser"
    with pytest.raises(CannotRunHere, match=r"on the board: TensorRT 8\.2\.1\.8 cannot parse the model"):
        deploy(artefact, parse_device(board.url), runs=1)
    assert "latency" not in evidence.read(artefact.folder)


def test_a_result_of_an_earlier_run_is_not_taken_for_this_one(board: SshBoard, artefact: Artefact) -> None:
    deploy(artefact, parse_device(board.url), runs=1)
    board.environment["PYTHON"] = "/nowhere/python"
    board.environment["PATH"] = "/nowhere"
    with pytest.raises(CannotRunHere) as caught:
        deploy(artefact, parse_device(board.url), runs=1)
    assert "build.sh" in str(caught.value)


@pytest.mark.parametrize("known", ["", None], ids=["unknown", "no file"])
def test_an_unknown_host_is_refused_before_anything_is_sent(
    homes: tuple[Path, Path], board: SshBoard, artefact: Artefact, known: str | None
) -> None:
    path = homes[1] / ".ssh/known_hosts"
    path.unlink() if known is None else path.write_text(known)
    with pytest.raises(CannotRunHere, match="host key is not known") as caught:
        deploy(artefact, parse_device(board.url))
    assert f"ssh -p {board.port} " in str(caught.value.remedy)
    assert not list(board.home.iterdir())


def test_a_key_that_is_not_let_in_is_told(homes: tuple[Path, Path], board: SshBoard, artefact: Artefact) -> None:
    (homes[1] / ".ssh/id_ed25519").unlink()
    with pytest.raises(CannotRunHere, match="none of your SSH keys") as caught:
        deploy(artefact, parse_device(board.url))
    assert f"ssh-copy-id -p {board.port} " in str(caught.value.remedy)


def test_a_board_that_is_off_is_told(homes: tuple[Path, Path], artefact: Artefact) -> None:
    with pytest.raises(CannotRunHere, match="cannot be reached") as caught:
        deploy(artefact, Device("127.0.0.1", "nobody", 1))
    assert "runs sshd" in str(caught.value.remedy)


def test_an_artefact_without_a_program_is_refused(tmp_path: Path) -> None:
    target = str(Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
    other = edgec.compile(ir.to_proto(small_model()), target=target, output=tmp_path / "a")
    with pytest.raises(BadOption, match=r"neither build\.sh nor edgec-run"):
        deploy(other, Device("127.0.0.1"))


@pytest.fixture(scope="module")
def compiled_for_a_cpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cpu") / "small net.host"
    return edgec.compile(ir.to_proto(small_model()), target="host", output=folder, verify=False).folder


@pytest.fixture
def for_a_cpu(compiled_for_a_cpu: Path, tmp_path: Path) -> Artefact:
    return Artefact.open(shutil.copytree(compiled_for_a_cpu, tmp_path / "small net.host"))


def test_a_cpu_board_runs_it_as_it_is(board: SshBoard, for_a_cpu: Artefact) -> None:
    result = deploy(for_a_cpu, parse_device(board.url), runs=5)
    assert (result.status, result.engine, result.runs) == ("ok", None, 5)
    assert result.machine["system"].startswith("Linux")
    kept = evidence.read(for_a_cpu.folder)
    assert kept["latency"]["runs"] == 5 and kept["latency"]["median"] > 0
    assert all(output["relative"] <= 1e-4 for output in kept["verification"]["comparison"]["outputs"])
    assert kept["board"]["where"] in edgec.Report(for_a_cpu).html


def test_wrong_outputs_of_a_cpu_board_have_no_times(board: SshBoard, for_a_cpu: Artefact) -> None:
    wrong = '{"threads": 1, "times_ms": [1.0], "passed": false, "outputs": [%s]}'
    outputs = ", ".join(f'{{"name": "{port.spec.name}", "error": 0.5}}' for port in for_a_cpu.manifest.outputs)
    place = board.home / "edgec" / for_a_cpu.folder.name

    def answer(command: str) -> list[bytes] | None:
        if "edgec-run" not in command:
            return None
        (place / "result.json").write_text(wrong % outputs)
        return [b""]

    board.answer = answer
    result = deploy(for_a_cpu, parse_device(board.url))
    assert result.status == "outputs differ" and "latency" not in evidence.read(for_a_cpu.folder)


@pytest.mark.parametrize("said", ["", "[]", '{"threads": 1, "times_ms": [], "outputs": [], "passed": true}'])
def test_nonsense_of_a_cpu_board_is_told(board: SshBoard, for_a_cpu: Artefact, said: str) -> None:
    place = board.home / "edgec" / for_a_cpu.folder.name

    def answer(command: str) -> list[bytes] | None:
        if "edgec-run" not in command:
            return None
        (place / "result.json").write_text(said)
        return [b""]

    board.answer = answer
    with pytest.raises(BadArtefact, match="the board's edgec-run"):
        deploy(for_a_cpu, parse_device(board.url))


def test_a_program_that_fails_on_a_cpu_board_is_told_in_its_words(board: SshBoard, for_a_cpu: Artefact) -> None:
    board.answer = lambda command: [b"edgec-run: no such library\n"] if "edgec-run" in command else None
    with pytest.raises(CannotRunHere, match="edgec-run gave no result\n  edgec-run: no such library") as caught:
        deploy(for_a_cpu, parse_device(board.url))
    assert "edgec-run --self-test" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("ssh://nvidia@tx2.local:2222", Device("tx2.local", "nvidia", 2222)),
        ("ssh://tx2", Device("tx2")),
        ("ssh://me@TX2:22", Device("TX2", "me", 22)),  # as an alias in ~/.ssh/config
        ("ssh://root@[fe80::1]/", Device("fe80::1", "root")),
    ],
)
def test_addresses(text: str, device: Device) -> None:
    assert parse_device(text) == device


@pytest.mark.parametrize(
    "text",
    [
        "tx2",
        "nvidia@tx2",
        "http://tx2",
        "ssh://",
        "ssh://tx2:port",
        "ssh://tx2/folder",
        "ssh://u:secret@tx2",
        "ssh://[::1",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(BadOption, match="board address") as caught:
        parse_device(text)
    assert "secret" not in str(caught.value)


def test_on_the_command_line(board: SshBoard, artefact: Artefact, capsys: pytest.CaptureFixture[str]) -> None:
    from edgec.cli import app

    app(["deploy", str(artefact.folder), board.url, "--runs", "2", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["runs"] == 2
    app(["import-result", str(artefact.folder), str(_result(board, artefact))], standalone_mode=False)
    assert "end_to_end: median" in capsys.readouterr().out


def test_compile_may_deploy_at_once(board: SshBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgec.cli import app

    onnx.save(ir.to_proto(small_model()), tmp_path / "small.onnx")
    options = ["--target", "jetson-tx2", "-o", str(tmp_path / "out"), "--device", board.url, "--quiet"]
    app(["compile", str(tmp_path / "small.onnx"), *options], standalone_mode=False)
    assert "the board, TensorRT 8.2.1.8 on sm_62" in capsys.readouterr().out
    assert "board" in evidence.read(tmp_path / "out")
    app(["compile", str(tmp_path / "small.onnx"), *options, "--json"], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    assert said["target"] == "jetson-tx2" and said["board"]["runs"] > 0


def test_without_the_client_nothing_is_compiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    refused(tmp_path, "jetson-tx2", capsys, monkeypatch, "pip install 'asyncssh")


def refused(
    folder: Path, target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    """Compile for a device; expect one message, and nothing written."""
    from edgec.cli import main

    onnx.save(ir.to_proto(small_model()), folder / "small.onnx")
    options = ["--target", target, "-o", str(folder / "out"), "--device", "ssh://nobody@127.0.0.1:1", "--quiet"]
    monkeypatch.setattr(sys, "argv", ["edgec", "compile", str(folder / "small.onnx"), *options])
    with pytest.raises(SystemExit) as stop:
        main()
    assert (stop.value.code, message in capsys.readouterr().err) == (2, True)
    assert not (folder / "out").exists()


def _result(board: SshBoard, artefact: Artefact) -> Path:
    return board.home / "edgec" / artefact.folder.name / "result.json"


class Stream:
    """What a board prints, in pieces as they arrive."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def read(self, _size: int) -> bytes:
        return self._pieces.pop(0)


def test_whatever_a_board_prints_is_lines_of_text() -> None:
    async def lines(*pieces: bytes) -> list[str]:
        return [line async for line in _lines(Stream(*pieces))]  # type: ignore[arg-type]

    assert asyncio.run(lines(b"gr", "ü".encode("latin-1"), b"n\n\x1b[2Jred\nend")) == ["gr\ufffdn", "[2Jred", "end"]
    endless = asyncio.run(lines(*[b"x" * 50_000] * 10))
    assert max(map(len, endless)) <= 2 * LONGEST_LINE
    assert sum(map(len, endless)) == 500_000
