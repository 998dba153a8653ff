"""Collects TensorRT's messages, for the single message with which a failure ends."""

from typing import List

import tensorrt as trt


class Logger(trt.ILogger):  # type: ignore[misc]  # untyped where TensorRT is absent
    """Keeps errors in `errors` and warnings in `warnings`; prints nothing."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: List[str] = []
        self.warnings: List[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Store one message."""
        if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
            self.errors.append(msg)
        elif severity == trt.ILogger.WARNING:
            self.warnings.append(msg)


def new_logger() -> Logger:
    """Return a logger, after registering TensorRT's plugins."""
    logger = Logger()
    trt.init_libnvinfer_plugins(logger, "")
    return logger
