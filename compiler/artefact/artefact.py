"""`Artefact`: a compiled model on disk, and the operations on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from edgec import registry
from edgec.artefact import evidence
from edgec.artefact.golden import read_inner, read_samples
from edgec.artefact.loaded import Loaded
from edgec.artefact.manifest import Manifest, read_manifest
from edgec.artefact.signature import check_signature
from edgec.artefact.verification import Verification
from edgec.errors import BadOption
from edgec.reference.compare import Comparison
from edgec.reference.expectation import compare_all
from edgec.reference.layerwise import Layers
from edgec.reference.sketch import sketches
from edgec.targets.base import Inspectable, RunContext, Runner, Target
from edgec.targets.kernel_times import KernelTimes, Profiled


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
    """A folder written by `edgec.compile`; its files were checked against the manifest when it was opened.

    `verification` is the result of running it after compilation; None if it was opened later, or not run, and then
    `unverified` gives the reason.
    """

    folder: Path
    manifest: Manifest
    verification: Verification | None = None
    unverified: str = ""

    @classmethod
    def open(cls, folder: str | Path, *, signers: str | Path | None = None) -> Artefact:
        """Open the artefact in `folder`.

        Args:
            folder: Folder written by `edgec.compile`.
            signers: File of names and public keys, one of which must have signed it; default: no signature is needed.

        Raises:
            BadArtefact: It is not an artefact, was altered, or was signed by none of `signers`.
        """
        path = Path(folder)
        if signers is not None:
            check_signature(path, Path(signers))
        return cls(path, read_manifest(path))

    def __repr__(self) -> str:
        manifest = self.manifest
        made = f"{manifest.source.name} for {manifest.board.name}, {manifest.options.precision}"
        return f"<Artefact: {self.folder}, {made}, {self.size:,} bytes>"

    @property
    def size(self) -> int:
        """Total number of bytes of all files."""
        return sum(entry.size for entry in self.manifest.files)

    def runner(self, threads: int | None = None) -> Runner:
        """Load the artefact for execution here, natively or emulated.

        Args:
            threads: Number of worker threads, at most the number of CPUs; default: as compiled.

        Raises:
            BadOption: `threads` is less than 1.
            CannotRunHere: This machine does not have the board's architecture and cannot emulate it.
        """
        manifest = self.manifest
        target: Target = registry.load("targets", manifest.board.backend)()
        context = RunContext(
            folder=self.folder,
            board=manifest.board,
            inputs=tuple(port.spec for port in manifest.inputs),
            outputs=tuple(port.spec for port in manifest.outputs),
            runtime=manifest.runtime,
            threads=self.usable_threads(threads),
            true_sizes=manifest.true_sizes,
        )
        return target.open(context)

    def predict(
        self,
        picture: Any,
        *,
        min_score: float | None = None,
        decoder: str | None = None,
        threads: int | None = None,
    ) -> Any:
        """Return the result for a picture, or for each of a list; see `Loaded.predict`.

        The artefact is loaded for this call alone: for several pictures `edgec.load` is faster.
        """
        with Loaded(self.runner(threads), self.manifest) as loaded:
            return loaded.predict(picture, min_score=min_score, decoder=decoder)

    def golden_inputs(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the first of the golden inputs, by name."""
        return read_samples(self.folder, self.manifest.inputs)[0] if self.manifest.inputs else {}

    def golden_outputs(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return ONNX Runtime's outputs for them, by name."""
        return read_samples(self.folder, self.manifest.outputs)[0] if self.manifest.outputs else {}

    def verify(self, threads: int | None = None, *, keep: bool = False, layers: Layers | None = None) -> Verification:
        """Run the artefact on its golden inputs and compare the outputs, and inner values if the runner returns them.

        Args:
            threads: Number of worker threads; default: as compiled.
            keep: Whether to store the result in its evidence, where `Report` finds it.
            layers: Compares each layer by itself, for which it takes more than the artefact holds: the network.

        Raises:
            CannotRunHere: This machine does not have the board's architecture and cannot emulate it.
        """
        manifest = self.manifest
        rows = {port.name: port.rows for port in manifest.outputs if port.rows is not None}
        expected = read_samples(self.folder, manifest.outputs)
        samples = read_samples(self.folder, manifest.inputs) or [{}] * len(expected)
        with self.runner(threads) as runner:
            outputs = [runner.run(feeds) for feeds in samples]
            shown: list[dict[str, np.ndarray[Any, Any]]] = []
            if manifest.inner and isinstance(runner, Inspectable):
                names = {value.name for value in manifest.inner}
                for feeds, given in zip(samples, outputs, strict=True):
                    values = {name: array for name, array in runner.inspect(feeds).items() if name in names}
                    shown.append(sketches(values, names))
                    if layers is not None and values:
                        layers.add(feeds, values, {name: given[name] for name in given if name not in rows})
        noise = {port.name: port.noise for port in manifest.outputs if port.noise is not None}
        known = read_inner(self.folder, manifest.inner, len(samples)) if shown else []
        known = [{name: array for name, array in one.items() if name in shown[0]} for one in known]
        found = Verification(
            where=runner.description,
            tolerance=manifest.tolerance,
            comparison=compare_all(expected, outputs, rows).with_noise(noise),
            precision=manifest.options.precision,
            inner=compare_all(known, shown).with_noise({value.name: value.noise for value in manifest.inner}),
            wrong_layers=Comparison(()) if layers is None else layers.wrong(manifest.tolerance),
            samples=len(samples),
            exact=manifest.exact,
            flat=tuple(name for name in noise if all(_is_flat(each[name]) for each in expected)),
        )
        if keep:
            evidence.keep(self.folder, "verification", found)
        return found

    def bench(self, *, threads: int | None = None, warmup: int = 3, runs: int = 20, keep: bool = False) -> Latency:
        """Measure the latency on the golden inputs.

        Args:
            threads: Number of worker threads; default: as compiled.
            warmup: Number of warm-up runs, which are not measured.
            runs: Number of runs that are measured.
            keep: Whether to store the times in its evidence, where `Report` finds them.

        Raises:
            CannotRunHere: This machine does not have the board's architecture and cannot emulate it.
        """
        with self.runner(threads) as runner:
            times = [1e3 * t for t in runner.bench(self.golden_inputs(), warmup=warmup, runs=runs)]
        p90 = quantiles(times, n=10, method="inclusive")[-1] if len(times) > 1 else times[0]
        found = Latency(runner.description, self.usable_threads(threads), len(times), median(times), p90, min(times))
        if keep:
            evidence.keep(self.folder, "latency", found)
        return found

    def profile(
        self,
        *,
        threads: int | None = None,
        warmup: int = 3,
        runs: int = 20,
        trace: Path | None = None,
        keep: bool = False,
    ) -> KernelTimes:
        """Measure what each kernel of the network takes on the golden inputs.

        Args:
            threads: Number of worker threads; default: as compiled.
            warmup: Number of warm-up runs, which are not measured.
            runs: Number of runs that are measured.
            trace: File into which the kernels of one run are written, for Perfetto or chrome://tracing.
            keep: Whether the times are kept in its evidence, where `Report` finds them.

        Raises:
            BadOption: Its board measures kernels itself, or `trace` cannot be written.
            CannotRunHere: This machine is not its board and cannot emulate it.
        """
        with self.runner(threads) as runner:
            if not isinstance(runner, Profiled):
                raise BadOption(
                    f"kernels of an artefact for {self.manifest.board.name} are not measured here",
                    remedy="Run ./build.sh --layers on the board, then edgec import-result.",
                )
            found = runner.profile(self.golden_inputs(), warmup=warmup, runs=runs, trace=trace)
        if keep:
            evidence.keep(self.folder, "kernels", found)
        return found

    def usable_threads(self, given: int | None = None) -> int:
        """Return the worker threads of a run here: `given`, at least 1, or as compiled, but no more than the CPUs."""
        if given is not None and given < 1:
            raise BadOption(f"threads must be at least 1, got {given}")
        # More threads than CPUs mostly wait for each other.
        return min(given or self.manifest.threads, len(os.sched_getaffinity(0)))


def _is_flat(array: np.ndarray[Any, Any]) -> bool:
    return array.size > 1 and bool((array == array.reshape(-1)[0]).all())


def load(path: str | Path, threads: int | None = None, *, signers: str | Path | None = None) -> Loaded:
    """Load the artefact in the folder `path` for execution on this machine.

    Args:
        path: Folder written by `edgec.compile` or `edgec compile`.
        threads: Number of worker threads; default: as compiled.
        signers: File of names and public keys, one of which must have signed it; default: no signature is needed.

    Raises:
        BadArtefact: It is not an artefact, was altered, or was signed by none of `signers`.
        CannotRunHere: This machine does not have the board's architecture and cannot emulate it.
    """
    artefact = Artefact.open(path, signers=signers)
    return Loaded(artefact.runner(threads), artefact.manifest)
