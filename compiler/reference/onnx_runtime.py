"""ONNX Runtime, imported nowhere else: its telemetry is off before it starts."""

from __future__ import annotations

import os
from functools import cache

from edgec.limits import max_memory

# Read once, when the library loads: nothing is sent then, and neither device id nor event database are made.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

# Windows builds know the switch alone; so does a process that had loaded the library before.
ort.disable_telemetry_events()

__all__ = ["ort", "session_options"]

QUIET = 4
"""ONNX Runtime's log level at which only fatal errors are printed; ours are raised."""


def session_options() -> ort.SessionOptions:
    """Return options of a session that says nothing and takes no more than the limit of memory.

    All sessions of the process share one allocator, which refuses what goes beyond the limit before it is allocated.
    """
    _share_allocator()
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    options.add_session_config_entry("session.use_env_allocators", "1")
    return options


@cache
def _share_allocator() -> None:
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, ort.OrtArenaCfg({"max_mem": max_memory()}))
