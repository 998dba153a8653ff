"""Thousands of random valid graphs through the passes, quantization, pruning, TensorRT's rewrites and the CPU lowering.

    python bench/random_graphs.py [--seeds 0:10000] [--stages canonicalize,cpu] [--results FILE] [--limit-s N]
    python bench/random_graphs.py --show SEED --stages cpu

A seed makes the same graph everywhere (tests/support/random_graphs). Each graph goes through each stage; its outputs
are compared with ONNX Runtime's. Results are appended to FILE as JSON lines, and seeds in it are not run again: give
another FILE for another state of the code. `--show` prints the smallest part of a graph that still fails.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from workers import isolated, resumed

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.random_graphs.graph import by_seed
from tests.support.random_graphs.grow import random_graph
from tests.support.random_graphs.judge import STAGES, Verdict, judge
from tests.support.random_graphs.shrink import smallest

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

PATIENCE_S = 120
AT_FAULT = ("wrong", "crashed")


def run_seed(seed: int, stages: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the verdicts on the graph of `seed`."""
    warnings.filterwarnings("ignore")
    return [asdict(verdict) for verdict in judge(random_graph(by_seed(seed)), stages)]


def verdicts(seeds: list[int], stages: tuple[str, ...]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Yield each seed with its verdicts; one that dies or hangs crashed."""
    for seed, found in isolated(partial(run_seed, stages=stages), seeds, PATIENCE_S):
        dead = [{"stage": "any", "kind": "crashed", "message": str(found)}]
        yield seed, found if isinstance(found, list) else dead


def show(seed: int, stage: str) -> None:
    """Print the smallest part of a graph that fails as the whole does."""
    warnings.filterwarnings("ignore")
    proto = random_graph(by_seed(seed))
    (first,) = judge(proto, [stage])
    if first.kind not in AT_FAULT:
        print(f"{seed} {first.kind} {first.message}")
        return

    def fails(part: onnx.ModelProto) -> bool:
        try:
            (verdict,) = judge(part, [stage])
        except Exception:  # a part that ONNX Runtime does not take is none
            return False
        return verdict.kind == first.kind and (first.kind == "wrong" or _kind(verdict) == _kind(first))

    part = smallest(proto, fails)
    (verdict,) = judge(part, [stage])
    print(f"{seed}, {stage}, {verdict.kind}: {verdict.message}\nopset {part.opset_import[0].version}")
    print(onnx.printer.to_text(part.graph))


def _kind(verdict: Verdict) -> str:
    return re.sub(r"'[^']*'|\d+", "", verdict.message)[:50]


def main() -> None:
    """Run the seeds, then print what is at fault, the refusals by reason, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:1000", help="FIRST:LAST, the last not included")
    parser.add_argument("--stages", default=",".join(STAGES), help=f"of {', '.join(STAGES)}")
    parser.add_argument("--results", type=Path, default=Path("random_graphs.jsonl"))
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="stop after so many seconds")
    parser.add_argument("--show", type=int, help="a seed")
    options = parser.parse_args()
    stages = tuple(options.stages.split(","))
    if options.show is not None:
        for stage in stages:
            show(options.show, stage)
        return
    seeds = range(*map(int, options.seeds.split(":")))
    begun = time.monotonic()
    report(resumed(seeds, partial(verdicts, stages=stages), options.results, options.limit_s), time.monotonic() - begun)


def report(known: dict[int, list[dict[str, Any]]], seconds: float) -> None:
    """Print seeds at fault, refusals by reason, and a table of counts."""
    counts: Counter[tuple[str, str]] = Counter()
    refusals: Counter[str] = Counter()
    for seed, verdicts in known.items():
        for verdict in verdicts:
            counts[verdict["stage"], verdict["kind"]] += 1
            if verdict["kind"] in AT_FAULT:
                print(f"{seed} {verdict['stage']} {verdict['kind']}: {verdict['message']}")
            if verdict["kind"] == "refused":
                refusals[f"{verdict['stage']}: {re.sub(_NAMES, '...', verdict['message'])[:80]}"] += 1
    print("\n| refused | graphs |\n| --- | --- |")
    for reason, graphs in refusals.most_common(20):
        print(f"| {reason} | {graphs} |")
    kinds = ("right", "refused", *AT_FAULT)
    print(f"\n| stage | {' | '.join(kinds)} |\n{'| --- ' * 5}|")
    for stage in dict.fromkeys(stage for stage, _ in counts):
        print(f"| {stage} | {' | '.join(str(counts[stage, kind]) for kind in kinds)} |")
    print(f"\n{len(known)} graphs, {seconds:.0f} s")


_NAMES = r"'[^']*'|\b\w+_\d+\b|\bv\d+\w*"


if __name__ == "__main__":
    main()
