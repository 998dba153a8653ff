"""Networks that time their own kernels: a kernel is measured inside its network, with realistic contents of the caches.

Every kernel is called through a few lines of C++ that add up its time. That needs only TVM's calling convention, so it
works on every board and through TVM's RPC. Each kernel is compiled once, even if several networks contain it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from edgec.targets.board import Board
from edgec.targets.tvm.build import Built, compile_kernels, pack_network
from edgec.targets.tvm.cpu import llvm_target
from edgec.targets.tvm.executable import memory_planned
from edgec.targets.tvm.link import link
from edgec.targets.tvm.runner_build import HEADERS, header
from edgec.targets.tvm.zig import zig, zig_triple

SYMBOL = "__tvm_ffi_"
"""Prefix of the name of a function in a library of TVM."""
TIMES = "kernel_times"
"""Function of a timed network: fills a float64 tensor with the seconds of each kernel since its last call, in the order
of `TimedNetwork.kernels`, and of the whole network from the first kernel's beginning to the last one's end."""

TIMERS = """\
#include <time.h>
#include "tvm/ffi/c_api.h"

static double seconds[{count} + 1], first;

static double now() {{
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}}

#define ARGUMENTS void* self, const TVMFFIAny* arguments, int32_t count, TVMFFIAny* result

#define TIMED(place, name, kernel)                         \\
  extern "C" int kernel(ARGUMENTS);                        \\
  extern "C" int name(ARGUMENTS) {{                         \\
    double start = now();                                  \\
    int status = kernel(self, arguments, count, result);   \\
    double end = now();                                    \\
    if (first == 0) first = start;                         \\
    seconds[place] += end - start;                         \\
    seconds[{count}] = end - first;                          \\
    return status;                                         \\
  }}

extern "C" int {symbol}{times}(ARGUMENTS) {{
  const DLTensor* tensor = arguments[0].type_index == kTVMFFIDLTensorPtr
                               ? static_cast<const DLTensor*>(arguments[0].v_ptr)
                               : TVMFFITensorGetDLTensorPtr(arguments[0].v_obj);
  for (int place = 0; place <= {count}; ++place) {{
    static_cast<double*>(tensor->data)[place] = seconds[place];
    seconds[place] = 0;
  }}
  first = 0;
  return 0;
}}

"""


@dataclass(frozen=True)
class TimedNetwork:
    """A library, and its kernels in the order of the times that it returns."""

    library: Path
    kernels: tuple[str, ...]


class TimedBuilder:
    """Builds timed networks for the (resolved) `board` in `folder`, where the kernels of all networks are kept."""

    def __init__(self, board: Board, folder: Path, *, workers: int) -> None:
        self._board, self._folder, self._workers = board, folder, workers
        for name in HEADERS:
            (folder / "include" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "include" / name).write_bytes(header(name))

    def build(self, module: tvm.IRModule, name: str) -> TimedNetwork:
        """Compile the lowered `module` into the library `name`.so."""
        target = llvm_target(self._board)
        with target:
            module = memory_planned(target)(module)
        kernels = {str(key.name_hint): value for key, value in module.functions_items() if _is_kernel(value)}
        network = {key: value for key, value in module.functions_items() if not _is_kernel(value)}
        symbols = {kernel: _symbol(function) for kernel, function in kernels.items()}
        missing = {symbols[kernel]: function for kernel, function in kernels.items()}
        missing = {symbol: function for symbol, function in missing.items() if not self._object(symbol).exists()}
        with ThreadPoolExecutor(self._workers) as pool:
            list(pool.map(lambda symbol: self._compile(symbol, missing[symbol], target), missing))
        scratch = self._folder / name
        scratch.mkdir()
        pack_network(tvm.IRModule(network, attrs=module.attrs), target, scratch / "blob.bin")
        self._write_timers(symbols, scratch)
        objects = [scratch / "timers.o", *(self._object(symbol) for symbol in sorted(set(symbols.values())))]
        library = self._folder / f"{name}.so"
        link(Built(tuple(objects), scratch / "blob.bin", 0), self._board, library)
        for path in scratch.iterdir():
            path.unlink()
        return TimedNetwork(library, tuple(symbols))

    def _object(self, symbol: str) -> Path:
        return self._folder / f"{symbol}.o"

    def _compile(self, symbol: str, function: Any, target: tvm.target.Target) -> None:
        staged = self._folder / f"{symbol}.staged.o"
        compile_kernels({symbol: function.with_attr("global_symbol", symbol)}, target, staged)
        staged.rename(self._object(symbol))

    def _write_timers(self, symbols: Mapping[str, str], scratch: Path) -> None:
        text = TIMERS.format(count=len(symbols), symbol=SYMBOL, times=TIMES)
        lines = [f"TIMED({at}, {SYMBOL}{name}, {SYMBOL}{kernel})" for at, (name, kernel) in enumerate(symbols.items())]
        (scratch / "timers.cc").write_text(text + "\n".join([*lines, ""]), encoding="ascii")
        flags = ["-target", zig_triple(self._board), "-O2", "-fPIC", "-fno-exceptions", f"-I{self._folder / 'include'}"]
        zig("c++", [*flags, "-c", "timers.cc", "-o", "timers.o"], scratch)


def _is_kernel(function: Any) -> bool:
    return isinstance(function, tirx.PrimFunc)


def _symbol(function: tirx.PrimFunc) -> str:
    """Return a name that is the same for the same code."""
    text = tvm.ir.save_json(function.without_attr("global_symbol"))
    return f"kernel_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
