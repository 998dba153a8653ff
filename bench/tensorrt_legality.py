"""How many networks and operators are legal for TensorRT 8.2, 8.5, 8.6 and 10.3, as exported and after our rewrites.

    python bench/tensorrt_legality.py [--operators | --networks]

As exported: the file with its shapes fixed. After: canonical passes, then the rewrites for that version. Operators are
ONNX's own test models of single operators, small inputs (axes, sizes) made constant as exporters do; those whose output
sizes depend on the data are left out.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir

from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.options import compile_options
from edgec.passes import pipeline
from edgec.profile import Profile
from edgec.record import Record
from edgec.targets.tensorrt.check import refusals
from edgec.targets.tensorrt.legalize import legalize
from edgec.targets.tensorrt.limits import Limits, known_limits

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.architectures import ARCHITECTURES
from tests.support.conformance import static_models
from tests.support.real_models import REAL_MODELS

LIMITS = known_limits()
HEAD = "".join(f" {limits.version} as exported | {limits.version} after |" for limits in LIMITS)


def main() -> None:
    warnings.filterwarnings("ignore")
    if "--operators" not in sys.argv:
        print(f"| network |{HEAD}\n|{' --- |' * (1 + 2 * len(LIMITS))}")
        rows = [(name, verdicts(model)) for name, model in networks()]
        for name, cells in rows:
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        legal = [str(sum(cells[column] == "legal" for _, cells in rows)) for column in range(2 * len(LIMITS))]
        print(f"| legal of {len(rows)} | {' | '.join(legal)} |\n")
    if "--networks" not in sys.argv:
        print(f"| operator tests |{HEAD}\n|{' --- |' * (1 + 2 * len(LIMITS))}")
        cases = [(name, verdicts(model)) for name, model in operators()]
        legal = [str(sum(cells[column] == "legal" for _, cells in cases)) for column in range(2 * len(LIMITS))]
        print(f"| legal of {len(cases)} | {' | '.join(legal)} |")
        refused = Counter(name.split("/")[0] for name, cells in cases if cells[1] != "legal")
        print("\nrefused for 8.2 after: " + ", ".join(f"{name} {count}" for name, count in sorted(refused.items())))


def networks() -> Iterator[tuple[str, ir.Model]]:
    for name, real in REAL_MODELS.items():
        if real.path is not None:
            yield name, fix_shapes(load(real.path).model, real.shapes)
    for name, build in ARCHITECTURES.items():
        yield name, fix_shapes(load(build()).model, {})


def operators() -> Iterator[tuple[str, ir.Model]]:
    """Yield `operator/test` and its model."""
    for case, model in static_models():
        yield f"{case.model.graph.node[0].op_type}/{case.name}", model


def verdicts(model: ir.Model) -> list[str]:
    """Return `legal` or the number of refused nodes, as exported and after, for each version."""
    cells = []
    for limits in LIMITS:
        cells += [_told(len(refusals(model, limits))), _after(model, limits)]
    return cells


def _after(model: ir.Model, limits: Limits) -> str:
    options = compile_options({"target": "jetson-tx2"})
    try:
        canonical = pipeline.run(model, profile=Profile(), options=options, record=Record())
    except EdgecError:
        return "no canonical form"
    legalize(canonical, limits)
    return _told(len(refusals(canonical, limits)))


def _told(refused: int) -> str:
    return "legal" if not refused else f"{refused} nodes"


if __name__ == "__main__":
    main()
