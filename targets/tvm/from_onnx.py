"""ONNX to Relax: `to_relax` imports a canonical onnx_ir model with static shapes, or names every node it cannot."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir
import tvm
from tvm.relax.frontend.onnx import onnx_frontend

from edgec.errors import UnsupportedModel
from edgec.model.signature import inputs_of, outputs_of
from edgec.targets.base import Finding
from edgec.targets.tvm.legalize import legalize
from edgec.targets.tvm.supported import name_of, refusal

REMEDY = "Export the model without it, replace it by supported operators, or choose another target."
MAX_NAMED = 8


def to_relax(model: ir.Model) -> tvm.IRModule:
    """Import `model` as a Relax module whose function `main` takes the inputs in order; weights become constants.

    One output is returned as a tensor, several as a tuple.

    Raises:
        UnsupportedModel: Names each operator and node that cannot be imported.
    """
    refused = unsupported(model)
    if refused:
        shown = "; ".join(refused[:MAX_NAMED])
        more = f"; and {len(refused) - MAX_NAMED} more" if len(refused) > MAX_NAMED else ""
        raise UnsupportedModel(f"the TVM back end cannot run {shown}{more}", remedy=REMEDY)
    inputs_of(model), outputs_of(model)  # refuses open shapes
    proto = ir.to_proto(legalize(model))
    importer = _Importer(shape_dict={}, dtype_dict={})
    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about input names, which stay ours
        try:
            module = importer.from_onnx(proto.graph, model.opset_imports.get("", 1))
        except Exception as error:  # the importer raises whatever it likes, beyond single operators too
            importer.bb._end_block()  # or it complains on standard error when it is destroyed
            if isinstance(error, UnsupportedModel):
                raise
            problem = f"the model cannot be imported into TVM: {_first_line(error)}"
            raise UnsupportedModel(problem, remedy=REMEDY) from error
    canonical: tvm.IRModule = tvm.relax.transform.CanonicalizeBindings()(module)
    return canonical


def unsupported(model: ir.Model) -> list[str]:
    """Return, per kind of refusal, one phrase that names operator and nodes."""
    nodes: dict[str, list[str]] = {}
    for node in model.graph.all_nodes():
        refused = refusal(node)
        if refused is not None:
            nodes.setdefault(refused[0], []).append(_label(node.name, [output.name for output in node.outputs]))
    return [f"{what} ({_listed(labels)})" for what, labels in nodes.items()]


def check(model: ir.Model) -> tuple[Finding, ...]:
    """Return a finding for every node: refused where the importer lacks the operator, or fails on this use of it."""
    findings = []
    for node in model.graph.all_nodes():
        where, refused = node.name or node.outputs[0].name or "", refusal(node)
        if refused is None:
            findings.append(Finding(where, name_of(node), "supported"))
        else:
            findings.append(Finding(where, refused[0], "refused", refused[1], REMEDY))
    if not any(finding.verdict == "refused" for finding in findings):
        try:
            to_relax(model)
        except UnsupportedModel as error:
            findings.insert(0, Finding("", "", "refused", error.problem, error.remedy or ""))
    return tuple(findings)


class _Importer(onnx_frontend.ONNXGraphImporter):  # type: ignore[misc]
    """TVM's importer; failures name the node."""

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        for node in graph.node:
            single = onnx.GraphProto(name=graph.name, node=[node])
            try:
                super()._construct_nodes(single)
            except Exception as error:  # see to_relax
                label = _label(node.name, list(node.output))
                problem = f"{node.op_type} ({label}) cannot be imported into TVM: {_first_line(error)}"
                raise UnsupportedModel(problem, remedy=REMEDY) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what the importer prints on failure: whole weight tensors."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _label(name: str | None, outputs: list[Any]) -> str:
    return f"node {name!r}" if name else f"the node that writes {outputs[0]!r}"


def _listed(labels: list[str]) -> str:
    shown = ", ".join(labels[:3])
    return shown if len(labels) <= 3 else f"{shown} and {len(labels) - 3} more"


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
