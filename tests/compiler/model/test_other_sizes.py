"""Other sizes than a model was exported at: computed as ONNX Runtime does, or the node that forbids it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import edgec
from edgec.errors import BadModel
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.reference.session import Reference
from tests.compiler.model.test_shapes import shape_of
from tests.support.models import proto


def exported_at(body: str, batch: int = 10, side: int = 32, weights: dict[str, np.ndarray] | None = None) -> ir.Model:
    """Return a network exported for [batch, 3, side, side], whose shapes inside and at its end are those."""
    source = proto(f"g (float[{batch}, 3, {side}, {side}] x) => (float[1, 2, 3, 4] y) {{ {body} }}", opset=13)
    output = source.graph.output[0].type.tensor_type.shape
    output.CopyFrom(onnx.helper.make_tensor_type_proto(1, [batch, 8, side, side]).tensor_type.shape)
    for name, array in (weights or {}).items():
        source.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    source.graph.value_info.append(onnx.helper.make_tensor_value_info("a", 1, [batch, 8, side, side]))
    return load(source).model


WEIGHTS = {
    "w": np.ones((8, 3, 3, 3), np.float32),
    "size": np.array([10, 8, 32, 32]),
    "flat": np.array([10, 8, 1024]),
    "rest": np.array([0, 8, -1]),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "place": np.ones((1, 8, 32, 32), np.float32),
    "table": np.ones((1024, 5), np.float32),
}
CONV = "a = Conv <pads = [1, 1, 1, 1]> (x, w)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Relu (a)", (1, 8, 320, 640)),
        ("y = Resize (a, , twice)", (1, 8, 640, 1280)),
        ("y = Reshape (a, rest)", (1, 8, 320 * 640)),
        ("p = GlobalAveragePool (a)  y = Flatten (p)", (1, 8)),
        ("s = Shape (a)  b = Relu (a)  y = Reshape (b, s)", (1, 8, 320, 640)),
    ],
)
def test_fixed_sizes_can_be_overridden(body: str, expected: tuple[int, ...]) -> None:
    model = fix_shapes(exported_at(f"{CONV}  {body}", weights=WEIGHTS), {"x": (1, 3, 320, 640)})
    assert shape_of(model, "a") == (1, 8, 320, 640)
    assert shape_of(model, "y") == expected


PINNED = {
    "a Reshape": (
        "pin = Reshape (a, flat)  y = Relu (pin)",
        "Reshape node 'pin' cannot reshape 1x8x320x320 to 10x8x1024; that shape is written",
    ),
    "a Reshape further on": (
        "b = Relu (a)  c = Neg (b)  end = Reshape (c, flat)  y = Relu (end)",
        "Reshape node 'end' cannot reshape .* to 10x8x1024.*that shape is written",
    ),
    "a Resize before the node that fails": (
        """p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
           up = Resize (p, , , size)  join = Add (up, a)  y = Relu (join)""",
        "Add node 'join': Incompatible dimensions.*Resize node 'up' .10x8x32x32",
    ),
    "an embedding of positions": (
        "join = Add (a, place)  y = Relu (join)",
        "Add node 'join': .*constant 'place' .1x8x32x32",
    ),
    "the weights of a head": (
        "f = Reshape (a, rest)  head = MatMul (f, table)  y = Relu (head)",
        "MatMul node 'head': .*constant 'table' .1024x5",
    ),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("body", "message"), PINNED.values(), ids=PINNED)
def test_the_node_that_pins_a_size_is_named(body: str, message: str, named: bool) -> None:
    source = exported_at(f"{CONV}  {body}", weights=WEIGHTS)
    for node in source.graph:
        node.name = node.outputs[0].name if named else ""
    assert fix_shapes(source, {}).graph.outputs
    with pytest.raises(BadModel, match=message):
        fix_shapes(source, {"x": (1, 3, 320, 320)})


def test_batch_that_a_reshape_pins() -> None:
    graph = """g (float[N, 3, 8, 8] x) => (float[M, 64, 3] y) <int64[3] to = {1, 3, 64}>
    { r = Reshape (x, to)  y = Transpose <perm = [0, 2, 1]> (r) }"""
    model = load(proto(graph)).model
    assert shape_of(fix_shapes(model, {}), "y") == (1, 64, 3)
    with pytest.raises(BadModel, match="Reshape node 'r' cannot reshape 2x3x8x8 to 1x3x64"):
        fix_shapes(model, {"x": (2, 3, 8, 8)})


def test_an_artefact_of_another_size_has_the_outputs_of_an_export_at_that_size(tmp_path: Path) -> None:
    body = f"{CONV}  m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)  u = Resize (m, , twice)  y = Add (u, a)"
    artefact = edgec.compile(
        exported_at(body, weights=WEIGHTS), target="jetson-tx2", output=tmp_path / "a", shapes={"x": (1, 3, 48, 64)}
    )
    golden = {port.name: np.load(artefact.folder / port.golden) for port in artefact.manifest.inputs}
    (output,) = artefact.manifest.outputs
    assert (golden["x"].shape, output.shape) == ((1, 3, 48, 64), (1, 8, 48, 64))
    exported = Reference(fix_shapes(exported_at(body, 1, 48, WEIGHTS), {"x": (1, 3, 48, 64)}))
    np.testing.assert_array_equal(np.load(artefact.folder / output.golden), exported.run(golden)["y"])
