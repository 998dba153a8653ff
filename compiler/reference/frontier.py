"""`Frontier`: runs a model over samples step by step, keeping only the values that the remaining nodes read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.array_store import MEMORY_BYTES, ArrayStore
from edgec.model.graph import constant
from edgec.reference.session import NEWEST_SAFE_IR_VERSION, Reference

Array = np.ndarray[Any, Any]


class Frontier:
    """All samples at the same position in the network. `advance` moves them on to a value; each node runs once.

    Weights may be changed between two calls: nodes that have not run yet then use the new ones.

    Args:
        model: Model with static shapes. It is read again at each call.
        samples: Input arrays by name.
        threads: Number of threads, as for `Reference`.
        memory: Number of bytes of values that are kept in memory.
    """

    def __init__(
        self,
        model: ir.Model,
        samples: Iterable[Mapping[str, Array]],
        *,
        threads: int | None = None,
        memory: int = MEMORY_BYTES,
    ) -> None:
        self.model = model
        self._threads = threads
        self._store = ArrayStore(memory)
        self._done: set[ir.Node] = set()
        self._reserved: set[ir.Value] = set()
        self._known: set[ir.Value] = {value for value in model.graph.inputs if not value.is_initializer()}
        self._order = {node: place for place, node in enumerate(model.graph)}
        self.samples = 0
        for feeds in samples:
            for value in self._known:
                self._store.put((value, self.samples), feeds[value.name or ""])
            self.samples += 1

    def advance(self, targets: Sequence[ir.Value]) -> None:
        """Compute `targets` for all samples; other values that no remaining node reads are dropped."""
        nodes = self._missing(targets)
        if nodes:
            reads = self._reads(nodes)
            self._done.update(nodes)
            made = [value for node in nodes for value in node.outputs if value in targets or self._wanted(value)]
            reference = Reference(segment(self.model, nodes, reads, made), threads=self._threads)
            for sample in range(self.samples):
                results = reference.run({value.name or "": self._store.get((value, sample)) for value in reads})
                for value in made:
                    self._store.put((value, sample), results[value.name or ""])
            self._known.update(made)
        for value in [value for value in self._known if value not in targets and not self._wanted(value)]:
            self._known.discard(value)
            for sample in range(self.samples):
                self._store.drop((value, sample))

    def reserve(self, values: Iterable[ir.Value]) -> None:
        """Keep exactly these values, once computed, until the next call of `reserve`."""
        self._reserved = set(values)

    def value(self, value: ir.Value, sample: int) -> Array:
        """Return a value of one sample: a target of the last `advance`, or one that a remaining node reads."""
        return self._store.get((value, sample))

    def _wanted(self, value: ir.Value) -> bool:
        if value in self._reserved or value.is_graph_output():
            return True
        return any(use.node not in self._done for use in value.uses())

    def _missing(self, targets: Sequence[ir.Value]) -> list[ir.Node]:
        found: set[ir.Node] = set()
        pending = [value for value in targets if value not in self._known]
        while pending:
            producer = pending.pop().producer()
            if producer is None or producer in found:
                continue
            if producer in self._done:
                raise ValueError(f"{producer.name} has run already, and its result was dropped")
            found.add(producer)
            pending.extend(value for value in producer.inputs if value is not None and value not in self._known)
        return sorted(found, key=self._order.__getitem__)

    def _reads(self, nodes: Sequence[ir.Node]) -> list[ir.Value]:
        inside = {value for node in nodes for value in node.outputs}
        reads = [value for node in nodes for value in node.inputs if value is not None and value not in inside]
        return [value for value in dict.fromkeys(reads) if value.name and constant(value) is None]


def segment(model: ir.Model, nodes: Sequence[ir.Node], reads: Sequence[ir.Value], gives: Sequence[ir.Value]) -> bytes:
    """Return the ONNX file of some nodes of `model`, in their order.

    Args:
        model: Its main graph is used; the nodes have no subgraphs that read values from outside.
        nodes: The nodes to include.
        reads: Values that become inputs, possibly constants.
        gives: Values that become outputs.
    """
    given = set(reads)
    constants = {v: None for node in nodes for v in node.inputs if v is not None and v.is_initializer()}
    made = {value for node in nodes for value in node.outputs}
    extra = [
        value.producer()
        for node in nodes
        for value in node.inputs
        if value is not None and value not in given and value not in made and value.producer() is not None
    ]
    graph = onnx.helper.make_graph(
        [ir.to_proto(node) for node in (*dict.fromkeys(filter(None, extra)), *nodes)],
        "segment",
        [_info(value) for value in reads],
        [_info(value) for value in gives],
        [ir.to_proto(_tensor(value)) for value in constants if value not in given],
    )
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in model.graph.opset_imports.items()]
    version = min(model.ir_version, NEWEST_SAFE_IR_VERSION)
    return bytes(onnx.helper.make_model(graph, opset_imports=imports, ir_version=version).SerializeToString())


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    array = constant(value)
    return ir.tensor(np.zeros(0, np.float32) if array is None else array, name=value.name)


def _info(value: ir.Value) -> onnx.ValueInfoProto:
    info = onnx.ValueInfoProto()
    info.ParseFromString(ir.to_proto(value).SerializeToString())
    return info
