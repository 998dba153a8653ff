"""From imported Relax to scheduled Relax: `lower_relax`, and the same as TVM's pipeline `edgec`."""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import relax, tirx

from edgec.options import Precision
from edgec.targets.board import Board
from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.regions.emit import Emitter
from edgec.targets.tvm.regions.fold import fold
from edgec.targets.tvm.regions.graph import read_graph
from edgec.targets.tvm.regions.grow import grow_regions
from edgec.targets.tvm.regions.normalize import normalize
from edgec.targets.tvm.regions.quantized import place_integers, read_quantization
from edgec.targets.tvm.report import LoweringReport
from edgec.targets.tvm.schedules.generic import schedule_function
from edgec.targets.tvm.schedules.rules import fits_plain, rule_of
from edgec.targets.tvm.schedules.winograd import weigh
from edgec.targets.tvm.target_model import TargetModel, model_of_target, target_model


@dataclass(frozen=True)
class LoweredModule:
    """A module ready for `relax.build`, and which rule made which function."""

    module: tvm.IRModule
    report: LoweringReport


def lower_relax(mod: tvm.IRModule, board: Board, precision: Precision = "fp32") -> tvm.IRModule:
    """Return `mod` with every function scheduled for the CPU of `board`, ready for `relax.build`.

    With fp16, inputs and outputs stay fp32; see `TargetModel.at_precision` for what becomes half precision.
    """
    return lower_with_report(mod, target_model(board).at_precision(precision), llvm_target(resolve(board))).module


def lower_with_report(mod: tvm.IRModule, model: TargetModel, target: tvm.target.Target) -> LoweredModule:
    """Return `mod` scheduled for `model`, with the report.

    Args:
        mod: Relax module whose function `main` is the network; symbolic shapes take the fallback.
        model: The CPU.
        target: The same CPU as TVM's target.
    """
    report = LoweringReport()
    with target:
        prepared = tvm.transform.Sequential(
            [relax.transform.DecomposeOpsForInference(), relax.transform.CanonicalizeBindings()]
        )(mod)
        graph = read_graph(prepared["main"])
        quantized = graph is not None and read_quantization(graph, model)
        if graph is not None and not fold(graph) and not quantized:
            prepared = relax.transform.FoldConstant()(prepared)
            graph = read_graph(prepared["main"])
        if graph is None or not graph.is_static:
            # TVM's fusion fails on some shapes known only at run time; its own pipeline, later, does not fuse them.
            report.refuse("regions", "main", None, "a shape is known only at run time, or control flow")
            return LoweredModule(mod, report)
        normalize(graph)
        place_integers(graph)
        weigh(graph, model)
        regions = grow_regions(graph, lambda node: rule_of(node, model), fits_plain)
        if any(region.rule for region in regions):
            prepared = Emitter(prepared, prepared["main"], graph, model, report).emit(regions)
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
        return LoweredModule(_schedule_rest(fused, model, report), report)


def _schedule_rest(mod: tvm.IRModule, model: TargetModel, report: LoweringReport) -> tvm.IRModule:
    for variable, function in list(mod.functions_items()):
        done = function.attrs is not None and "tirx.is_scheduled" in function.attrs
        if not isinstance(function, tirx.PrimFunc) or done:
            continue
        scheduled, rule = schedule_function(function, model)
        mod[variable] = scheduled
        report.add(variable.name_hint, rule)
    return mod


def _pipeline(target: tvm.target.Target | None = None, precision: Precision = "fp32") -> tvm.transform.Pass:
    """Return TVM's pipeline `edgec`: our lowering, then what `relax.build` needs.

    `tvm.compile(module, target, relax_pipeline=tvm.relax.get_pipeline("edgec", target=target))`, after importing this.

    Args:
        target: A CPU, `num-cores` is the number of threads; default: the target in scope.
        precision: See `TargetModel.at_precision`.
    """

    def run(mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        cpu = target or tvm.target.Target.current(allow_none=False)
        lowered = lower_with_report(mod, model_of_target(cpu).at_precision(precision), cpu).module
        with cpu:
            return relax.get_pipeline("default")(lowered)

    return tvm.transform.module_pass(run, opt_level=0, name="edgec")


relax.register_pipeline("edgec")(_pipeline)
