"""ONNX Runtime, imported nowhere else: its telemetry is off before it starts."""

from __future__ import annotations

import os

# Read once, when the library loads: nothing is sent then, and neither device id nor event database are made.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

# Windows builds know the switch alone; so does a process that had loaded the library before.
ort.disable_telemetry_events()

__all__ = ["ort"]
