"""`NativeRunner`: runs an artefact of this machine's CPU inside this process, by the installed TVM."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tvm
from tvm import relax

from edgec.model.signature import TensorSpec, check_feeds
from edgec.targets.base import RunContext

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")
ONE_CORE_PER_THREAD = -2
"""Affinity mode of TVM's pool. Unbound workers may settle on the core where the caller waits for them."""


class NativeRunner:
    """May be used from several Python threads: calls queue up.

    TVM's worker threads belong to the thread that calls, and their number is fixed by its first call; so every
    runner has one thread of its own that makes all calls.
    """

    def __init__(self, context: RunContext) -> None:
        self._inputs = context.inputs
        self._outputs = context.outputs
        library = context.folder / context.runtime["library"]
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edgec-run")
        self._function = self._on_thread(lambda: _load(library, context.threads))

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
        arguments = self._arguments(feeds)
        results = self._on_thread(lambda: _arrays(self._function(*arguments)))
        return {spec.name: array for spec, array in zip(self._outputs, results, strict=True)}

    def bench(self, feeds: Mapping[str, Array], *, warmup: int, runs: int) -> list[float]:
        """Return the seconds of each of `runs` inferences; conversion from and to numpy does not count."""
        arguments = self._arguments(feeds)

        def measure() -> list[float]:
            times = []
            for _ in range(warmup + runs):
                begin = time.perf_counter()
                self._function(*arguments)
                times.append(time.perf_counter() - begin)
            return times[warmup:]

        return self._on_thread(measure)

    def _arguments(self, feeds: Mapping[str, Array]) -> list[tvm.runtime.Tensor]:
        return [tvm.runtime.tensor(array) for array in check_feeds(feeds, self._inputs).values()]

    def _on_thread(self, task: Callable[[], Result]) -> Result:
        return self._thread.submit(task).result()


def _load(library: Path, threads: int) -> Any:
    """Return the network in `library`, to be called from this thread, which must be new to TVM."""
    use_threads(threads)
    return relax.VirtualMachine(tvm.runtime.load_module(str(library)), tvm.cpu())["main"]


def use_threads(threads: int) -> None:
    """Give the calling thread, which must be new to TVM, its `threads` workers, one a core."""
    before = os.sched_getaffinity(0)
    cpus = _cpus_by_speed()
    names = [str(cpus[index % len(cpus)]) for index in range(threads)]
    tvm.get_global_func("runtime.config_threadpool")(ONE_CORE_PER_THREAD, threads, names)
    if threads == 1:
        os.sched_setaffinity(0, before)  # a single thread need not be bound


def _cpus_by_speed() -> list[int]:
    """The CPUs this process may use, the fastest first: big cores before little ones."""

    def megahertz(cpu: int) -> float:
        try:
            return int(Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq").read_text()) / 1e3
        except (OSError, ValueError):
            return 0.0

    return sorted(os.sched_getaffinity(0), key=lambda cpu: (-megahertz(cpu), cpu))


def _arrays(result: Any) -> list[Array]:
    tensors = [result] if hasattr(result, "numpy") else list(result)
    return [tensor.numpy() for tensor in tensors]
