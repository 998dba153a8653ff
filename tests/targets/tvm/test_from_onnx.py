"""Import into Relax, and what cannot be imported."""

from __future__ import annotations

import gc

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("tvm")

import tvm
from tvm import relax

from edgec.errors import InternalError, UnsupportedModel
from edgec.targets.tvm.from_onnx import to_relax
from edgec.targets.tvm.operators.converters import CONVERTERS
from tests.support.models import model, proto, random_weights


def _open(text: str) -> ir.Model:
    """Parse without the front end, which refuses open shapes before the back end sees them."""
    return ir.from_proto(proto(text))


def test_inputs_keep_their_order_and_weights_become_constants() -> None:
    text = "g (float[1, 3] b, float[1, 2] a) => (float[1, 2] y) { m = MatMul (b, w)  y = Add (m, a) }"
    module = to_relax(model(text, random_weights(w=(3, 2))))
    assert [parameter.name for parameter in module["main"].params] == ["b", "a"]
    assert [tuple(map(int, parameter.ty.shape)) for parameter in module["main"].params] == [(1, 3), (1, 2)]


def test_several_outputs_become_a_tuple() -> None:
    module = to_relax(model("g (float[2] x) => (float[2] y, float[2] z) { y = Relu (x)  z = Neg (x) }"))
    assert isinstance(module["main"].ret_ty, relax.TupleType)


def test_the_module_computes_what_the_model_says() -> None:
    module = to_relax(model("g (float[2, 3] x) => (float[2, 1] y) { y = ReduceMean <axes = [1]> (x) }"))
    machine = relax.VirtualMachine(relax.build(module, target="llvm"), tvm.cpu())
    x = np.random.default_rng(0).standard_normal((2, 3), dtype=np.float32)
    result = machine["main"](tvm.runtime.tensor(x)).numpy()
    np.testing.assert_allclose(result, x.mean(axis=1, keepdims=True), rtol=1e-6)


def test_every_unsupported_operator_and_node_is_named() -> None:
    text = """g (float[4] x) => (int64[1, N] a, float[4] c)
    { [first] a = NonZero (x)  [second] b = NonZero (x)  [third] c = Bernoulli (x) }"""
    with pytest.raises(
        UnsupportedModel, match=r"NonZero \(node 'first', node 'second'\); Bernoulli \(node 'third'\)"
    ) as caught:
        to_relax(_open(text))
    assert "choose another target" in str(caught.value)


def test_operators_of_other_domains_are_named_with_the_domain() -> None:
    header = '<ir_version: 8, opset_import: ["" : 17, "com.acme" : 1]>'
    with pytest.raises(UnsupportedModel, match=r"com\.acme::Sparkle \(node 'odd'\)"):
        to_relax(_open(f"{header} g (float[4] x) => (float[4] y) {{ [odd] y = com.acme.Sparkle (x) }}"))


def test_a_node_without_a_name_is_named_by_its_output() -> None:
    with pytest.raises(UnsupportedModel, match="Bernoulli \\(the node that writes 'y'\\)"):
        to_relax(model("g (float[4] x) => (float[4] y) { y = Bernoulli (x) }"))


def test_a_use_that_cannot_be_run_names_the_node_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    text = "g (float[4] x, int64 axis) => (float[4] y) { [where] s = CumSum (x, axis)  y = Relu (s) }"
    with pytest.raises(UnsupportedModel, match=r"CumSum with computed axis \(node 'where'\)"):
        to_relax(model(text, opset=18))
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_value_of_another_shape_than_inferred_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVERTERS, "Relu", lambda n: relax.op.reshape(n[0], (1, 6)))
    network = model("g (float[2, 3] x) => (float[2, 3] y) { [bent] y = Relu (x) }")
    with pytest.raises(
        InternalError, match=r"Relu \(node 'bent'\) was imported as float32\[1, 6\], but ONNX infers float32\[2, 3\]"
    ):
        to_relax(network)


def test_an_open_shape_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="input 'x' has no static shape"):
        to_relax(_open("g (float[N] x) => (float[N] y) { y = Relu (x) }"))
