"""What happened during one compilation: passes, refusals and stages; feeds the manifest, the report and progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edgec.progress import Listener, Progress, logger


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


@dataclass(frozen=True)
class Step:
    """The network after one step of its compression; the first is `original`.

    Attributes:
        name: The step.
        loss: What the metric lost up to here, on the samples that were decided on; None where nothing was measured.
        macs: Multiply-accumulates of one inference.
        weight_bytes: Of all constants.
        seconds: Of one inference on the board, by edgec's estimate; None where it has none.
    """

    name: str
    loss: float | None
    macs: int
    weight_bytes: int
    seconds: float | None


@dataclass(frozen=True)
class Compression:
    """What pruning and quantization did to the network, step by step, and what they cost on data they did not see.

    Attributes:
        metric: What was measured.
        higher_is_better: Its direction.
        accepted: The accepted loss; None: there was another goal.
        decided_on: Samples that ranges, ratios and repairs come from.
        held_out: Other samples, that the result was judged on; 0 where no loss was promised.
        before: Metric of the original on the held-out samples.
        after: The same of the result.
        rounds: How often it was tried; each time after the first with half of the loss.
        steps: What each step cost and gained.
    """

    metric: str
    higher_is_better: bool
    accepted: float | None
    decided_on: int
    held_out: int
    before: float | None
    after: float | None
    rounds: int
    steps: tuple[Step, ...]

    @property
    def loss(self) -> float | None:
        """What was lost on the held-out samples."""
        if self.before is None or self.after is None:
            return None
        return self.before - self.after if self.higher_is_better else self.after - self.before


@dataclass
class Record:
    """Log of one compilation.

    `listener` is called with each stage as it begins: that is how a front end shows progress. The log named `edgec` has
    the stages, and what each pass did and refused. Times are deliberately not kept here: what the record holds goes
    into the artefact, which is reproducible.
    """

    listener: Listener = lambda progress: None
    passes: list[PassEntry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    compression: Compression | None = None

    def tell(self, message: str) -> None:
        """Say at once what the user should know of this run alone: it goes into no artefact."""
        logger.info(message)
        self.listener(Progress(message))

    def begin(self, name: str) -> None:
        """Say that the stage `name` begins."""
        logger.info(name)
        self.listener(Progress(name))

    def count(self, name: str, done: int, total: int = 0) -> None:
        """Say how many parts of a stage are done; `total` is 0 where nobody knows how many there will be."""
        self.listener(Progress(name, done, total))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce that the stage `name` begins."""
        self.begin(name)
        yield

    def ran(self, name: str, *, modified: bool, changes: tuple[str, ...] = ()) -> None:
        """Note that the pass `name` ran."""
        self.passes.append(PassEntry(name, modified, changes))
        for change in changes:
            logger.debug("%s: %s", name, change)

    def warn(self, step: str, where: str, reason: str) -> None:
        """Note what `step` had to assume of `where`, and say it as a warning."""
        self.refusals.append(Refusal(step, where, reason))
        logger.warning("%s: %s", where, reason)

    def refuse(self, step: str, where: str, reason: str) -> None:
        """Note that `step` left `where` alone, and why."""
        self.refusals.append(Refusal(step, where, reason))
        logger.info("%s: %s: %s", step, where, reason)
