"""Models and files with something wrong in them, by seed: the same everywhere."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

NUMBERS = (-1, 0, 1, 2, 3, 255, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
FLOATS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("nan"))
NAMES = ("", "x", "../x", "/etc/passwd", "\x1b[2J", "[red]", "a\nb", "ü" * 100, "'; ls #")
OPERATORS = (
    *("Add", "Cast", "Concat", "ConstantOfShape", "Conv", "Einsum", "Expand", "Gather", "Gemm", "If", "Loop", "MatMul"),
    *("Pad", "QuantizeLinear", "Range", "Reshape", "Resize", "Slice", "Softmax", "Split", "Squeeze", "Tile", "TopK"),
)
REPLACEMENTS = (None, -1, 0, 1 << 62, 1e400, "", "../..", "x" * 70_000, [], {}, True)


def mutated_bytes(data: bytes, seed: int) -> bytes:
    """Return `data` with some bytes flipped, overwritten, cut off, doubled or taken out."""
    rng = random.Random(seed)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at, kind = rng.randrange(len(changed) + 1), rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at : at + 4] = rng.randbytes(4)
        elif kind == 2:
            del changed[at : at + rng.randint(1, 64)]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randint(1, 64)]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def mutated_model(model: onnx.ModelProto, seed: int) -> bytes:
    """Return `model` with one to three things in it altered, or now and then its bytes."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        return mutated_bytes(model.SerializeToString(), seed)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for _ in range(rng.randint(1, 3)):
        rng.choice(MUTATIONS)(changed, rng)
    return changed.SerializeToString()


def mutated_json(text: str, seed: int) -> str:
    """Return JSON with one value somewhere in it replaced, taken out or doubled; now and then its text altered."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        return mutated_bytes(text.encode(), seed).decode("utf-8", "replace")
    data = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    walk(data)
    parent, key = rng.choice(places)
    kind = rng.randrange(4)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.append(parent[key])
    else:
        parent[key] = rng.choice(REPLACEMENTS)
    return json.dumps(data)


def _dims(model: onnx.ModelProto, rng: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    dims = [dim for value in values for dim in value.type.tensor_type.shape.dim]
    if dims:
        rng.choice(dims).dim_value = rng.choice(NUMBERS)


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    found = [attribute for node in model.graph.node for attribute in node.attribute]
    if not found:
        return
    attribute = rng.choice(found)
    if attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == onnx.AttributeProto.STRING:
        attribute.s = rng.choice(NAMES).encode()
    else:
        attribute.i = rng.choice(NUMBERS)


def _initializer(model: onnx.ModelProto, rng: random.Random) -> None:
    if not model.graph.initializer:
        return
    tensor = rng.choice(model.graph.initializer)
    kind = rng.randrange(4)
    if kind == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif kind == 1:
        tensor.data_type = rng.randrange(25)
    elif kind == 2:
        tensor.raw_data = mutated_bytes(tensor.raw_data, rng.randrange(1 << 30))
    else:
        try:
            array = onnx.numpy_helper.to_array(tensor).copy()
        except Exception:  # altered before
            return
        if array.size and array.dtype.kind in "iuf":
            choice = rng.choice(FLOATS if array.dtype.kind == "f" else NUMBERS)
            with np.errstate(all="ignore"):
                array.flat[rng.randrange(array.size)] = np.asarray(choice).astype(array.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _node(model: onnx.ModelProto, rng: random.Random) -> None:
    if not model.graph.node:
        return
    node = rng.choice(model.graph.node)
    names = [name for each in model.graph.node for name in (*each.input, *each.output)] or [""]
    kind = rng.randrange(7)
    if kind == 0:
        node.op_type = rng.choice(OPERATORS)
    elif kind == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif kind == 2:
        node.input.append(rng.choice(names))
    elif kind == 3 and node.input:
        del node.input[rng.randrange(len(node.input))]
    elif kind == 4:
        model.graph.node.remove(node)
    elif kind == 5:
        node.name = rng.choice(NAMES)
    else:
        node.domain = rng.choice(("", "com.microsoft", "x"))


def _type(model: onnx.ModelProto, rng: random.Random) -> None:
    value = rng.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = rng.randrange(25)


def _header(model: onnx.ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.5 and model.opset_import:
        model.opset_import[0].version = rng.choice((*range(1, 26), *NUMBERS[-4:]))
    else:
        model.ir_version = rng.choice((*range(1, 14), *NUMBERS[-4:]))


MUTATIONS: tuple[Callable[[onnx.ModelProto, random.Random], None], ...] = (
    _dims, _attribute, _attribute, _initializer, _initializer, _node, _node, _node, _type, _header,
)  # fmt: skip
