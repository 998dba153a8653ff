"""`Checkpoint`: the collected data of calibrators in a file, so that an interrupted calibration can continue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from zipfile import BadZipFile

import numpy as np

from edgec.errors import BadOption, reason
from edgec.whole_file import whole_file

EVERY = 16
"""Number of samples between two writes."""


@runtime_checkable
class Resumable(Protocol):
    """Something whose state can be saved and restored."""

    def state(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Return the collected data as arrays."""

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Continue from the result of `state`."""


class Checkpoint:
    """The state of some calibrators after some samples.

    Args:
        path: .npz file, which need not exist.
        parts: The calibrators by name; all must be `Resumable`.
        total: Number of samples of the whole calibration.
        sweep: Identity of the calibration, so that its file is not mixed up with another one's.

    Raises:
        BadOption: A part cannot be saved.
    """

    def __init__(self, path: Path, parts: Mapping[str, object], total: int, sweep: str) -> None:
        self._path = path
        self._parts: dict[str, Resumable] = {}
        self._total = total
        self._sweep = sweep
        for name, part in parts.items():
            if not isinstance(part, Resumable):
                problem = f"calibrator {type(part).__name__} cannot be resumed: it has no state and restore"
                raise BadOption(problem, remedy="Leave the checkpoint out.")
            self._parts[name] = part

    def save(self, done: int) -> None:
        """Write the state, every `EVERY` samples; the file is complete at any time, even if the process is killed."""
        if done % EVERY:
            return
        arrays = {"samples": np.array([done, self._total]), "sweep": np.array(self._sweep)}
        for number, part in enumerate(self._parts.values()):
            arrays |= {f"{number}.{key}": array for key, array in part.state().items()}
        with whole_file(self._path) as staged, staged.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def restore(self) -> int:
        """Restore the state from the file, if it exists; return the number of samples in it.

        Raises:
            BadOption: It cannot be read, or belongs to another calibration.
        """
        if not self._path.exists():
            return 0
        remedy = "Remove it to start again."
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            done, total = (int(number) for number in arrays.pop("samples"))
            sweep = str(arrays.pop("sweep"))
        except (OSError, ValueError, LookupError, EOFError, BadZipFile) as error:
            raise BadOption(f"checkpoint {self._path} cannot be read: {reason(error)}", remedy=remedy) from error
        if (total, sweep) != (self._total, self._sweep):
            raise BadOption(f"checkpoint {self._path} belongs to another calibration", remedy=remedy)
        for number, part in enumerate(self._parts.values()):
            prefix = f"{number}."
            part.restore({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})
        return done

    def remove(self) -> None:
        """Delete the file, if it exists."""
        self._path.unlink(missing_ok=True)
