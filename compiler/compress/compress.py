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
"""Fraction of the accepted loss that is aimed at on the samples for decisions. The largest compression that is good
enough there is more likely to be one that these samples overrate than one that they underrate."""
ROUNDS = 4
"""Number of attempts: each after the first aims at half the loss, after the held-out samples rejected the last one."""


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
    """Prune and quantize `model`, and check the accepted loss on held-out samples.

    All decisions are made on one part of the data. If the loss on the other part is more than accepted, everything is
    repeated with half the loss; if that fails too, the network stays as it was.

    Args:
        model: In canonical form, float.
        options: As `implied_options` returns them.
        profile: Profile of the board.
        record: Records what was done, what was not and why, and the cost of each step.
        formats: Precisions to choose from, as `competing` returns them.
        path: File of the model, in which a decoder may read metadata.
        journal: File in which sensitivities are stored when they are measured, so that an interrupted run can continue.

    Raises:
        EdgecError: Data, metric, decoder, table or goal are wrong, or the goal cannot be reached.
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
