"""Fits times of ARM boards from counts under emulation, and tells the errors: tables of docs/results/estimates.md.

    python bench/board_time/fit.py [--write]

Nothing is run. `counts.csv` is what one inference of ncnn's benchmark networks executes under qemu-user on one thread
(ncnn's wheel 1.0.20261020 for AArch64): instructions, multiply-adds of vectors among them, cycles of all blocks by
llvm-mca 19 (its models cortex-a53, cortex-a72 and neoverse-n1), and misses of simulated caches (of the first level, and
of the last one before memory). `published.csv` is ncnn's own table of boards,
https://github.com/Tencent/ncnn/blob/b5997bc/benchmark/README.md: one thread, least time in ms; `heading` is the board's
heading there. `--write` writes the constants to targets/tvm/emulated/cores.toml.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t as student

HERE = Path(__file__).parent
CONSTANTS = HERE.parents[1] / "targets" / "tvm" / "emulated" / "cores.toml"
COUNTS = ("cycles", "multiply_adds", "others", "l1_misses", "memory_misses")
CORES = ("cortex-a53", "cortex-a72", "cortex-a76")
NAMED = {"Raspberry Pi 3B+": "rpi3", "Raspberry Pi 4": "rpi4", "Raspberry Pi 5": "rpi5"}
"""Boards that edgec has a record of, and that one row of the published table is about."""
TOWARDS_CORE = 0.1
"""Weight of a ridge that draws a board's constants to those of its core: found to matter little from 0.03 to 1."""
LEAST = 0.02
"""Cycles an event by which the ridge counts deviations of constants that are zero or small."""
OUTLIER = 0.06
"""Relative error beyond which a time weighs less: published times of the same core differ by about that."""
DIFFERENT = 1.1
"""Pairs of networks whose times differ by this factor are compared in their order."""
NEAR = 0.25
ERRORS = "median | 90th percentile | worst"

Counts = dict[str, np.ndarray]


@dataclass(frozen=True)
class PublishedBoard:
    """A row of the published table: milliseconds by network, as cycles of the core in millions."""

    name: str
    core: str
    mhz: float
    megacycles: dict[str, float]


@cache
def counts(core: str) -> Counts:
    """Return the counts of each network on `core` in millions, in the order of `COUNTS`."""
    found = {}
    for row in csv.DictReader((HERE / "counts.csv").open()):
        if row["core"] == core:
            row["others"] = str(int(row["instructions"]) - int(row["multiply_adds"]))
            found[row["network"]] = np.array([float(row[name]) for name in COUNTS]) / 1e6
    return found


@cache
def boards(core: str) -> tuple[PublishedBoard, ...]:
    """Return the boards with `core` in the published table."""
    found = []
    for row in csv.DictReader((HERE / "published.csv").open()):
        if row["core"] == core:
            mhz = float(row["mhz"])
            times = {name: float(row[name]) * mhz / 1e3 for name in counts(core) if row[name]}
            found.append(PublishedBoard(row["board"], core, mhz, times))
    return tuple(found)


def solve(
    events: np.ndarray, megacycles: np.ndarray, prior: np.ndarray | None = None, weight: float = TOWARDS_CORE
) -> np.ndarray:
    """Return the constants >= 0, shape [counts], that predict `megacycles` [n] from `events` [n, counts].

    Least squares of relative errors with a ridge towards `prior`; outliers weigh less (one step of Huber's weights).
    """
    relative, trust = events / megacycles[:, None], np.ones(len(megacycles))
    found = np.zeros(events.shape[1])
    for _ in range(2):
        rows, wanted = relative * np.sqrt(trust)[:, None], np.sqrt(trust)
        if prior is not None:
            ridge = np.diag(np.sqrt(weight) / np.maximum(prior, LEAST))
            rows, wanted = np.vstack([rows, ridge]), np.concatenate([wanted, ridge @ prior])
        found, _ = nnls(rows, wanted)
        error = np.abs(np.log(np.maximum(relative @ found, 1e-9)))
        trust = np.minimum(1.0, OUTLIER / np.maximum(error, 1e-9))
    return found


