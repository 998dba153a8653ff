"""Log of one compilation: passes, refusals and stages, for the manifest, the report and the progress."""

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
    """Something that a step left as it was: the node or tensor concerned, and the reason in one sentence."""

    step: str
    where: str
    reason: str


@dataclass(frozen=True)
class Step:
    """The network after one step of its compression; the first step is `original`.

    Attributes:
        name: Name of the step.
        loss: Loss of the metric up to this step, on the samples for decisions; None if it was not measured.
        macs: Multiply-accumulates of one inference.
        weight_bytes: Number of bytes of all constants.
        seconds: Estimated time of one inference on the board; None without an estimate.
    """

    name: str
    loss: float | None
    macs: int
    weight_bytes: int
    seconds: float | None


@dataclass(frozen=True)
class Compression:
    """What pruning and quantization did to the network, step by step, and the loss on held-out samples.

    Attributes:
        metric: Name of the metric that was measured.
        higher_is_better: Whether a higher value of the metric is better.
        accepted: The accepted loss; None if the goal was another one.
        decided_on: Number of samples from which ranges, ratios and repairs were computed.
        held_out: Number of other samples on which the result was evaluated; 0 if no loss was promised.
        before: Metric of the original network on the held-out samples.
        after: Metric of the result on the held-out samples.
        rounds: Number of attempts; each one after the first gets half the loss of the one before.
        steps: Cost and gain of each step.
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
        """Loss of the metric on the held-out samples."""
        if self.before is None or self.after is None:
            return None
        return self.before - self.after if self.higher_is_better else self.after - self.before


@dataclass
class Record:
    """Log of one compilation.

    `listener` is called with each stage when it begins, so that a front end can show progress. The log named `edgec`
    contains the stages, and what each pass did and refused. Times are left out on purpose: the record is stored in
    the artefact, which is reproducible.
    """

    listener: Listener = lambda progress: None
    passes: list[PassEntry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    compression: Compression | None = None

    def tell(self, message: str) -> None:
        """Tell the user something about this run alone, at once; it is not stored in the artefact."""
        logger.info(message)
        self.listener(Progress(message))

    def begin(self, name: str) -> None:
        """Report that the stage `name` begins."""
        logger.info(name)
        self.listener(Progress(name))

    def count(self, name: str, done: int, total: int = 0) -> None:
        """Report how many parts of a stage are done; `total` is 0 if their number is unknown."""
        self.listener(Progress(name, done, total))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Report that the stage `name` begins, and run the block as that stage."""
        self.begin(name)
        yield

    def ran(self, name: str, *, modified: bool, changes: tuple[str, ...] = ()) -> None:
        """Note that the pass `name` ran."""
        self.passes.append(PassEntry(name, modified, changes))
        for change in changes:
            logger.debug("%s: %s", name, change)

    def warn(self, step: str, where: str, reason: str) -> None:
        """Note an assumption that `step` made about `where`, and log it as a warning."""
        self.refusals.append(Refusal(step, where, reason))
        logger.warning("%s: %s", where, reason)

    def refuse(self, step: str, where: str, reason: str) -> None:
        """Note that `step` left `where` alone, and why."""
        self.refusals.append(Refusal(step, where, reason))
        logger.info("%s: %s: %s", step, where, reason)
