"""The engine as a function, for programs on the board: `Runner(folder).run({"image": array})`."""

from typing import Any, Dict, Mapping

import numpy as np

from .board import build_in_child, look
from .cuda import Cuda
from .facts import why_not_usable
from .failure import Failure
from .session import Session
from .settings import Settings, read_settings
from .sums import check_files


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
        names = [tensor.name for tensor in self.inputs]
        if sorted(feeds) != sorted(names):
            raise Failure("the inputs are {}, but {} were given.".format(", ".join(names), ", ".join(feeds) or "none"))
        arrays = [np.asarray(feeds[name]) for name in names]
        for tensor, array in zip(self.inputs, arrays):
            if array.dtype.name != tensor.dtype:
                raise Failure("input {!r} is {}, not {}.".format(tensor.name, tensor.dtype, array.dtype.name))
        self.session.set_shapes({tensor.bound: array.shape for tensor, array in zip(self.inputs, arrays)})
        for name, array, buffer in zip(names, arrays, self.session.inputs):
            if array.shape != buffer.host.shape:
                raise Failure("input {!r} is {}, not {}.".format(name, buffer.host.shape, array.shape))
            buffer.host[...] = array


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
