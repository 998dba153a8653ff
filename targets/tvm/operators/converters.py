"""Every operator that the TVM back end supports, with its converter."""

from __future__ import annotations

from edgec.targets.tvm.operators import (
    activations,
    bounded,
    convolutions,
    elementwise,
    indexing,
    layout,
    normalizations,
    pools,
    products,
    quantization,
    recurrent,
    reductions,
    resize,
    sampling,
)
from edgec.targets.tvm.operators.node import Converter

FAMILIES = (
    activations,
    bounded,
    convolutions,
    elementwise,
    indexing,
    layout,
    normalizations,
    pools,
    products,
    quantization,
    recurrent,
    reductions,
    resize,
    sampling,
)
CONVERTERS: dict[str, Converter] = {name: each for family in FAMILIES for name, each in family.CONVERTERS.items()}
