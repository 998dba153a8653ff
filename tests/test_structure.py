"""Modules and functions stay short; those that do not have a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULE, FUNCTION = 250, 60
"""Lines at most; of a function without its docstring."""
LONG = {
    "compiler/api/compile.py": "the whole flow, and its steps in their order",
    "compiler/api/compile.py compile": "the whole flow on one screen, a stage after the other",
    "compiler/cli/compile.py command": "one parameter for each option",
    "compiler/cli/prune.py command": "one parameter for each option",
    "compiler/cli/quantize.py command": "one parameter for each option",
    "compiler/cli/tune.py command": "one parameter for each option",
    "passes/bound_sizes/elements.py": "one small rule for each operator of a family",
    "passes/bound_sizes/site.py": "what every rule may ask of its place",
    "targets/tensorrt/half.py": "a table of operators, and the reasons of each",
    "targets/tensorrt/refusals.py": "one short function for each reason to refuse",
    "targets/tvm/kernels/non_max_suppression.py kernel": "one loop nest in TVMScript, which takes no helpers",
    "targets/tvm/kernels/non_max_suppression.py non_max_suppression": "its loop nest is inside",
    "targets/tvm/kernels/roi_align.py kernel": "one loop nest in TVMScript, which takes no helpers",
    "targets/tvm/kernels/roi_align.py roi_align": "its loop nest is inside",
    "targets/tvm/schedules/plain/recurrent_kernel.py": "the loops of one kernel, which share the buffers of a task",
    "targets/tvm/schedules/int8/widening_product.py products": "one loop nest in TVMScript, which takes no helpers",
    "targets/tvm/tuning/search.py": "rounds, trials and vetoes change one state under one lock",
}


def long_ones() -> Iterator[tuple[str, int]]:
    """Yield what is longer than it should be: a module, or a module and one of its functions, and the lines of it."""
    for folder in ("compiler", "passes", "targets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
            if (lines := text.count("\n")) > MODULE:
                yield name, lines
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    docstring = ast.get_docstring(node, clean=False)
                    said = docstring.count("\n") + 1 if docstring else 0
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1 - said
                    if lines > FUNCTION:
                        yield f"{name} {node.name}", lines


def test_what_is_long_has_a_reason() -> None:
    assert {name: lines for name, lines in long_ones() if name not in LONG} == {}
