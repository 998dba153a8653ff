"""Parses and builds each ONNX file given, one line of JSON for each; run under `environment()`, without edgec."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import tensorrt as trt


class Logger(trt.ILogger):  # type: ignore[misc]
    """Keeps what TensorRT logs as errors."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(message)


def build(path: str) -> dict[str, Any]:
    """Return what became of the model at `path`: stage reached, errors, layers, engine size, seconds."""
    logger, started = Logger(), time.perf_counter()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    result: dict[str, Any] = {"path": path, "stage": "parsed", "errors": []}
    if not parser.parse_from_file(path):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        return result | {"stage": "refused", "errors": [f"{e.node_operator()}: {e.desc()}" for e in errors]}
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 1 << 30)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return result | {"layers": network.num_layers, "errors": logger.errors[-3:]}
    seconds = time.perf_counter() - started
    return result | {"stage": "built", "layers": network.num_layers, "bytes": plan.nbytes, "seconds": seconds}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(build(argument)), flush=True)
