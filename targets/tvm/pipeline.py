"""From imported Relax to scheduled Relax: `lower_relax`, and the same as TVM's pipeline `edgec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import tvm
from tvm import relax, tirx

from edgec.options import Precision
from edgec.targets.board import Board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.cpu_model import CpuModel, cpu_model, model_of_target
from edgec.targets.tvm.emit import Emitter
from edgec.targets.tvm.regions.fold import fold
from edgec.targets.tvm.regions.graph import read_graph
from edgec.targets.tvm.regions.grow import grow_regions
from edgec.targets.tvm.regions.integers import place_integers
from edgec.targets.tvm.regions.normalize import normalize
from edgec.targets.tvm.regions.quantized import read_quantization
from edgec.targets.tvm.regions.rule import Kernel, Region, Workload
from edgec.targets.tvm.report import LoweringReport
from edgec.targets.tvm.schedules import rules
from edgec.targets.tvm.schedules.choices import Choice, choices_of, lower_region, workload_of
from edgec.targets.tvm.schedules.float.winograd import weigh
from edgec.targets.tvm.schedules.generic import schedule_function


@dataclass(frozen=True)
class LoweredModule:
    """A module ready for `relax.build`, and which rule made which function."""

    module: tvm.IRModule
    report: LoweringReport


def lower_relax(mod: tvm.IRModule, board: Board, precision: Precision = "fp32") -> tvm.IRModule:
    """Return `mod` with every function scheduled for the CPU of `board`, ready for `relax.build`.

    With fp16, inputs and outputs stay fp32; see `CpuModel.at_precision` for what becomes half precision.
    """
    return lower_with_report(mod, cpu_model(board).at_precision(precision), llvm_target(resolve(board))).module


def lower_with_report(
    mod: tvm.IRModule,
    cpu: CpuModel,
    target: tvm.target.Target,
    tuned: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> LoweredModule:
    """Return `mod` scheduled for `cpu`, with the report.

    Args:
        mod: Relax module whose function `main` is the network; symbolic shapes take the fallback.
        cpu: The CPU.
        target: The same CPU as TVM's target.
        tuned: Workload -> choices of a tuning run as JSON values, each with its `baseline`: see `Lowering.select`.
    """
    lowering = Lowering(mod, cpu, target)
    return lowering.emit(*lowering.select(tuned or {}))


class Lowering:
    """A network cut into regions, which can be emitted repeatedly, with different choices for the regions.

    Args:
        mod: Relax module whose function `main` is the network.
        cpu: The CPU.
        target: The same CPU as TVM's target.
    """

    def __init__(self, mod: tvm.IRModule, cpu: CpuModel, target: tvm.target.Target) -> None:
        self._mod, self._cpu, self._target = mod, cpu, target
        with target:
            prepared = tvm.transform.Sequential(
                [relax.transform.DecomposeOpsForInference(), relax.transform.CanonicalizeBindings()]
            )(mod)
            graph = read_graph(prepared["main"])
            quantized = graph is not None and read_quantization(graph, cpu)
            if graph is not None and not fold(graph) and not quantized:
                prepared = relax.transform.FoldConstant()(prepared)
                graph = read_graph(prepared["main"])
            self._prepared, self._graph = prepared, graph if graph is not None and graph.is_static else None
            self._regions: list[Region] = []
            if self._graph is not None:
                normalize(self._graph)
                place_integers(self._graph)
                weigh(self._graph, cpu)
                self._regions = grow_regions(self._graph, rules.RULES, cpu)

    def workloads(self) -> dict[Workload, list[Choice]]:
        """Return the choices for every workload that can be tuned, in the network's order; the default comes first."""
        found: dict[Workload, list[Choice]] = {}
        for region in self._regions:
            workload = workload_of(region)
            if workload is not None and workload not in found:
                found[workload] = choices_of(region, self._cpu)
        return found

    def select(
        self, tuned: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> tuple[dict[str, Choice], list[tuple[str, str]]]:
        """Return `tuned` as choices by workload, and the entries that cannot be used, each with the reason.

        An entry is used if it was faster than the choice that is the default in this network, and is still offered.
        """
        chosen, refused = {}, []
        for workload, choices in self.workloads().items() if tuned else ():
            offered, by_rule = tuned.get(workload.key, ()), choices[0].as_json()
            wanted = next((each["choice"] for each in offered if each["baseline"] == by_rule), None)
            choice = next((each for each in choices if each.as_json() == wanted), None)
            if choice is not None:
                chosen[workload.key] = choice
            elif wanted is not None:
                refused.append((workload.key, "the rules no longer offer the tuned choice: the default is used"))
            elif offered:
                reason = "it was tuned in a network where the default is another choice: tune this network"
                refused.append((workload.key, reason))
        return chosen, refused

    def emit(self, choices: Mapping[str, Choice], refused: Sequence[tuple[str, str]] = ()) -> LoweredModule:
        """Return the scheduled module, with `choices` (by key of the workload) in place of the defaults."""
        report = LoweringReport()
        report.tuned = {key: choice.as_json() for key, choice in choices.items()}
        report.refusals += refused
        with self._target:
            prepared = self._prepared
            if self._graph is None:
                # TVM's fusion fails on some shapes known only at run time; its own pipeline, later, does not fuse them.
                reason = "the network has control flow, or a shape that is known only at run time"
                report.refuse("regions", "main", None, reason)
                return LoweredModule(self._mod, report)
            if any(region.rule for region in self._regions):
                lower = partial(self._kernel, choices)
                emitter = Emitter(prepared, prepared["main"], self._graph, self._cpu, report, lower)
                prepared = emitter.emit(self._regions)
            fused = tvm.transform.Sequential(
                [
                    relax.backend.DispatchSortScan(),
                    relax.transform.LegalizeOps(),
                    relax.transform.AnnotateTIROpPattern(),
                    relax.transform.FoldConstant(),
                    relax.transform.FuseOps(),
                    relax.transform.FuseTIR(),
                ]
            )(prepared)
            return LoweredModule(_schedule_rest(fused, self._cpu, report), report)

    def _kernel(self, choices: Mapping[str, Choice], region: Region) -> Kernel:
        workload = workload_of(region)
        if workload is None:
            return lower_region(region, self._cpu)
        choice = choices.get(workload.key)
        return replace(lower_region(region, self._cpu, choice), workload=workload.key)


def _schedule_rest(mod: tvm.IRModule, cpu: CpuModel, report: LoweringReport) -> tvm.IRModule:
    for variable, function in list(mod.functions_items()):
        done = function.attrs is not None and "tirx.is_scheduled" in function.attrs
        if not isinstance(function, tirx.PrimFunc) or done:
            continue
        scheduled, rule = schedule_function(function, cpu)
        mod[variable] = scheduled
        report.add(variable.name_hint, rule)
    return mod


def _pipeline(target: tvm.target.Target | None = None, precision: Precision = "fp32") -> tvm.transform.Pass:
    """Return TVM's pipeline `edgec`: our lowering, then what `relax.build` needs.

    `tvm.compile(module, target, relax_pipeline=tvm.relax.get_pipeline("edgec", target=target))`, after importing this.

    Args:
        target: A CPU, `num-cores` is the number of threads; default: the target in scope.
        precision: See `CpuModel.at_precision`.
    """

    def run(mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        known = target or tvm.target.Target.current(allow_none=False)
        lowered = lower_with_report(mod, model_of_target(known).at_precision(precision), known).module
        with known:
            return relax.get_pipeline("default")(lowered)

    return tvm.transform.module_pass(run, opt_level=0, name="edgec")


relax.register_pipeline("edgec")(_pipeline)
