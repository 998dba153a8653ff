"""From regions back to Relax: one call of a scheduled function per region, layout copies only where layouts meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.s_tir.schedule import ScheduleError

from edgec.targets.tvm.cpu_model import CpuModel
from edgec.targets.tvm.memory import JOINS, SLICES
from edgec.targets.tvm.packed_layout import block_of, packed_shape
from edgec.targets.tvm.regions.graph import VALUE_NAMES, Graph, Node
from edgec.targets.tvm.regions.operators import DEQUANTIZE
from edgec.targets.tvm.regions.restore import restore
from edgec.targets.tvm.regions.rule import Kernel, Operand, Region
from edgec.targets.tvm.report import LoweringReport
from edgec.targets.tvm.schedules.choices import lower_region
from edgec.targets.tvm.schedules.packed import elementwise as packed_elementwise
from edgec.targets.tvm.schedules.packed.copies import pack_function, unpack_function
from edgec.targets.tvm.schedules.plain import elementwise as plain_elementwise
from edgec.targets.tvm.strict import is_strict
from edgec.targets.tvm.taps import Tap


class Emitter:
    """Writes the regions of one function into a new module.

    Args:
        module: Module the function comes from; TIR functions it calls are carried over.
        function: The function itself, for parameters and attributes.
        graph: Its graph.
        cpu: The CPU.
        report: Receives the rule of every emitted function.
        lower: Returns the kernel of a region; default: the rules.
    """

    def __init__(
        self,
        module: tvm.IRModule,
        function: relax.Function,
        graph: Graph,
        cpu: CpuModel,
        report: LoweringReport,
        lower: Callable[[Region], Kernel] | None = None,
    ) -> None:
        self.lower = lower or (lambda region: lower_region(region, cpu))
        self.module, self.function, self.graph = module, function, graph
        self.cpu, self.report = cpu, report
        self.builder = relax.BlockBuilder()
        self.plain: dict[int, Any] = {}
        self.packed: dict[int, Any] = {}
        self.carried: dict[str, Any] = {}
        self.covered: set[int] = set()

    def emit(self, regions: list[Region]) -> tvm.IRModule:
        """Return the module with `main` made of `regions`."""
        params = [relax.Var(param.name, param.ty) for param in self.function.params]
        for node, param in zip(self.graph.params, params, strict=True):
            self.plain[id(node)] = param
        attrs = dict(self.function.attrs) if self.function.attrs else {}
        attrs.pop("global_symbol", None)
        attrs.pop(VALUE_NAMES, None)
        with self.builder.function("main", params, attrs=attrs):
            with self.builder.dataflow():
                for region in regions:
                    if region.rule is not None:
                        self._emit_kernel(region)
                    elif id(region.tail) not in self.covered:
                        self._emit_call(region.tail)
                outputs = self._expression(self.graph.outputs)
                if not self.graph.returns_tuple:
                    outputs = outputs.fields[0]
                result = self.builder.emit_output(outputs)
            self.builder.emit_func_output(result)
        return self.builder.finalize()

    def _emit_kernel(self, region: Region) -> None:
        assert region.rule is not None
        try:
            kernel = self.lower(region)
        except (ScheduleError, RuntimeError, ValueError, TypeError, IndexError) as error:
            if is_strict():
                raise
            # A shape for which the rule fails still runs, unscheduled; the report says which shape and why.
            self.report.refuse(region.rule.name, region.anchor.op, region.anchor.shape, str(error))
            for member in region.members:
                self._emit_call(member)
            return
        arguments = [self._argument(operand) for operand in kernel.operands]
        name = "_".join([kernel.rule, *(member.op.rsplit(".", 1)[-1] for member in region.members[1:3])])
        if kernel.results:
            self._emit_results(region, kernel, name, arguments)
            return
        dtype = self.cpu.stored(region.tail.dtype) if region.is_packed else region.tail.dtype
        shape = self._packed_shape(kernel.shape) if region.is_packed else kernel.shape
        value = self._call(kernel.function, name, arguments, shape, kernel.rule, kernel.detail, dtype, kernel.workload)
        self._note_values(value, kernel, region)
        self._note_tap(value, kernel, region)
        (self.packed if region.is_packed else self.plain)[id(region.tail)] = value

    def _emit_results(self, region: Region, kernel: Kernel, name: str, arguments: list[Any]) -> None:
        """Emit the call of a kernel that computes what reads its anchor, and no tuple."""
        variable = self.builder.add_func(kernel.function, name)
        self.report.add(variable.name_hint, kernel.rule, kernel.detail, kernel.workload)
        self.report.computes(variable.name_hint, (node.name for node in kernel.results))
        types = [relax.TensorType(list(node.shape or ()), node.dtype) for node in kernel.results]
        value = self.builder.emit(relax.call_tir(variable, arguments, out_ty=types if len(types) > 1 else types[0]))
        for index, node in enumerate(kernel.results):
            several = len(types) > 1
            self.plain[id(node)] = self.builder.emit(relax.TupleGetItem(value, index)) if several else value
        self.covered |= {id(node) for node in (*kernel.results, *region.anchor.users)}

    def _note_tap(self, variable: Any, kernel: Kernel, region: Region) -> None:
        """Note which call of which function writes the value of the region, unless the call may be left out."""
        attrs, tail = kernel.function.attrs, region.tail
        if not tail.name or JOINS in attrs or SLICES in attrs:
            return
        function = self._function_of(variable)
        block = block_of(kernel.shape[1], self.cpu) if region.is_packed else 0
        shape = tail.original or tuple(kernel.shape)
        self.report.taps.append(Tap(tail.name, function, self.report.calls[function] - 1, shape, block, tail.shift))

    def _note_values(self, variable: Any, kernel: Kernel, region: Region) -> None:
        """Note what the call that writes the value of the region computes, unless the call may be left out."""
        attrs = kernel.function.attrs
        if JOINS not in attrs and SLICES not in attrs:
            self.report.computes(self._function_of(variable), (member.name for member in region.members))

    def _function_of(self, variable: Any) -> str:
        """Return the name of the function whose call the variable holds."""
        return str(self.builder.lookup_binding(variable).args[0].name_hint)

    def _packed_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return packed_shape(shape, block_of(shape[1], self.cpu))

    def _call(
        self,
        function: Any,
        name: str,
        arguments: list[Any],
        shape: tuple[int, ...],
        rule: str,
        detail: str,
        dtype: str,
        workload: str = "",
    ) -> Any:
        variable = self.builder.add_func(function, name)
        self.report.add(variable.name_hint, rule, detail, workload)
        return self.builder.emit(relax.call_tir(variable, arguments, out_ty=relax.TensorType(list(shape), dtype)))

    def _argument(self, operand: Operand) -> Any:
        if isinstance(operand.source, np.ndarray):
            return relax.const(operand.source)
        return self._as_packed(operand.source) if operand.packed else self._as_plain(operand.source)

    def _as_plain(self, node: Node) -> Any:
        if node.op == DEQUANTIZE and id(node) not in self.plain and id(node) not in self.packed:
            self._emit_kernel(Region((packed_elementwise if node.packed else plain_elementwise).RULE, [node]))
        if id(node) not in self.plain:
            assert node.shape is not None
            shape: Any = node.shape
            function = unpack_function(shape, self.cpu, node.dtype)
            source = self.packed[id(node)]
            self.plain[id(node)] = self._call(function, "unpack", [source], shape, "unpack", "", node.dtype)
        return self.plain[id(node)]

    def _as_packed(self, node: Node) -> Any:
        if node.op == DEQUANTIZE and node.packed and id(node) not in self.packed:
            self._emit_kernel(Region(packed_elementwise.RULE, [node]))
        if id(node) not in self.packed:
            shape: Any = node.shape
            result = self._packed_shape(shape)
            function = pack_function(shape, self.cpu, node.dtype)
            source, dtype = self._as_plain(node), self.cpu.stored(node.dtype)
            self.packed[id(node)] = self._call(function, "pack", [source], result, "pack", "", dtype)
        return self.packed[id(node)]

    def _emit_call(self, node: Node) -> None:
        """Emit an operator that no rule took, unchanged."""
        self.plain[id(node)] = self.builder.emit(self.builder.normalize(restore(node, self._expression, self._carry)))

    def _carry(self, variable: Any) -> Any:
        name = variable.name_hint
        if name not in self.carried:
            function = self.module[variable]
            if isinstance(function, relax.Function):
                function = _Carried(self._carry).visit_expr(function)
            self.carried[name] = self.builder.add_func(function, name)
        return self.carried[name]

    def _expression(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self._as_plain(value)
        if isinstance(value, np.ndarray):
            # The dtype is given by name: otherwise a scalar int64 becomes int32.
            return relax.const(value, str(value.dtype))
        if isinstance(value, list):
            return relax.Tuple([self._expression(item) for item in value])
        return value


@relax.expr_functor.mutator
class _Carried(relax.PyExprMutator):  # type: ignore[misc]
    """Copies a function of the old module into the new one, where it calls the functions that `carry` returns."""

    def __init__(self, carry: Callable[[Any], Any]) -> None:
        super().__init__()
        self._carry = carry

    def visit_global_var_(self, variable: Any) -> Any:
        return self._carry(variable)
