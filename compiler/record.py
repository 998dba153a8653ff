"""What happened during one compilation: passes, refusals and stages; feeds the manifest, the report and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PassEntry:
    """One pass that ran: whether it changed the model and, in short sentences, what it changed."""

    name: str
    modified: bool
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Something a step did not do: the node or tensor concerned, and the reason in one sentence."""

    step: str
    where: str
    reason: str


@dataclass
class Record:
    """Log of one compilation.

    `listener` is called with the name of each stage as it begins: that is how a front end shows progress.
    Times are deliberately not kept here: what the record holds goes into the artefact, which is reproducible.
    """

    listener: Callable[[str], None] = lambda stage: None
    passes: list[PassEntry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce that the stage `name` begins."""
        self.listener(name)
        yield

    def ran(self, name: str, *, modified: bool, changes: tuple[str, ...] = ()) -> None:
        """Note that the pass `name` ran."""
        self.passes.append(PassEntry(name, modified, changes))

    def refuse(self, step: str, where: str, reason: str) -> None:
        """Note that `step` left `where` alone, and why."""
        self.refusals.append(Refusal(step, where, reason))
