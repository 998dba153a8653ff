"""TensorRT's older interface for running an engine: tensors by their index (the only one in 8.2, removed in 10)."""

from typing import List

import tensorrt as trt

from .ports import Port, Shape, dtype_of, sizes


class ByIndex:
    """The calls of an engine and its context; `ports` in the engine's order."""

    def __init__(self, engine: trt.ICudaEngine, context: trt.IExecutionContext) -> None:
        self._engine = engine  # must outlive the context
        self._context = context
        self._addresses: List[int] = []
        self.ports = [
            Port(
                engine.get_binding_name(index),
                index,
                engine.binding_is_input(index),
                sizes(engine.get_binding_shape(index)),
                dtype_of(engine.get_binding_name(index), engine.get_binding_dtype(index)),
            )
            for index in range(engine.num_bindings)
        ]

    def set_shape(self, port: Port, shape: Shape) -> bool:
        """Set the shape of a dynamic input; return whether TensorRT accepts it."""
        return bool(self._context.set_binding_shape(port.number, shape))

    def shape(self, port: Port) -> Shape:
        """Return the shape of `port` for the input shapes that were set."""
        return sizes(self._context.get_binding_shape(port.number))

    def bind(self, addresses: List[int]) -> None:
        """Set the device address of every port."""
        self._addresses = addresses

    def execute(self, stream: int) -> bool:
        """Run one inference that a profiler is told of: in 8.2, one that was enqueued is not reported."""
        return bool(self._context.execute_v2(self._addresses))

    def enqueue(self, stream: int) -> bool:
        """Enqueue one inference; return whether TensorRT accepted it."""
        return bool(self._context.execute_async_v2(self._addresses, stream))
