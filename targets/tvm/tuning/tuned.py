"""`read_tuned`: what a database holds for a board, for a compilation. Needs no TVM."""

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
    """Return what is `confirmed` for `board`; what was measured for other schedules or boards is noted.

    Raises:
        BadOption: There is no such database, or it cannot be read.
    """
    if not path.is_file():
        raise BadOption(f"--tuned {path}: no such file", remedy="`edgec tune MODEL.onnx -o tune.db` makes one.")
    database, target, schedules = Database(path), target_key(board, precision), schedule_version()
    if stale := database.stale(target, schedules):
        record.refuse(STEP, path.name, f"{stale} measurements are stale: made with other schedules; tune again")
    if not (found := database.of(target, schedules)) and not stale:
        record.refuse(STEP, path.name, f"it holds nothing for {target}")
    return confirmed(found)
