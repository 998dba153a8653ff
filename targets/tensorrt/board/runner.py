"""The engine as a function, for programs on the board: `Runner(folder).run({"image": array})`."""

from typing import Any, Dict, List, Mapping

import numpy as np

from .board import build_in_child, look
from .cuda import Cuda
from .device_array import LEGACY, DeviceArray, device_view, stream_handle
from .facts import why_not_usable
from .failure import Failure
from .session import Session
from .settings import Settings, read_settings
from .sums import check_files

ALIGNMENT = 256  # of the addresses that TensorRT takes


class Engine:
    """The existing engine of an artefact.

    Raises:
        Failure: The engine cannot be loaded; the message says why.
    """

    def __init__(self, cuda: Cuda, settings: Settings) -> None:
        self.settings = settings
        self.inputs, self.outputs = settings.inputs, settings.outputs
        self.ranges = {tensor.name: settings.profiles.get(tensor.bound) for tensor in settings.inputs}
        self.session = Session(cuda, settings)

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, Any]:
        """Run one inference: input name -> array, output name -> array, as compiled.

        Raises:
            Failure: An input is missing or unknown, or has a type or shape for which the engine was not built.
        """
        self.feed(feeds)
        self.session.run()
        return {
            tensor.name: buffer.host.astype(tensor.dtype) for tensor, buffer in zip(self.outputs, self.session.outputs)
        }

    def close(self) -> None:
        """Free the engine and its buffers; it cannot run any more."""
        self.session.close()

    def feed(self, feeds: Mapping[str, Any]) -> None:
        """Copy `feeds` to the buffers from which the next inference takes its inputs; see `run`."""
        self._check_names(feeds)
        arrays = [np.asarray(feeds[tensor.name]) for tensor in self.inputs]
        for tensor, array in zip(self.inputs, arrays):
            _check("type", tensor.name, array.dtype.name, tensor.dtype)
        self.session.set_shapes({tensor.bound: array.shape for tensor, array in zip(self.inputs, arrays)})
        for tensor, array, buffer in zip(self.inputs, arrays, self.session.inputs):
            _check("shape", tensor.name, array.shape, buffer.host.shape)
            buffer.host[...] = array

    def run_on_device(self, feeds: Mapping[str, Any], stream: Any = None) -> Dict[str, DeviceArray]:
        """Run one inference on arrays that lie on the GPU, in the CUDA context that is current.

        Args:
            feeds: Input name -> array by the CUDA array interface or DLPack (pycuda, cupy, torch, numba ...), in the
                type of the engine's input; numpy arrays are copied. They must stay until the inference is done.
            stream: A stream of yours: its handle, or that of pycuda, cupy or torch. The inference is then enqueued
                there, behind your work, and the call returns at once. Otherwise it waits until the outputs are there.

        Returns:
            Output name -> array on the GPU, in the type of the engine's output; valid until the next run.

        Raises:
            Failure: An input is missing or unknown, or has a type, shape or strides for which the engine was not built.
        """
        self._check_names(feeds)
        cuda = self.session.cuda
        handle = cuda.stream if stream is None else stream_handle(stream)
        views = [device_view(tensor.name, feeds[tensor.name], handle) for tensor in self.inputs]
        given: List[Any] = [view or np.asarray(feeds[tensor.name]) for tensor, view in zip(self.inputs, views)]
        self.session.set_shapes({tensor.bound: tuple(array.shape) for tensor, array in zip(self.inputs, given)})
        addresses = {}
        for tensor, view, array, buffer in zip(self.inputs, views, given, self.session.inputs):
            _check("shape", tensor.name, tuple(array.shape), buffer.host.shape)
            if view is None:
                _check("type", tensor.name, array.dtype.name, tensor.dtype)
                cuda.synchronize(handle)  # an earlier copy may still read the buffer
                buffer.host[...] = array
                cuda.copy_in(buffer, handle)
                continue
            _check("type", tensor.name, view.dtype, buffer.host.dtype.name)
            if view.stream is not None and view.stream != (handle or LEGACY):
                cuda.synchronize(view.stream)
            if view.address % ALIGNMENT == 0:
                addresses[tensor.bound] = view.address
            else:
                cuda.copy_within(buffer, view.address, handle)
        self.session.bind(addresses)
        self.session.enqueue(handle)
        if stream is None:
            cuda.synchronize()
        return {
            tensor.name: DeviceArray(buffer.host.shape, buffer.host.dtype, buffer.device, handle, self.session)
            for tensor, buffer in zip(self.outputs, self.session.outputs)
        }

    def _check_names(self, feeds: Mapping[str, Any]) -> None:
        names = [tensor.name for tensor in self.inputs]
        if sorted(feeds) != sorted(names):
            raise Failure("the inputs are {}, but {} were given.".format(", ".join(names), ", ".join(feeds) or "none"))


def _check(what: str, name: str, got: Any, wanted: Any) -> None:
    if got != wanted:
        raise Failure("input {!r} has the {} {}, but must have {}.".format(name, what, got, wanted))


class Runner(Engine):
    """The engine in the artefact `folder`, which is built first if none exists that fits this board.

    Raises:
        Failure: This machine is not the board, or the engine cannot be built or loaded; the message says why.
    """

    def __init__(self, folder: str) -> None:
        check_files(folder)
        settings = read_settings(folder)
        board = look(settings)
        if why_not_usable(settings, board.facts) is not None:
            build_in_child(folder)
        self.facts = board.facts
        super().__init__(board.cuda, settings)
