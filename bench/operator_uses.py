"""Random uses of every operator through edgec on this machine: docs/results/operators.md.

    python bench/operator_uses.py [--seeds FIRST LAST] [--results FILE] [--limit-s N] [operator ...]

A use is one node of any operator set that edgec reads: ranks, axes, modes, types, attributes and optional inputs
are drawn as ONNX's specification allows them (`tests/support/uses`). It goes the whole way of a compilation. It is

* right, where shape, type and values are those of ONNX Runtime;
* refused, where it ends in an `EdgecError`: the message a user would read;
* wrong, where the outputs differ;
* crashed, where anything else is raised, or the process dies.

What ONNX Runtime itself does not run has no reference, and is left out.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from operator_conformance import compile_ours
from workers import isolated, resumed

sys.path.insert(0, str(Path(__file__).parents[1]))
from edgec.errors import EdgecError
from tests.support.uses.generate import GENERATORS, use_of
from tests.support.uses.judge import difference, reference

PATIENCE_S = 120


def judge(item: tuple[str, int]) -> dict[str, str]:
    """Return verdict, the use in words, and the reason, of one operator and seed."""
    warnings.filterwarnings("ignore")
    use = use_of(*item)
    expected = reference(use)
    if expected is None:
        return {"verdict": "no reference", "use": str(use), "reason": ""}
    try:
        got = compile_ours(use.model(expected), use.feeds)(use.feeds)
    except EdgecError as error:
        return {"verdict": "refused", "use": str(use), "reason": error.problem}
    except Exception as error:
        return {"verdict": "crashed", "use": str(use), "reason": f"{type(error).__name__}: {first_line(error)}"}
    problem = difference(use, expected, got)
    return {"verdict": "wrong" if problem else "right", "use": str(use), "reason": problem}


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


def verdicts(items: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], dict[str, str]]]:
    """Yield each use with its verdict; one that dies or hangs crashed."""
    for item, result in isolated(judge, items, PATIENCE_S):
        dead = {"verdict": "crashed", "use": str(use_of(*item)), "reason": str(result)}
        yield item, result if isinstance(result, dict) else dead


def main() -> None:
    """Run the uses; print what is wrong or crashed, refusals by reason, and counts by operator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", help="default: all")
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 50), metavar=("FIRST", "LAST"))
    parser.add_argument("--results", type=Path, help="JSON lines; results there are kept")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="stop after so many seconds")
    options = parser.parse_args()
    chosen = [(name, seed) for seed in range(*options.seeds) for name in options.operators or sorted(GENERATORS)]
    report(resumed(chosen, verdicts, options.results, options.limit_s))


def report(known: dict[tuple[str, int], dict[str, str]]) -> None:
    """Print each use that is wrong or crashed, the refusals by operator and reason, and the counts."""
    refusals: Counter[str] = Counter()
    for (name, seed), verdict in known.items():
        if verdict["verdict"] in ("wrong", "crashed"):
            print(f"{verdict['verdict']}: {name} {seed}: {verdict['use']}: {verdict['reason']}")
        if verdict["verdict"] == "refused":
            refusals[f"{name}: {kind_of_refusal(verdict['reason'])}"] += 1
    for reason, uses in refusals.most_common():
        print(f"refused {uses} times: {reason}")
    print(f"\n{table(known.values())}")


def kind_of_refusal(reason: str) -> str:
    return re.sub(r"'[^']*'", "...", reason)[:110]


def table(verdicts: Iterable[dict[str, str]]) -> str:
    counts = Counter(verdict["verdict"] for verdict in verdicts)
    kinds = ("right", "refused", "wrong", "crashed", "no reference")
    return f"| {' | '.join(kinds)} |\n{'| --- ' * len(kinds)}|\n| {' | '.join(str(counts[kind]) for kind in kinds)} |"


if __name__ == "__main__":
    main()
