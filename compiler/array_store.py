"""`ArrayStore`: arrays by key, in memory up to a limit and in files beyond it, so that many samples fit."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from edgec.scratch import temporary_folder

Array = np.ndarray[Any, Any]

MEMORY_BYTES = 1 << 29


class ArrayStore:
    """Arrays by key. The files are removed together with the store.

    Args:
        memory: Number of bytes of arrays that are kept in memory.
    """

    def __init__(self, memory: int = MEMORY_BYTES) -> None:
        self._left = memory
        self._memory: dict[Hashable, Array] = {}
        self._files: dict[Hashable, Path] = {}
        self._folder: Path | None = None
        self._written = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._memory or key in self._files

    def put(self, key: Hashable, array: Array) -> None:
        """Store `array`, which must not be modified afterwards, under a key that is not in use yet."""
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            self._memory[key] = array
            return
        if self._folder is None:
            stack = ExitStack()
            self._folder = stack.enter_context(temporary_folder())
            weakref.finalize(self, stack.close)
        path = self._folder / f"{self._written}.npy"
        self._written += 1
        np.save(path, array)
        self._files[key] = path

    def get(self, key: Hashable) -> Array:
        """Return the array under `key`; raises KeyError if there is none."""
        held = self._memory.get(key)
        if held is not None:
            return held
        loaded: Array = np.load(self._files[key], allow_pickle=False)
        return loaded

    def drop(self, key: Hashable) -> None:
        """Remove the array under `key`, if there is one."""
        if key in self._memory:
            self._left += self._memory.pop(key).nbytes
        elif key in self._files:
            self._files.pop(key).unlink()
