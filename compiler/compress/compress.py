"""`compress`: prune and quantize the network of a compilation, as far as the accepted loss allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgec.compress.compressed import Compressed
from edgec.compress.notes import Promise, note
from edgec.compress.rounds import Rounds
from edgec.compress.tasks import open_tasks
from edgec.compress.time_goal import TimeGoal, above
from edgec.data.metrics.base import MetricResult
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
    repeated with half the loss; if that fails too, the network stays as it was. With a time, the network that loses
    least within it comes first; if it loses more than is accepted, the fastest within the loss is tried.

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
    if not options.has_promise or tasks.held_out is None:
        done = rounds.within(None)
        note(done, options, profile, record)
        return done
    check = _Check(Evaluator(original, tasks.held_out), record)
    slow = None
    if options.max_latency is not None:
        slow = check(TimeGoal(rounds, formats, options.target).within(1e-3 * options.max_latency))
        if options.max_loss is None or slow.loss <= options.max_loss:
            note(slow.network, options, profile, record, slow.promise(1))
            return slow.network
    found, number = _within_loss(rounds, options, check, record)
    if slow is not None:
        _check_time(found, slow, rounds, options)
    note(found.network, options, profile, record, found.promise(number))
    return found.network


@dataclass(frozen=True)
class _Checked:
    """A network with its metric on the held-out samples, and that of the original."""

    network: Compressed
    before: MetricResult
    after: MetricResult

    @property
    def loss(self) -> float:
        loss = self.after.loss_against(self.before)
        return math.inf if math.isnan(loss) else loss

    def promise(self, rounds: int) -> Promise:
        return Promise(rounds, self.before, self.after)


class _Check:
    """Measures networks on the held-out samples."""

    def __init__(self, evaluator: Evaluator, record: Record) -> None:
        self._evaluator = evaluator
        self._record = record

    def __call__(self, network: Compressed) -> _Checked:
        before = self._evaluator.baseline
        if network.emulated is network.original:
            return _Checked(network, before, before)
        with self._record.stage("check on held-out samples"):
            return _Checked(network, before, self._evaluator.evaluate(network.emulated))


def _within_loss(rounds: Rounds, options: CompileOptions, check: _Check, record: Record) -> tuple[_Checked, int]:
    """Return the fastest network whose loss on the held-out samples is accepted, and the number of rounds."""
    accepted = options.max_loss or 0.0
    aim = AIM * accepted
    for number in range(1, ROUNDS + 1):
        found = check(rounds.within(aim))
        if found.loss <= accepted:
            return found, number
        aim /= 2
    if options.prune is not None and options.prune.goals:
        raise BadOption(
            f"pruning loses {found.loss:.4f} on the held-out samples",
            remedy="Remove fewer channels, or accept a larger loss.",
        )
    record.refuse(
        "compress",
        "network",
        f"nothing was compressed: {ROUNDS} rounds lost more than the accepted loss on the held-out samples",
    )
    found = check(rounds.untouched(found.network.sensitivity))
    if found.loss > accepted:
        raise BadOption(
            f"--precision {found.network.precision} alone loses {found.loss:.4f} on the held-out samples",
            remedy="Leave --precision out, or accept a larger loss.",
        )
    return found, ROUNDS


def _check_time(fast: _Checked, slow: _Checked, rounds: Rounds, options: CompileOptions) -> None:
    """Raise an error if the fastest network within the loss takes too long; it names the nearest that was found."""
    fastest, within = (1e3 * rounds.in_formats.seconds(each.network) for each in (fast, slow))
    if options.max_latency is None or fastest <= options.max_latency:
        return
    raise BadOption(
        f"no network was found that loses at most {options.max_loss:g} and takes at most {options.max_latency:g} ms: "
        f"the fastest within the loss takes {fastest:.4g} ms (loss {fast.loss:.4f}), and the most accurate within the "
        f"time loses {slow.loss:.4f} ({within:.4g} ms)",
        remedy=f"Give --max-latency {above(fastest):g}, or --max-loss {above(slow.loss):g}.",
    )