def fit_core(core: str, without: Collection[str] = (), without_board: str = "") -> tuple[np.ndarray, dict[str, float]]:
    """Return the constants that the boards of `core` share, and each board's factor, whose geometric mean is 1."""
    known = counts(core)
    used = [board for board in boards(core) if board.name != without_board]
    rows = [(place, name) for place, board in enumerate(used) for name in board.megacycles if name not in without]
    events = np.array([known[name] for _, name in rows])
    times = np.array([used[place].megacycles[name] for place, name in rows])
    owner = np.array([place for place, _ in rows])
    factors = np.ones(len(used))
    for _ in range(4):
        constants = solve(events, times / factors[owner])
        ratios = times / (events @ constants)
        factors = np.array([np.median(ratios[owner == place]) for place in range(len(used))])
        factors /= np.exp(np.log(factors).mean())
    return constants, dict(zip((board.name for board in used), factors.tolist(), strict=True))


def fit_board(board: PublishedBoard, without: Collection[str] = ()) -> np.ndarray:
    """Return the constants of one board: its own times, and those of its core where these say little."""
    constants, factors = fit_core(board.core, without)
    known = counts(board.core)
    names = [name for name in board.megacycles if name not in without]
    times = np.array([board.megacycles[name] for name in names])
    return solve(np.array([known[name] for name in names]), times, constants * factors[board.name])


def left_out(board: PublishedBoard) -> dict[str, float]:
    """Return predicted over published time of each network, from fits without that network on any board."""
    known = counts(board.core)
    return {n: float(known[n] @ fit_board(board, [n]) / t) for n, t in board.megacycles.items()}


def untimed(board: PublishedBoard) -> dict[str, float]:
    """Return predicted over published time of each network, from the other boards of the core alone."""
    known, (constants, _) = counts(board.core), fit_core(board.core, without_board=board.name)
    return {name: float(known[name] @ constants / time) for name, time in board.megacycles.items()}


@dataclass(frozen=True)
class Spread:
    """How the logarithms of measured over predicted times of one core vary: between boards, and networks of a board."""

    boards: int
    between: float
    within: float

    @property
    def trust_in_one(self) -> float:
        """Power of one network's ratio measured/predicted that is the best factor for another of the same board.

        The share of the variance that is the board's; the rest is that network's own.
        """
        return self.between / (self.between + self.within)

    def band(self) -> tuple[float, float]:
        """Return the factors between which 90 % of times on a board lie of which nothing was measured."""
        return self._band(self.between * (1 + 1 / self.boards) + self.within)

    def measured_band(self) -> tuple[float, float]:
        """Return the same where one other network was measured."""
        return self._band(self.between * (1 - self.trust_in_one) + self.within)

    def _band(self, variance: float) -> tuple[float, float]:
        width = float(student.ppf(0.95, self.boards - 1)) * variance**0.5
        return float(np.exp(-width)), float(np.exp(width))


@cache
def spread(core: str, without_board: str = "") -> Spread:
    """Return how times vary around the constants that the boards of `core` share."""
    constants, factors = fit_core(core, without_board=without_board)
    known, means, variances = counts(core), [], []
    for board in (each for each in boards(core) if each.name in factors):
        own = [np.log(time / (known[name] @ constants)) for name, time in board.megacycles.items()]
        means.append(np.mean(own))
        variances.append(np.var(own))
    return Spread(len(means), float(np.var(means, ddof=1)), float(np.mean(variances)))


def one_measured(board: PublishedBoard) -> list[float]:
    """Return the ratios of `untimed` after one network's time has set a factor; for all pairs of networks."""
    ratios, power = untimed(board), spread(board.core, board.name).trust_in_one
    return [ratios[other] / ratios[one] ** power for one in ratios for other in ratios if one != other]


def holds(ratios: Iterable[float], band: tuple[float, float]) -> str:
    """Return the share of times that lie in `band`."""
    return f"{np.mean([band[0] <= 1 / ratio <= band[1] for ratio in ratios]):.0%}"


def ranked_right(board: PublishedBoard, ratios: dict[str, float]) -> float:
    """Return the share of pairs of networks, more than 10 % apart, whose order the prediction has right."""
    times, right = board.megacycles, []
    for one, other in combinations(times, 2):
        if max(times[one] / times[other], times[other] / times[one]) > DIFFERENT:
            right.append((times[one] < times[other]) == (times[one] * ratios[one] < times[other] * ratios[other]))
    return float(np.mean(right))


def observed_band(ratios: Iterable[float]) -> tuple[float, float]:
    """Return the factors on a predicted time between which 90 % of the published times lie."""
    low, high = np.quantile([1 / ratio for ratio in ratios], [0.05, 0.95])
    return float(low), float(high)


def errors(ratios: Iterable[float]) -> str:
    """Return median, 90th percentile and maximum of the relative errors."""
    found = np.abs(np.array(list(ratios)) - 1)
    return " | ".join(f"{value:.1%}" for value in (np.median(found), np.quantile(found, 0.9), found.max()))


