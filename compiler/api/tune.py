"""`tune`: measures schedules of a model's layers on a board, in a database for `compile(..., tuned=...)`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from edgec.api.opened import open_target
from edgec.errors import BadOption
from edgec.model.load import Source, load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.options import CompileFields, compile_options
from edgec.passes import pipeline
from edgec.progress import Listener
from edgec.record import Record
from edgec.reference.golden import golden_inputs

if TYPE_CHECKING:
    from edgec.targets.tvm.tuning.search import Tuning

TRIALS = 64
SECONDS = 600.0
BUSY = 0.5
"""Load for each processor from which on other programs disturb measurements."""


def tune(
    model: Source,
    *,
    target: str,
    database: str | os.PathLike[str],
    tracker: str | None = None,
    key: str | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    progress: Listener | None = None,
    watch: Callable[[Tuning], None] = lambda tuning: None,
    **options: Unpack[CompileFields],
) -> Tuning:
    """Measure candidate schedules for the layers of `model` on a CPU board; continues from what `database` contains.

    Args:
        model: Path of an ONNX file, its bytes, or a model in memory (not modified).
        target: Board name, or path of a board file; `host` measures on this machine.
        database: File that stores every measurement; `edgec.compile(..., tuned=database)` uses it.
        tracker: Address HOST:PORT of TVM's tracker, which knows the boards; needed for every target but `host`.
        key: Name under which the boards are registered at the tracker; default: the target.
        trials: Maximum number of candidates that are measured per layer; default 64.
        seconds: Time in seconds after which tuning stops; default: 600 if `trials` is not given.
        progress: Called with each stage when it begins.
        watch: Called during the search with the present results, whenever they change.
        options: Fields of `CompileOptions`, as for `edgec.compile`: shapes, precision, threads ...

    Raises:
        EdgecError: The user can correct the problem; the message says how.
    """
    settings = compile_options({"target": target, **options})
    board, back_end, profile = open_target(settings.target)
    if not profile.tunable:
        problem = f"target {board.name} cannot be used: only CPU boards are tuned"
        raise BadOption(problem, remedy="TensorRT measures its own choices when it builds on the board.")
    if tracker is None and board.name != "host":
        problem = f"target {board.name} needs --tracker: its kernels cannot be measured on this machine"
        raise BadOption(problem, remedy="Start `edgec tune --serve` here and `edgec board --tracker ...` on the board.")
    board = board.model_copy(update={"threads": settings.threads or board.threads})
    record = Record(progress or (lambda stage: None))
    if tracker is None and (busy := os.getloadavg()[0]) > BUSY * (os.cpu_count() or 1):
        record.tell(f"this machine is busy (load {busy:.1f}): measured gains are less certain")
    with record.stage("load"):
        original = fix_shapes(load(model).model, settings.shapes)
        feeds = golden_inputs(inputs_of(original), settings.seed)
    profile = back_end.profile(board)
    canonical = pipeline.run(original, profile=profile, options=settings, record=record, feeds=feeds)
    from edgec.targets.tvm.tuning.database import Database  # noqa: PLC0415
    from edgec.targets.tvm.tuning.serve import parse_tracker, require_packages  # noqa: PLC0415

    require_packages()
    where = None if tracker is None else parse_tracker(tracker, key or board.name)
    known = Database(Path(database))
    known.append([])  # fails now if the place is not writable, and the file can be compiled with in any case
    from edgec.targets.tvm.tuning.tune import TuneSettings, tune_network  # noqa: PLC0415

    limit = SECONDS if trials is None and seconds is None else seconds
    how = TuneSettings(settings.precision, trials or TRIALS, limit, where)
    with record.stage("measure the untuned network"):
        inputs = [feeds[spec.name] for spec in inputs_of(original)]
        return tune_network(canonical, board, inputs, known, how, watch)
