"""`NativeRunner`: runs an artefact of this machine's CPU inside this process, by the installed TVM."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tvm
import tvm_ffi
from tvm import relax

from edgec.model.signature import TensorSpec
from edgec.targets.base import Closing, RunContext, closed
from edgec.targets.kernel_times import KernelTimes
from edgec.targets.tvm.arguments import Arguments, Array, arrays
from edgec.targets.tvm.run_process import ProcessRunner
from edgec.targets.tvm.taps import Tap, Watch
from edgec.targets.tvm.worker import Caller, Result, caller


class NativeRunner(Closing):
    """May be used from several Python threads: calls are queued. In a forked child the first call loads it again."""

    def __init__(self, context: RunContext) -> None:
        self._context, self._inputs = context, context.inputs
        self._outputs, self._sizes = context.outputs, context.true_sizes
        self._results = (*(spec.name for spec in context.outputs), *context.true_sizes.counts)
        self._library, self._threads = context.folder / context.runtime["library"], context.threads
        self._taps = [Tap.of(entry) for entry in context.runtime.get("taps", ())]
        self._open()

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs in the model's order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs in the model's order."""
        return self._outputs

    @property
    def description(self) -> str:
        """Where the code runs."""
        return "native"

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference."""
        given = self._arguments.check(feeds)
        results = self._call(lambda network: arrays(network(*self._arguments.of(given))))
        return self._sizes.trim(dict(zip(self._results, results, strict=True)))

    def inspect(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run one inference and return values inside the network; this loads the network a second time, temporarily."""
        given = self._arguments.check(feeds)

        def watched(_network: Any) -> dict[str, Array]:
            watch, machine = Watch(self._taps), _machine(self._library)
            machine.set_instrument(watch)
            machine["main"](*self._arguments.of(given))
            return watch.values

        return self._call(watched)

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the seconds of each of `runs` inferences, without conversions from and to numpy."""
        given = self._arguments.check(feeds)

        def measure(network: Any) -> list[float]:
            times, arguments = [], self._arguments.of(given)
            for _ in range(warmup + runs):
                begin = time.perf_counter()
                network(*arguments)
                times.append(time.perf_counter() - begin)
            return times[warmup:]

        return self._call(measure)

    def profile(self, feeds: Mapping[str, Array], *, warmup: int, runs: int, trace: Path | None = None) -> KernelTimes:
        """Return the time of each kernel, measured in a process of its own, where reading the clock costs little.

        See `edgec.targets.base.Profiled`.
        """
        return ProcessRunner(self._context).profile(feeds, warmup=warmup, runs=runs, trace=trace)

    def close(self) -> None:
        """Free the network after the calls in progress."""
        self._release()
        if self._caller.is_here:
            self._caller.do(lambda: None)

    def _open(self) -> None:
        self._arguments = Arguments(self._inputs)
        self._caller: Caller = caller(self._threads)
        self._network = network = list[Any]()
        self._release = weakref.finalize(self, self._caller.give_back, network.clear)
        self._release.atexit = False
        library = self._library
        self._caller.do(lambda: network.append(_machine(library)["main"]))

    def _call(self, task: Callable[[Any], Result]) -> Result:
        """Return the result of `task` for the network, computed in its thread, one task at a time."""
        if not self._release.alive:
            raise closed(self._library.parent)
        if not self._caller.is_here:
            self._release.detach()
            self._open()
        return self._caller.do(lambda: task(self._loaded()))

    def _loaded(self) -> Any:
        if not self._network:  # closed by another thread while this call queued
            raise closed(self._library.parent)
        return self._network[0]


def _machine(library: Path) -> relax.VirtualMachine:
    # TVM's own `load_module` keeps every library, weights included, until the process ends.
    return relax.VirtualMachine(tvm_ffi.load_module(library, keep_module_alive=False), tvm.cpu())
