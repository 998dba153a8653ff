"""ONNX Runtime, which is imported only here, so that its telemetry is off before it starts."""

from __future__ import annotations

import os
from functools import cache

from edgec.limits import max_memory

# The library reads this once, when it is loaded: it then sends nothing and writes no device id or event database.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime as ort

# Windows builds only read this switch, as does a process that had loaded the library before.
ort.disable_telemetry_events()

__all__ = ["ort", "session_options"]

QUIET = 4
"""Log level at which ONNX Runtime prints only fatal errors; errors are raised as exceptions anyway."""


def session_options() -> ort.SessionOptions:
    """Return options of a session that prints nothing and stays below the memory limit.

    All sessions of the process share one allocator, which refuses allocations beyond the limit.
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
