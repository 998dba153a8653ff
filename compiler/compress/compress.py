"""`compress`: prune and quantize the network of a compilation, as far as the accepted loss allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from edgec.compress.compressed import Compressed
from edgec.compress.notes import Promise, note
from edgec.compress.rounds import Rounds
from edgec.compress.tasks import open_tasks
from edgec.errors import BadOption
from edgec.evaluation.evaluator import Evaluator
from edgec.options import CompileOptions
from edgec.passes.prepare import prepare
from edgec.profile import Profile
from edgec.record import Record

AIM = 0.7
"""Share of the accepted loss that is aimed at on the samples decided on. The largest compression that looks good enough
there is likelier to be one that these samples flatter than one that they wrong."""
ROUNDS = 4
"""Each but the first with half of the loss of the one before, after the held-out samples refused that."""


def compress(
    model: ir.Model,
    options: CompileOptions,
    profile: Profile,
    record: Record,
    *,
    formats: Sequence[str],
    path: Path | None,
    journal: Path,
) -> Compressed:
    """Prune and quantize `model`, measure, and keep the accepted loss on samples that nothing was decided on.

    All is decided on one part of the data. If the other part says that more than the accepted loss is gone, it is done
    anew with half of the loss; if that fails too, the network stays as it was.

    Args:
        model: In canonical form, float.
        options: As `implied_options` returns them.
        profile: Of the board.
        record: Takes what was done, what was not and why, and what each step cost.
        formats: Precisions to choose from, as `competing` returns them.
        path: File of the model, which a decoder may read metadata from.
        journal: Where the sensitivities are kept as they come, so that an interrupted run goes on.

    Raises:
        EdgecError: Data, metric, decoder, table or a goal are wrong, or cannot be kept.
    """
    original = prepare(model)
    tasks = open_tasks(original, options, path)
    rounds = Rounds(original, options, profile, tasks, record, journal, formats)
    if options.max_loss is None or tasks.held_out is None:
        done = rounds.within(None)
        note(done, options, profile, record)
        return done
    check = Evaluator(original, tasks.held_out)
    before, aim = check.baseline, AIM * options.max_loss
    for number in range(1, ROUNDS + 1):
        done = rounds.within(aim)
        with record.stage("check on held-out samples"):
            after = check.evaluate(done.emulated)
        if after.loss_against(before) <= options.max_loss:
            note(done, options, profile, record, Promise(number, before, after))
            return done
        aim /= 2
    if options.prune is not None and options.prune.goals:
        lost = after.loss_against(before)
        raise BadOption(
            f"pruning loses {lost:.4f} on the held-out samples",
            remedy="Remove fewer channels, or accept a larger loss.",
        )
    record.refuse(
        "compress",
        "network",
        f"nothing was compressed: {ROUNDS} rounds lost more than the accepted loss on the held-out samples",
    )
    done = rounds.untouched(done.sensitivity)
    after = before if done.halves is None else check.evaluate(done.emulated)
    if after.loss_against(before) > options.max_loss:
        lost = after.loss_against(before)
        raise BadOption(
            f"--precision {done.precision} alone loses {lost:.4f} on the held-out samples",
            remedy="Leave --precision out, or accept a larger loss.",
        )
    note(done, options, profile, record, Promise(ROUNDS, before, after))
    return done
