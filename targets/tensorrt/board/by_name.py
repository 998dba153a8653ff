"""TensorRT's newer interface for running an engine: tensors by their name (8.5 and later)."""

from typing import List

import tensorrt as trt

from .ports import Port, Shape, dtype_of, sizes


class ByName:
    """The calls of an engine and its context; `ports` in the engine's order."""

    def __init__(self, engine: trt.ICudaEngine, context: trt.IExecutionContext) -> None:
        self._engine = engine  # must outlive the context
        self._context = context
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.ports = [
            Port(
                name,
                index,
                engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
                sizes(engine.get_tensor_shape(name)),
                dtype_of(name, engine.get_tensor_dtype(name)),
            )
            for index, name in enumerate(names)
        ]

    def set_shape(self, port: Port, shape: Shape) -> bool:
        """Set the shape of a dynamic input; return whether TensorRT accepts it."""
        return bool(self._context.set_input_shape(port.name, shape))

    def shape(self, port: Port) -> Shape:
        """Return the shape of `port` for the input shapes that were set."""
        return sizes(self._context.get_tensor_shape(port.name))

    def bind(self, addresses: List[int]) -> None:
        """Set the device address of every port."""
        for port, address in zip(self.ports, addresses):
            self._context.set_tensor_address(port.name, address)

    def execute(self, stream: int) -> bool:
        """Run one inference that a profiler is told of; return whether TensorRT accepted it."""
        return self.enqueue(stream)

    def enqueue(self, stream: int) -> bool:
        """Enqueue one inference; return whether TensorRT accepted it."""
        return bool(self._context.execute_async_v3(stream))