def peers(board: PublishedBoard) -> str:
    """Return the median difference of the published times to those of the core's other boards, a factor each apart."""
    found = []
    for other in boards(board.core):
        names = [name for name in board.megacycles if name in other.megacycles]
        ratio = np.array([board.megacycles[name] / other.megacycles[name] for name in names])
        if other is not board:
            found.append(float(np.median(np.abs(ratio / np.exp(np.log(ratio).mean()) - 1))))
    return f"{min(found):.1%} to {max(found):.1%}"


def print_tables() -> None:
    """Print the two tables."""
    print(f"| board | core | networks | {ERRORS} | the worst three | right order | boards of the core differ |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    every = [board for core in CORES for board in boards(core)]
    for board in every:
        ratios = left_out(board)
        worst = sorted(ratios, key=lambda name: -abs(ratios[name] - 1))[:3]
        named = ", ".join(f"{name} {ratios[name] - 1:+.0%}" for name in worst)
        cells = [board.name, board.core, len(ratios), errors(ratios.values()), named]
        print("|", *map("{} |".format, [*cells, f"{ranked_right(board, ratios):.1%}", peers(board)]))
    measuring = f"one measured: {ERRORS} | in its band"
    print(f"\n| board | core | {ERRORS} | within 25% | in the band | right order | {measuring} |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for board in every:
        ratios, measured, others = untimed(board), one_measured(board), spread(board.core, board.name)
        within = np.mean([abs(ratio - 1) <= NEAR for ratio in ratios.values()])
        cells = [board.name, board.core, errors(ratios.values()), f"{within:.0%}"]
        cells += [holds(ratios.values(), others.band()), f"{ranked_right(board, ratios):.1%}"]
        cells += [errors(measured), holds(measured, others.measured_band())]
        print("|", *map("{} |".format, cells))


def print_summary() -> None:
    """Print figures over many boards: how near untimed boards are met, and whether fp32 or int8 is faster."""
    print()
    for cores in (CORES[:1], CORES[1:2], CORES[:2]):
        near = [abs(ratio - 1) <= NEAR for core in cores for board in boards(core) for ratio in untimed(board).values()]
        print(f"untimed boards, {' and '.join(cores)}: {np.mean(near):.0%} of {len(near)} times within {NEAR:.0%}")
    for ratios_of in (left_out, untimed):
        right, wrong = 0, []
        for board in (each for core in CORES for each in boards(core)):
            ratios, times = ratios_of(board), board.megacycles
            for name, other in ((name, f"{name}_int8") for name in times if f"{name}_int8" in times):
                measured = times[name] / times[other]
                if max(measured, 1 / measured) <= DIFFERENT:
                    continue
                if (measured > 1) == (measured * ratios[name] / ratios[other] > 1):
                    right += 1
                else:
                    wrong.append(f"{board.name} {other}")
        share = right / (right + len(wrong))
        print(
            f"fp32 or int8, {ratios_of.__name__}: {share:.1%} of {right + len(wrong)} right; wrong: {', '.join(wrong)}"
        )


def as_toml(header: str, constants: np.ndarray, *bands: tuple[str, tuple[float, float]]) -> str:
    """Return a table of the constants file."""
    lines = [f"{name} = {value:.4g}" for name, value in zip(COUNTS, constants, strict=True)]
    return "\n".join([f"[{header}]", *lines, *(f"{name} = [{low:.3f}, {high:.3f}]" for name, (low, high) in bands)])


def write() -> None:
    """Write the constants of each core and of the boards that edgec knows."""
    parts = [
        "# Cycles an event, and the factors between which 90 % of times lie. Made by bench/board_time/fit.py --write."
    ]
    for core in CORES:
        found = spread(core)
        bands = ("band", found.band()), ("measured_band", found.measured_band())
        parts.append(f"{as_toml(f'cores.{core}', fit_core(core)[0], *bands)}\ntrust_in_one = {found.trust_in_one:.2f}")
    for board in (each for core in CORES for each in boards(core) if each.name in NAMED):
        own = observed_band(left_out(board).values())
        parts.append(as_toml(f"boards.{NAMED[board.name]}", fit_board(board), ("band", own)))
    CONSTANTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Print the tables or write the constants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the constants that edgec uses")
    if parser.parse_args().write:
        write()
    else:
        print_tables()
        print_summary()


if __name__ == "__main__":
    main()
