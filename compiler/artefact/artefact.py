"""`Artefact`: a compiled model on disk, with what can be done with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from edgec import registry
from edgec.artefact import evidence
from edgec.artefact.manifest import Manifest, Port, read_manifest
from edgec.artefact.signature import check_signature
from edgec.errors import BadArtefact, BadOption, VerificationFailed
from edgec.model.signature import check_array
from edgec.reference.compare import Comparison, compare
from edgec.targets.base import RunContext, Runner, Target
from edgec.targets.board import is_this_machine


@dataclass(frozen=True, repr=False)
class Verification:
    """Outcome of running an artefact on its golden inputs: the errors of its outputs against ONNX Runtime's."""

    where: str
    tolerance: float
    comparison: Comparison
    precision: str = "fp32"

    @property
    def ok(self) -> bool:
        """Whether every output is within the tolerance."""
        return self.comparison.within(self.tolerance)

    def __repr__(self) -> str:
        verdict = "ok" if self.ok else "FAILED"
        return f"<Verification: {verdict}, error {self.worst:.1e} of the range, {self.where}>"

    @property
    def worst(self) -> float:
        """Largest error relative to the range of its output."""
        return self.comparison.relative

    def check(self) -> None:
        """Raise unless `ok`.

        Raises:
            VerificationFailed: Names the worst output.
        """
        if not self.ok:
            remedy = "Compile again; if it stays, please report it with the model: it is a bug of edgec."
            if self.precision == "int8":
                remedy = (
                    "On integers a network may make much of a rounding: `edgec eval` says what it is worth. "
                    "If that is bad too, compile with --max-loss, or in another precision."
                )
            raise VerificationFailed(
                f"{self.comparison.worst} ({self.where}; accepted {self.tolerance:.0e})", remedy=remedy
            )


@dataclass(frozen=True)
class Latency:
    """Wall time of one inference, in milliseconds, over `runs` runs."""

    where: str
    threads: int
    runs: int
    median: float
    p90: float
    minimum: float


@dataclass(frozen=True, repr=False)
class Artefact:
    """A folder written by `edgec.compile`; its files were checked against the manifest when it was opened."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path, *, signers: str | Path | None = None) -> Artefact:
        """Open the artefact in `folder`.

        Args:
            folder: Written by `edgec.compile`.
            signers: File with the names and public keys of which one has to have signed it; default: none has to.

        Raises:
            BadArtefact: It is none, not as it was written, or signed by nobody of `signers`.
        """
        path = Path(folder)
        if signers is not None:
            check_signature(path, Path(signers))
        return cls(path, read_manifest(path))

    @property
    def is_native(self) -> bool:
        """Whether this machine is of its board's architecture, so that it may run here without emulation."""
        return is_this_machine(self.manifest.board)

    def __repr__(self) -> str:
        manifest = self.manifest
        made = f"{manifest.source.name} for {manifest.board.name}, {manifest.options.precision}"
        return f"<Artefact: {self.folder}, {made}, {self.size:,} bytes>"

    @property
    def size(self) -> int:
        """Bytes of all its files together."""
        return sum(entry.size for entry in self.manifest.files)

    def runner(self, threads: int | None = None) -> Runner:
        """Load it for execution here, natively or emulated.

        Args:
            threads: Worker threads, no more than there are CPUs here; default: as compiled.

        Raises:
            BadOption: `threads` is less than 1.
            CannotRunHere: This machine is not its board and cannot emulate it.
        """
        manifest = self.manifest
        target: Target = registry.load("targets", manifest.board.backend)()
        context = RunContext(
            folder=self.folder,
            board=manifest.board,
            inputs=tuple(port.spec for port in manifest.inputs),
            outputs=tuple(port.spec for port in manifest.outputs),
            runtime=manifest.runtime,
            threads=self._threads(threads),
            true_sizes=manifest.true_sizes,
        )
        return target.open(context)

    def golden_inputs(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the inputs that were stored with it, by name."""
        return self._golden(self.manifest.inputs)

    def golden_outputs(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what ONNX Runtime gave for them on the original model, by name."""
        return self._golden(self.manifest.outputs)

    def verify(self, threads: int | None = None, *, keep: bool = False) -> Verification:
        """Run it on its golden inputs and compare.

        Args:
            threads: Worker threads; default: as compiled.
            keep: Whether the outcome is kept in its evidence, where `Report` finds it.

        Raises:
            CannotRunHere: This machine is not its board and cannot emulate it.
        """
        with self.runner(threads) as runner:
            actual = runner.run(self.golden_inputs())
        compared = compare(self.golden_outputs(), actual)
        precision = self.manifest.options.precision
        found = Verification(runner.description, self.manifest.tolerance, compared, precision)
        if keep:
            evidence.keep(self.folder, "verification", found)
        return found

    def bench(self, *, threads: int | None = None, warmup: int = 3, runs: int = 20, keep: bool = False) -> Latency:
        """Measure the latency on the golden inputs.

        Args:
            threads: Worker threads; default: as compiled.
            warmup: Number of warm-up runs, which are not measured.
            runs: Number of runs that are measured.
            keep: Whether the times are kept in its evidence, where `Report` finds them.

        Raises:
            CannotRunHere: This machine is not its board and cannot emulate it.
        """
        with self.runner(threads) as runner:
            times = [1e3 * t for t in runner.bench(self.golden_inputs(), warmup=warmup, runs=runs)]
        p90 = quantiles(times, n=10, method="inclusive")[-1] if len(times) > 1 else times[0]
        found = Latency(runner.description, self._threads(threads), len(times), median(times), p90, min(times))
        if keep:
            evidence.keep(self.folder, "latency", found)
        return found

    def _threads(self, given: int | None) -> int:
        if given is not None and given < 1:
            raise BadOption(f"threads must be at least 1, got {given}")
        # More than there are CPUs wait for one another most of the time.
        return min(given or self.manifest.threads, len(os.sched_getaffinity(0)))

    def _golden(self, ports: tuple[Port, ...]) -> dict[str, np.ndarray[Any, Any]]:
        arrays = {}
        for port in ports:
            try:
                array = np.load(self.folder / port.golden, allow_pickle=False)
                check_array(array, port.spec_of(array), port.golden)
            except Exception as error:  # of a damaged header numpy raises whatever its parser does
                raise BadArtefact(f"{self.folder}: {port.golden}: {error}", remedy="Compile again.") from error
            arrays[port.name] = array
        return arrays


def load(path: str | Path, threads: int | None = None, *, signers: str | Path | None = None) -> Runner:
    """Load the artefact in the folder `path` for execution on this machine.

    Args:
        path: Folder written by `edgec.compile` or `edgec compile`.
        threads: Worker threads; default: as compiled.
        signers: File with the names and public keys of which one has to have signed it; default: none has to.

    Raises:
        BadArtefact: It is none, not as it was written, or signed by nobody of `signers`.
        CannotRunHere: This machine is not its board and cannot emulate it.
    """
    return Artefact.open(path, signers=signers).runner(threads)
