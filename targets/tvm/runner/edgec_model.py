"""Runs the artefact that this file belongs to in a Python program. It needs numpy and Python 3.6 or newer, not edgec.

    import sys
    sys.path.insert(0, "model.rpi4/python")
    import edgec_model

    with edgec_model.Model() as model:  # the artefact above this file's folder
        outputs = model.run({"x": picture})

It may be used from several threads: calls are queued.
"""

import ctypes
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np


class Error(Exception):
    """The artefact cannot be loaded or run here, or an array does not fit; the message says why."""


class Port:
    """An input or output: name, shape and dtype. Of an output whose sizes depend on the data, shape has the largest."""

    def __init__(self, entry: Dict[str, Any]) -> None:
        self.name: str = entry["name"]
        self.shape: Tuple[int, ...] = tuple(entry["shape"])
        self.dtype = np.dtype(entry["dtype"])
        self.sized = any(index >= 0 for index in entry["sizes"])

    def __repr__(self) -> str:
        return "%s: %s %s" % (self.name, self.dtype, list(self.shape))


class Model:
    """A loaded artefact; its files are compared with their hashes first.

    `folder` is the artefact; default: the one that this file belongs to. `threads` is the number of threads; default:
    as compiled, never more than there are CPUs.
    """

    def __init__(self, folder: Optional[str] = None, threads: int = 0) -> None:
        folder = os.path.abspath(folder or os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
        self._handle: Optional[int] = None
        try:
            self._library = _load(os.path.join(folder, "lib", "libedgec.so"))
        except OSError as error:
            raise Error("%s cannot be loaded on this machine: %s" % (folder, error))
        # A thread of its own: the threads of a network belong to the one that calls it, which is bound to one core.
        self._thread = ThreadPoolExecutor(1)
        self._handle = self._thread.submit(self._open, folder, threads).result()
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as stream:
            manifest = json.load(stream)
        self.inputs = [Port(entry) for entry in manifest["inputs"]]
        self.outputs = [Port(entry) for entry in manifest["outputs"]]
        self.batch = manifest["runtime"]["batch"]

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the outputs, name -> array, for the inputs `feeds`, name -> array of the input's shape and dtype.

        If the artefact was compiled for a batch, the first axis of all inputs may have any size up to `batch`.
        Raises Error if an input is missing, unknown, or has another shape or dtype: nothing is converted.
        """
        if not self._handle:
            raise Error("the model was closed")
        unknown = sorted(set(feeds) - {port.name for port in self.inputs})
        if unknown:
            raise Error("there is no input %r; inputs: %s" % (unknown[0], ", ".join(map(str, self.inputs))))
        given = [self._checked(port, feeds) for port in self.inputs]
        items = {len(array) for array in given} if self.batch > 1 else {1}
        if len(items) != 1:
            raise Error("the inputs have different batches: %s" % sorted(items))
        count = items.pop()
        results = [np.empty(self._shape(port, count), port.dtype) for port in self.outputs]
        return self._thread.submit(self._run, given, results, count).result()

    def close(self) -> None:
        """Free the model; the end of a `with` block does this, too."""
        handle, self._handle = self._handle, None
        if handle:
            self._thread.submit(self._library.edgec_close, handle)
            self._thread.shutdown(wait=False)

    def _open(self, folder: str, threads: int) -> int:
        handle: int = self._library.edgec_open(os.fsencode(folder), threads)
        if not handle:
            raise self._error()
        return handle

    def _run(self, given: Sequence[Any], results: Sequence[Any], count: int) -> Dict[str, Any]:
        if self._library.edgec_run(self._handle, _addresses(given), _addresses(results), count):
            raise self._error()
        return {port.name: self._true(number, array) for number, (port, array) in enumerate(zip(self.outputs, results))}

    def _checked(self, port: Port, feeds: Mapping[str, Any]) -> Any:
        if port.name not in feeds:
            raise Error("input %s is missing" % port)
        array = np.asarray(feeds[port.name])
        count = len(array) if self.batch > 1 and array.ndim else 1
        if array.dtype != port.dtype or array.shape != self._shape(port, count) or not 1 <= count <= self.batch:
            of = " (batch up to %d)" % self.batch if self.batch > 1 else ""
            raise Error("input %s%s received %s %s" % (port, of, array.dtype, list(array.shape)))
        return np.ascontiguousarray(array)

    def _shape(self, port: Port, count: int) -> Tuple[int, ...]:
        return (count, *port.shape[1:]) if self.batch > 1 else port.shape

    def _true(self, number: int, array: Any) -> Any:
        if not self.outputs[number].sized:
            return array
        sizes = (ctypes.c_int64 * array.ndim)()
        if self._library.edgec_shape(self._handle, number, sizes):
            raise self._error()
        shape = tuple(sizes)
        return array.reshape(-1)[: int(np.prod(shape))].reshape(shape).copy()  # the elements lie end to end

    def _error(self) -> Error:
        return Error(self._library.edgec_error().decode("utf-8", "replace"))

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except RuntimeError:  # the interpreter ends
            pass


def _load(path: str) -> Any:
    library = ctypes.CDLL(path)
    library.edgec_open.restype = ctypes.c_void_p
    library.edgec_open.argtypes = [ctypes.c_char_p, ctypes.c_int]
    library.edgec_error.restype = ctypes.c_char_p
    library.edgec_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    library.edgec_shape.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    library.edgec_close.argtypes = [ctypes.c_void_p]
    library.edgec_close.restype = None
    return library


def _addresses(arrays: Sequence[Any]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
