"""Compile and verify every real network for `host` and, under qemu, for `rpi4`: docs/results/verified.md.

`python bench/verified_models.py [MODEL ...] [--output docs/results/verified.md]`
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import edgec
from edgec.errors import CannotRunHere, EdgecError
from edgec.model.cost import layer_costs
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.real_models import REAL_MODELS

os.environ["EDGEC_STRICT"] = "1"  # a schedule that fails is a failure

LARGE_MB = 200
"""Networks with more weights than that are compiled for the host only."""

HEADER = """# Verified models

Each network is compiled, executed, and its outputs are compared with ONNX Runtime's on the original file: the largest
absolute error of an output, relative to that output's range, over all outputs and golden inputs. Up to 1e-4 is
accepted, or four times what rounding alone changes ONNX Runtime's own, which is then given in brackets. `host` runs
natively, `rpi4` under qemu-user (`{emulator}`): real execution of the code for the board. Golden inputs are a printed
page, and random shapes without any text. The `light_*` networks of the `onnx` package have placeholders for weights;
they are filled with random ones (seeded), since equal weights give equal outputs, which verify nothing. `-`: over
{large} MB of weights, host only.

Made by `python bench/verified_models.py --output docs/results/verified.md` ({machine}; {versions}).

| model | input | MMACs | weights MB | artefact MB host / rpi4 | error host | error rpi4 |
| --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(REAL_MODELS), help="names; default: all")
    parser.add_argument("--output", type=Path, help="also write the table there")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("edgec", "apache-tvm", "onnxruntime"))
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    text = HEADER.format(emulator="qemu-aarch64 -cpu cortex-a72", large=LARGE_MB, machine=machine, versions=versions)
    print(text, end="", flush=True)
    for name in options.models:
        line = row(name)
        print(line, flush=True)
        text += line + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")


def row(name: str) -> str:
    """Return the table's row of one network."""
    real = REAL_MODELS[name]
    proto = real.load()
    fixed = fix_shapes(load(proto).model, real.shapes)
    costs = layer_costs(fixed)
    megabytes = sum(cost.weight_bytes for cost in costs) / 1e6
    boards = ["host"] if megabytes > LARGE_MB else ["host", "rpi4"]
    cells = [_compiled(proto, real.shapes, board) for board in boards] + [("-", "-")] * (2 - len(boards))
    sizes, errors = zip(*cells, strict=True)
    shape = "x".join(map(str, inputs_of(fixed)[0].shape))
    macs = sum(cost.macs for cost in costs) / 1e6
    columns = (name, shape, f"{macs:.0f}", f"{megabytes:.1f}", " / ".join(sizes), *errors)
    return f"| {' | '.join(columns)} |"


def _compiled(proto: object, shapes: dict[str, tuple[int, ...]], board: str) -> tuple[str, str]:
    """Return artefact size and error as text."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            artefact = edgec.compile(proto, target=board, shapes=shapes, output=Path(folder) / "artefact")
            verification = artefact.verify()
        except CannotRunHere as error:
            return "-", str(error.problem)
        except EdgecError as error:
            return "-", f"refused: {error.problem}"
        worst = verification.comparison.worst
        noise = worst.noise.largest if worst and worst.noise and worst.is_noise(verification.tolerance) else None
        mark = ("" if noise is None else f" ({noise:.1e})") + ("" if verification.ok else " FAILED")
        return f"{artefact.size / 1e6:.1f}", f"{verification.worst:.1e}{mark}"


if __name__ == "__main__":
    main()
