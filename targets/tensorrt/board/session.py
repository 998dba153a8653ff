"""A loaded engine with its buffers, through either of TensorRT's two interfaces for running it."""

from typing import Dict, List, Mapping, Optional, Union

import tensorrt as trt

from .by_index import ByIndex
from .by_name import ByName
from .cuda import Buffer, Cuda
from .facts import ENGINE
from .failure import Failure, with_log
from .log import new_logger
from .ports import Port, Shape
from .settings import Settings, Tensor


class Session:
    """Runs the stored engine: set `inputs`, call `enqueue` between the copies, `synchronize`, read `outputs`.

    Raises:
        Failure: The engine cannot be loaded, or its inputs and outputs are not those of the manifest.
    """

    def __init__(self, cuda: Cuda, settings: Settings) -> None:
        self.cuda = cuda
        self._settings = settings
        self._logger = new_logger()
        with open(settings.path(ENGINE), "rb") as file:
            plan = file.read()
        self._runtime = trt.Runtime(self._logger)  # it must outlive the engine
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._failure("TensorRT cannot load {}: build it again with --force.".format(settings.path(ENGINE)))
        context = engine.create_execution_context()
        if context is None:
            raise self._failure("TensorRT cannot create an execution context (out of memory?).")
        self._context = context
        new = hasattr(engine, "num_io_tensors")  # in 8.5 and later
        self._calls: Union[ByIndex, ByName] = ByName(engine, context) if new else ByIndex(engine, context)
        self._buffers: List[Buffer] = []
        self._bound: Dict[str, int] = {}
        self.inputs: List[Buffer] = []
        self.outputs: List[Buffer] = []
        self.set_shapes({tensor.bound: tensor.shape for tensor in settings.inputs})
        _check_shapes(settings.inputs, self.inputs)
        _check_shapes(settings.outputs, self.outputs)

    def set_shapes(self, shapes: Mapping[str, Shape]) -> None:
        """Make `inputs` and `outputs` fit inputs of `shapes`, given by their names in the engine.

        Raises:
            Failure: The engine was not built for a shape, or there is not enough memory for it.
        """
        for port in self._calls.ports:
            if port.is_input and port.dynamic and not self._calls.set_shape(port, shapes[port.name]):
                raise self._failure(_outside(port.name, shapes[port.name], self._settings))
        wanted = [self._shape(port) for port in self._calls.ports]
        if [buffer.host.shape for buffer in self._buffers] == wanted:
            return
        self._free()
        try:
            for shape, port in zip(wanted, self._calls.ports):
                self._buffers.append(self.cuda.buffer(shape, port.dtype))
        except Failure:
            self._free()
            raise
        named = {port.name: buffer for port, buffer in zip(self._calls.ports, self._buffers)}
        self.inputs = _pick(named, self._settings.inputs)
        self.outputs = _pick(named, self._settings.outputs)
        self.bind({})

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Have the next inferences use these addresses on the GPU, by names in the engine, instead of own buffers."""
        self._bound = dict(addresses)
        self._calls.bind(
            [addresses.get(port.name, buffer.device) for port, buffer in zip(self._calls.ports, self._buffers)]
        )

    def set_profiler(self, profiler: trt.IProfiler) -> None:
        """Have TensorRT report the times of the layers of every inference from now on."""
        self._profiler = profiler  # it must outlive the context
        self._context.profiler = profiler

    def execute(self) -> None:
        """Run one inference that the profiler is told of, and wait for it."""
        if not self._calls.execute(self.cuda.stream):
            raise self._failure("TensorRT could not run the inference.")
        self.cuda.synchronize()

    def copy_in(self) -> None:
        """Enqueue the copies of all inputs to the GPU."""
        for buffer in self.inputs:
            self.cuda.copy_in(buffer)

    def enqueue(self, stream: Optional[int] = None) -> None:
        """Enqueue one inference, on another stream if one is given."""
        if not self._calls.enqueue(self.cuda.stream if stream is None else stream):
            raise self._failure("TensorRT could not start the inference.")

    def copy_out(self) -> None:
        """Enqueue the copies of all outputs from the GPU."""
        for buffer in self.outputs:
            self.cuda.copy_out(buffer)

    def run(self) -> None:
        """Run one inference from host to host and wait for it."""
        if self._bound:
            self.bind({})
        self.copy_in()
        self.enqueue()
        self.copy_out()
        self.cuda.synchronize()

    def close(self) -> None:
        """Free buffers, stream and engine: then nothing can run, and no `host` array may be used."""
        self._free()
        self.cuda.close()
        # The engine and its context must go before the objects that made them.
        for name in ("_calls", "_context", "_profiler", "_runtime"):
            self.__dict__.pop(name, None)

    def _free(self) -> None:
        self.inputs, self.outputs = [], []  # so that nothing uses them any more
        while self._buffers:
            self.cuda.free(self._buffers.pop())

    def _shape(self, port: Port) -> Shape:
        shape = self._calls.shape(port) if port.dynamic else port.shape
        if min(shape, default=1) < 0:
            raise Failure("the size of {!r} depends on the data: such an output cannot be read.".format(port.name))
        return shape

    def _failure(self, message: str) -> Failure:
        return Failure(with_log(message, self._logger.errors))


def _outside(name: str, shape: Shape, settings: Settings) -> str:
    profile = settings.profiles.get(name)
    built_for = "{} to {}".format(profile.min, profile.max) if profile else "others"
    return "input {!r} cannot be {}: the engine was built for {}.".format(name, shape, built_for)


def _pick(named: Dict[str, Buffer], tensors: List[Tensor]) -> List[Buffer]:
    for tensor in tensors:
        if tensor.bound not in named:
            raise Failure("the engine has no tensor {!r}; it has {}.".format(tensor.bound, ", ".join(sorted(named))))
    return [named[tensor.bound] for tensor in tensors]


def _check_shapes(tensors: List[Tensor], buffers: List[Buffer]) -> None:
    for tensor, buffer in zip(tensors, buffers):
        if buffer.host.shape != tensor.shape:
            raise Failure(
                "the engine's tensor {!r} has the shape {}, but the manifest says {}.".format(
                    tensor.bound, buffer.host.shape, tensor.shape
                )
            )
