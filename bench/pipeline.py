"""Is the promised loss kept on data that a compression never saw? `python bench/pipeline.py --accepted 0.01 0.02`.

The demo detector is compressed within each accepted loss, decided and checked on rendered pictures of one seed; then
the original and the result are measured on pictures of another. Nothing is lowered: the board states its widths, its
estimate and, with --int8, integers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from quantization_tasks import TASKS

from edgec import registry
from edgec.compress.compress import compress
from edgec.compress.settings import competing, implied_options
from edgec.evaluation.run_metrics import run_metrics
from edgec.options import compile_options
from edgec.record import Record
from edgec.reference.session import Reference
from edgec.targets.board import load_board

PICTURES = Path(__file__).parents[1] / "examples" / "detector" / "pictures.py"


def main() -> None:
    """Print a row for each accepted loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="rpi4")
    parser.add_argument("--accepted", type=float, nargs="*", default=(0.01, 0.02))
    parser.add_argument("--unseen", type=int, default=500, help="pictures of another seed that the result is judged on")
    parser.add_argument("--include", default="*", help="layers that may be pruned")
    parser.add_argument("--int8", action="store_true", help="as if the board had integers")
    options = parser.parse_args()
    board = load_board(options.target)
    profile = registry.load("targets", board.backend)().profile(board)
    if options.int8:
        profile = replace(profile, precisions=("fp32", "int8"))
    task = TASKS["detector"]
    model, unseen = task.canonical(), task.samples("test", options.unseen)
    before = run_metrics(Reference(model).run, unseen, {"map": task.make()})["map"]
    print("| accepted | rounds | loss, decided on | loss, held out | loss, unseen | MACs | weights | time* | s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for accepted in options.accepted:
        settings = compile_options(
            {
                "target": options.target,
                "data": f"{PICTURES}:decided",
                "samples": 1000,
                "metric": "map",
                "decoder": task.decoder,
                "max_loss": accepted,
                "prune": {"include": [options.include]},
                "precision": "int8" if options.int8 else "fp32",
            }
        )
        record, start = Record(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "journal"
            formats, settings = competing(settings, profile), implied_options(settings, profile)
            done = compress(model, settings, profile, record, formats=formats, path=task.path, journal=journal)
        seconds = time.process_time() - start
        after = run_metrics(Reference(done.model).run, unseen, {"map": task.make()})["map"]
        found = record.compression
        if found is None:
            raise SystemExit("nothing was recorded")
        first, last = found.steps[0], found.steps[-1]
        losses = f"{last.loss:.4f} ({found.decided_on}) | {found.loss:.4f} ({found.held_out})"
        saved = [
            last.macs / first.macs,
            last.weight_bytes / first.weight_bytes,
            (last.seconds or 1) / (first.seconds or 1),
        ]
        print(
            f"| {accepted:g} | {found.rounds} | {losses} | {after.loss_against(before):.4f} ({len(unseen)}) | "
            + " | ".join(f"{share:.0%}" for share in saved)
            + f" | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
