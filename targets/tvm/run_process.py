"""`ProcessRunner`: runs an artefact by its own `edgec-run`, perhaps under an emulator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgec.child_process import run_child
from edgec.errors import BadOption, CannotRunHere
from edgec.model.signature import TensorSpec, check_feeds
from edgec.scratch import temporary_folder
from edgec.targets.base import Closing, RunContext
from edgec.targets.emulated_time import Counts, EmulatedTime, KernelCounts
from edgec.targets.kernel_times import KernelTime, KernelTimes
from edgec.targets.tvm.emulated import plugin
from edgec.targets.tvm.emulated.mca import find_tools
from edgec.targets.tvm.emulated.time_model import core_of, counted, time_of
from edgec.targets.tvm.runtime_record import RUNNER
from edgec.whole_file import write_text

Array = np.ndarray[Any, Any]


class ProcessRunner(Closing):
    """Starts one process per call: slow, but needs neither TVM on this machine nor a CPU of the board's kind."""

    def __init__(self, context: RunContext, emulator: tuple[str, ...] = ()) -> None:
        self._context = context
        self._emulator = emulator

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the model's order."""
        return self._context.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the model's order."""
        return self._context.outputs

    @property
    def description(self) -> str:
        """The emulator and its CPU, or `edgec-run`."""
        return " ".join((Path(self._emulator[0]).name, *self._emulator[1:3])) if self._emulator else "edgec-run"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference."""
        with temporary_folder() as scratch:
            report = self._call(feeds, scratch, ["--output-dir", str(scratch)])
            return {entry["name"]: np.load(scratch / entry["file"], allow_pickle=False) for entry in report["outputs"]}

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the seconds of each of `runs` inferences in one process."""
        with temporary_folder() as scratch:
            report = self._call(feeds, scratch, ["--warmup", str(warmup), "--runs", str(runs)])
        return [1e-3 * milliseconds for milliseconds in report["times_ms"]]

    def profile(self, feeds: Mapping[str, Array], *, warmup: int, runs: int, trace: Path | None = None) -> KernelTimes:
        """Return the time of each kernel, see `edgec.targets.base.Profiled`."""
        arguments = ["--profile", "--warmup", str(warmup), "--runs", str(runs)]
        with temporary_folder() as scratch:
            written = scratch / "trace.json"
            found = self._call(feeds, scratch, [*arguments, "--trace", str(written)])["profile"]
            if trace is not None:
                write_text(trace, written.read_text(encoding="utf-8"))
        kernels = tuple(KernelTime(**each | {"nodes": tuple(each["nodes"])}) for each in found.pop("kernels"))
        return KernelTimes(where=self.description, runs=runs, kernels=kernels, **found)

    def count(self, feeds: Mapping[str, Array], *, layers: bool = False) -> Counts:
        """Return what one inference of one thread executes, see `edgec.targets.emulated_time.Emulated`."""
        board = self._context.board
        if not self._emulator or board.architecture != "aarch64":
            remedy = "Measure it: edgec bench without --emulate-time."
            raise BadOption(f"an artefact for {board.name} is not emulated on this machine", remedy=remedy)
        core, tools = core_of(board), find_tools()
        with temporary_folder() as scratch:
            written = scratch / "counts"
            emulator = (
                *self._emulator,
                *plugin.options(plugin.build(scratch, self._emulator[0]), written, core.caches),
            )
            counting = ProcessRunner(replace(self._context, threads=1), emulator)
            arguments = ["--mark", "--warmup", "1", "--runs", "1", *(["--profile"] if layers else [])]
            try:
                told = counting._call(feeds, scratch, arguments)
            except CannotRunHere as error:
                if not re.search(r"unknown option|load plugin", error.problem):
                    raise
                problem = f"{self._emulator[0]} takes no plugins, which count for the time of a board"
                raise CannotRunHere(problem, remedy="Install qemu-user 7 or newer, built with plugins.") from error
            reports = plugin.read_reports(written.read_text(encoding="ascii"))
        if not layers:
            return counted(reports, core, tools)[0]
        kernels = told["profile"]["kernels"]
        if len(reports) < 1 + len(kernels):
            problem = f"{self._context.folder}: its edgec-run does not mark kernels"
            raise BadOption(problem, remedy="Compile again, or omit --layers.")
        # the whole first, then the kernels of a warm-up, then those that count
        whole, *parts = counted([reports[0], *reports[len(reports) - len(kernels) :]], core, tools)
        named = ("function", "nodes", "macs", "bytes")
        return replace(
            whole,
            kernels=tuple(
                KernelCounts(**{name: each[name] for name in named} | {"nodes": tuple(each["nodes"])}, counts=part)
                for each, part in zip(kernels, parts, strict=True)
            ),
        )

    def estimated_time(self, counts: Counts, measured: tuple[Counts, float] | None = None) -> EmulatedTime:
        """Return the time on the board of what was counted."""
        return time_of(counts, self._context.board, measured)

    def close(self) -> None:
        """Do nothing: a process exists only during a call."""

    def _call(self, feeds: Mapping[str, Array], scratch: Path, arguments: list[str]) -> dict[str, Any]:
        folder, threads = self._context.folder, self._context.threads
        command = [*self._emulator, str(folder / RUNNER), "--json", "--no-check", "--threads", str(threads)]
        for index, (name, array) in enumerate(check_feeds(feeds, self._context.inputs).items()):
            path = scratch / f"input{index}.npy"
            np.save(path, array)
            command += ["--input", f"{name}={path}"]
        done = run_child([*command, *arguments])
        if done.returncode != 0:
            what = done.stderr.strip() or f"exit code {done.returncode}"
            raise CannotRunHere(f"{folder}: edgec-run failed ({self.description}): {what}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report
