"""`read_tuned`: reads the choices for a board from a database, for a compilation. Needs no TVM."""

from __future__ import annotations

from pathlib import Path

from edgec.errors import BadOption
from edgec.options import Precision
from edgec.record import Record
from edgec.targets.board import Board
from edgec.targets.tvm.tuning.database import Database, Json, confirmed
from edgec.targets.tvm.tuning.identity import schedule_version, target_key

STEP = "tuned"


def read_tuned(path: Path, board: Board, precision: Precision, record: Record) -> dict[str, list[Json]]:
    """Return the choices `confirmed` for `board`; note measurements with other schedules, or that there are none.

    Raises:
        BadOption: There is no such database, or it cannot be read.
    """
    if not path.is_file():
        raise BadOption(f"--tuned {path}: no such file", remedy="`edgec tune MODEL.onnx -o tune.db` makes one.")
    database, target, schedules = Database(path), target_key(board, precision), schedule_version()
    if stale := database.stale(target, schedules):
        reason = f"{stale} measurements are stale, as they were made with other schedules: tune again"
        record.refuse(STEP, path.name, reason)
    if not (found := database.of(target, schedules)) and not stale:
        record.refuse(STEP, path.name, f"it contains no measurements for {target}")
    return confirmed(found)
