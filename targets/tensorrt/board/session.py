"""One loaded engine with its buffers: the bindings API (before TensorRT 8.5) and the tensor API behind one face."""

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from .cuda import Buffer, Cuda
from .engine import ENGINE, make_logger
from .failure import Failure, with_log
from .settings import Settings, Tensor

# TensorRT's own nptype() names np.bool, which numpy 1.24 removed.
DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


class Port(NamedTuple):
    """One input or output as the engine declares it."""

    name: str
    is_input: bool
    shape: Tuple[int, ...]
    dtype: Any


class Session:
    """Runs the stored engine: set `inputs`, call `enqueue` between the copies, `synchronize`, read `outputs`.

    Raises:
        Failure: The engine does not load or its inputs and outputs are not the manifest's.
    """

    def __init__(self, trt: Any, cuda: Cuda, settings: Settings) -> None:
        self.cuda = cuda
        self._logger = make_logger(trt)
        trt.init_libnvinfer_plugins(self._logger, "")
        with open(settings.path(ENGINE), "rb") as file:
            plan = file.read()
        self._runtime = trt.Runtime(self._logger)  # must outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._failure("TensorRT cannot load {}: build it again with --force.".format(settings.path(ENGINE)))
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._failure("TensorRT cannot create an execution context (out of memory?).")
        self._by_name = hasattr(self._engine, "num_io_tensors")
        ports = _ports(trt, self._engine, self._by_name)
        self._buffers = [cuda.buffer(port.shape, port.dtype) for port in ports]
        named = {port.name: buffer for port, buffer in zip(ports, self._buffers)}
        self.inputs = _pick(named, settings.inputs)
        self.outputs = _pick(named, settings.outputs)
        if self._by_name:
            for port, buffer in zip(ports, self._buffers):
                self._context.set_tensor_address(port.name, buffer.device)

    def copy_in(self) -> None:
        """Enqueue the copies of all inputs to the GPU."""
        for buffer in self.inputs:
            self.cuda.copy_in(buffer)

    def enqueue(self) -> None:
        """Enqueue one inference."""
        if self._by_name:
            done = self._context.execute_async_v3(self.cuda.stream)
        else:
            done = self._context.execute_async_v2([buffer.device for buffer in self._buffers], self.cuda.stream)
        if not done:
            raise self._failure("TensorRT could not start the inference.")

    def copy_out(self) -> None:
        """Enqueue the copies of all outputs from the GPU."""
        for buffer in self.outputs:
            self.cuda.copy_out(buffer)

    def run(self) -> None:
        """Run one inference from host to host and wait for it."""
        self.copy_in()
        self.enqueue()
        self.copy_out()
        self.cuda.synchronize()

    def _failure(self, message: str) -> Failure:
        return Failure(with_log(message, self._logger.errors))


def _ports(trt: Any, engine: Any, by_name: bool) -> List[Port]:
    if by_name:
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return [
            Port(
                name,
                engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
                tuple(engine.get_tensor_shape(name)),
                _dtype(name, engine.get_tensor_dtype(name)),
            )
            for name in names
        ]
    return [
        Port(
            engine.get_binding_name(index),
            engine.binding_is_input(index),
            tuple(engine.get_binding_shape(index)),
            _dtype(engine.get_binding_name(index), engine.get_binding_dtype(index)),
        )
        for index in range(engine.num_bindings)
    ]


def _dtype(name: str, dtype: Any) -> Any:
    kind = str(dtype).split(".")[-1]
    if kind not in DTYPES:
        raise Failure("the engine's tensor {!r} has the type {}, which numpy lacks.".format(name, kind))
    return DTYPES[kind]


def _pick(named: Dict[str, Buffer], tensors: List[Tensor]) -> List[Buffer]:
    picked = []
    for tensor in tensors:
        buffer = named.get(tensor.bound)
        if buffer is None:
            raise Failure("the engine has no tensor {!r}; it has {}.".format(tensor.bound, ", ".join(sorted(named))))
        if buffer.host.shape != tensor.shape:
            raise Failure(
                "the engine's tensor {!r} has the shape {}, the manifest says {}.".format(
                    tensor.bound, buffer.host.shape, tensor.shape
                )
            )
        picked.append(buffer)
    return picked
