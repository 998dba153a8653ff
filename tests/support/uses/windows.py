"""Uses of convolutions, pools and products."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.uses.use import Draw, Use

EQUATIONS = (
    "ij,jk->ik", "bij,bjk->bik", "ij->ji", "ij->i", "ij->", "ii->i", "ii", "i,j->ij", "bhid,bhjd->bhij", "ijk,jil->kl",
    "...ij,...jk->...ik", "bij,j->bi", "ab,cd->abcd", "ij,kj", "bqhd,bkhd->bhqk", "abc,cd,de->abe", "...i->...",
    "nchw,nc->nhw", "i,i->", "aij,ajk->ik", "nkctv,kvw->nctw", "BGHID,BGHJD->BGHIJ", "...B,Bb->...b", "aB,Ba",
)  # fmt: skip


def window(d: Draw, spatial: int, *, dilated: bool = True, auto: bool = True) -> dict[str, Any]:
    kernel = [d.integer(1, 3) for _ in range(spatial)]
    attributes: dict[str, Any] = {"kernel_shape": kernel}
    if d.flag(0.6):
        attributes["strides"] = [d.integer(1, 3) for _ in range(spatial)]
    if dilated and d.flag(0.4):
        attributes["dilations"] = [d.integer(1, 2) for _ in range(spatial)]
    if auto and d.flag(0.25):
        attributes["auto_pad"] = d.one("SAME_UPPER", "SAME_LOWER", "VALID")
    elif d.flag(0.6):
        attributes["pads"] = [d.integer(0, kernel[at % spatial] - 1) for at in range(2 * spatial)]
    return attributes


def conv(d: Draw) -> Use:
    spatial, kind = d.one(1, 2, 2, 2, 3), d.one("float32", "float32", "float64")
    groups = d.one(1, 1, 2, 4)
    channels, filters = groups * d.integer(1, 3), groups * d.integer(1, 3)
    attributes = window(d, spatial)
    kernel = attributes["kernel_shape"]
    x = d.array((d.integer(1, 2), channels, *(d.integer(5, 9) for _ in range(spatial))), kind)
    inputs = [x, d.array((filters, channels // groups, *kernel), kind, -1, 1)]
    if d.flag():
        inputs.append(d.array((filters,), kind))
    if d.flag(0.3):
        del attributes["kernel_shape"]
    if groups > 1 or d.flag(0.2):
        attributes["group"] = groups
    return d.made("Conv", inputs, attributes, weights=[1, 2])


def conv_transpose(d: Draw) -> Use:
    spatial, kind = d.one(1, 2, 2, 2, 3), "float32"
    groups = d.one(1, 1, 2)
    channels, filters = groups * d.integer(1, 3), d.integer(1, 3)
    attributes = window(d, spatial)
    kernel, strides = attributes["kernel_shape"], attributes.get("strides", [1] * spatial)
    if d.flag(0.3):
        attributes["output_padding"] = [d.integer(0, step - 1) for step in strides]
    elif d.flag(0.2):
        attributes.pop("pads", None)
        attributes["output_shape"] = [5 * step + d.integer(-1, 1) for step in strides]
        attributes["auto_pad"] = d.one("SAME_UPPER", "SAME_LOWER", "NOTSET")
    x = d.array((d.integer(1, 2), channels, *(5,) * spatial), kind)
    inputs = [x, d.array((channels, filters, *kernel), kind, -1, 1)]
    if d.flag():
        inputs.append(d.array((filters * groups,), kind))
    return d.made("ConvTranspose", inputs, {**attributes, "group": groups}, weights=[1, 2])


def conv_integer(d: Draw) -> Use:
    attributes = window(d, 2)
    x = d.array((1, 3, 7, 8), "uint8", 0, 255)
    kind = d.one("uint8", "int8")
    weights = d.array((4, 3, *attributes["kernel_shape"]), kind, 0 if kind == "uint8" else -100, 100)
    inputs: list[Any] = [x, weights, d.array((), "uint8", 0, 200) if d.flag() else None]
    inputs.append(d.array((), kind, 0, 9) if d.flag() else None)
    return d.made("ConvInteger", inputs, attributes, constants=[3], weights=[1, 2])


def deform_conv(d: Draw) -> Use:
    groups, offset_groups = d.one(1, 2), d.one(1, 2)
    rows, columns = d.integer(1, 3), d.integer(1, 3)
    strides, pads, dilations = (
        [d.integer(1, 2) for _ in range(2)],
        [d.integer(0, 1) for _ in range(4)],
        [d.one(1, 2)] * 2,
    )
    x = d.array((d.integer(1, 2), 4, 8, 7))
    out = [
        (size + pads[axis] + pads[axis + 2] - ((kernel - 1) * dilations[axis] + 1)) // strides[axis] + 1
        for axis, (size, kernel) in enumerate(((8, rows), (7, columns)))
    ]
    offset = d.array((len(x), offset_groups * 2 * rows * columns, *out), "float32", -2, 2)
    inputs: list[Any] = [x, d.array((4, 4 // groups, rows, columns)), offset, d.array((4,)) if d.flag() else None]
    inputs.append(d.array((len(x), offset_groups * rows * columns, *out), "float32", 0, 1) if d.flag() else None)
    attributes = {
        "group": groups,
        "offset_group": offset_groups,
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
    }
    return d.made("DeformConv", inputs, attributes, weights=[1, 3])


def col_to_im(d: Draw) -> Use:
    spatial = d.one(1, 2, 2, 3)
    attributes = window(d, spatial, auto=False)
    kernel = attributes.pop("kernel_shape")
    size = [d.integer(5, 8) for _ in range(spatial)]
    pads, ones = attributes.get("pads", [0] * 2 * spatial), [1] * spatial
    blocks = 1
    for axis in range(spatial):
        reach = (kernel[axis] - 1) * attributes.get("dilations", ones)[axis] + 1
        free = size[axis] + pads[axis] + pads[axis + spatial] - reach
        blocks *= free // attributes.get("strides", ones)[axis] + 1
    x = d.array((d.integer(1, 2), 2 * int(np.prod(kernel)), blocks))
    return d.made("Col2Im", [x, np.array(size), np.array(kernel)], attributes, constants=[1, 2])


def pool(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        spatial = d.one(1, 2, 2, 2, 3)
        dilated = (op_type == "MaxPool" and d.opset >= 10) or (op_type == "AveragePool" and d.opset >= 19)
        attributes = window(d, spatial, dilated=dilated or (op_type == "LpPool" and d.opset >= 18))
        if d.flag(0.4) and "auto_pad" not in attributes and (op_type != "LpPool" or d.opset >= 18) and d.opset >= 10:
            attributes["ceil_mode"] = 1
        outputs, kind = 1, "float32"
        if op_type == "AveragePool":
            attributes.update(d.maybe(count_include_pad=d.one(0, 1)))
        elif op_type == "LpPool":
            attributes.update(d.maybe(p=d.one(1, 2, 3)))
        else:
            kind = d.one("float32", "float32", "float64", *(("uint8", "int8") if d.opset >= 12 else ()))
            outputs = d.one(1, 1, 2) if d.opset >= 8 else 1
            attributes.update(d.maybe(storage_order=d.one(0, 1)) if outputs == 2 else {})
        x = d.array((d.integer(1, 2), 3, *(d.integer(5, 9) for _ in range(spatial))), kind, -9, 9)
        return d.made(op_type, [x], attributes, outputs=outputs)

    return draw


def global_pool(op_type: str) -> Callable[[Draw], Use]:
    def draw(d: Draw) -> Use:
        x = d.array(d.shape(3), d.one("float32", "float32", "float64"))
        return d.made(op_type, [x], d.maybe(p=d.one(1, 2, 3)) if op_type == "GlobalLpPool" else {})

    return draw


def max_unpool(d: Draw) -> Use:
    x = d.array((1, 2, 3, 3))
    kernel = d.integer(2, 3)
    size = 2 * (3 - 1) + kernel
    places = np.sort(d.random.permutation(2 * size * size)[:18]).reshape(1, 2, 3, 3)
    inputs: list[Any] = [x, places.astype(np.int64)]
    if d.flag(0.3):
        inputs.append(np.array([1, 2, size + 1, size + 2]))
    return d.made("MaxUnpool", inputs, {"kernel_shape": [kernel] * 2, "strides": [2, 2]}, constants=[2])


def matmul(d: Draw) -> Use:
    kind = d.one("float32", "float32", "float64", *(("int32", "int64") if d.opset >= 9 else ()))
    k = d.integer(1, 9)
    batch = d.shape(0, 2, 4)
    left = (k,) if d.flag(0.15) else (*d.broadcast(batch), d.integer(1, 6), k)
    right = (k,) if d.flag(0.15) else (*(batch if d.flag() else d.broadcast(batch)), k, d.integer(1, 6))
    return d.made("MatMul", [d.array(left, kind), d.array(right, kind)], weights=[d.one(0, 1)])


def gemm(d: Draw) -> Use:
    kind, (m, n, k) = d.one("float32", "float32", "float64"), (d.integer(1, 6) for _ in range(3))
    trans_a, trans_b = d.one(0, 1), d.one(0, 1)
    inputs = [d.array((k, m) if trans_a else (m, k), kind), d.array((n, k) if trans_b else (k, n), kind)]
    if d.opset < 11 or d.flag(0.7):
        inputs.append(d.array(d.one((m, n), (n,), (1, n), (m, 1), (1,), ()), kind))
    attributes = d.maybe(alpha=d.one(1.0, 0.5), beta=d.one(1.0, 0.25, 0.0))
    return d.made("Gemm", inputs, {**attributes, "transA": trans_a, "transB": trans_b}, weights=[1, 2])


def matmul_integer(d: Draw) -> Use:
    m, n, k = (d.integer(1, 6) for _ in range(3))
    batch = d.shape(0, 1, 3)
    kinds = d.one("uint8", "int8"), d.one("uint8", "int8")
    a = d.array((*batch, m, k), kinds[0], -100, 100)
    b = d.array((k, n) if d.flag() else (*batch, k, n), kinds[1], -100, 100)
    inputs: list[Any] = [a, b, d.array(d.one((), (1,)), kinds[0], 0, 9) if d.flag() else None]
    inputs.append(d.array(d.one((), (n,)), kinds[1], 0, 9) if d.flag() else None)
    return d.made("MatMulInteger", inputs, weights=[1, 2, 3])


def einsum(d: Draw) -> Use:
    equation = d.one(*EQUATIONS)
    sizes = {letter: d.integer(1, 4) for letter in string.ascii_letters}
    extra, inputs = d.shape(0, 2, 3), []
    for term in equation.split("->")[0].split(","):
        shape = [sizes[letter] for letter in term.replace("...", "")]
        inputs.append(d.array((*(extra if "..." in term else ()), *shape), d.one("float32", "float32")))
    return d.made("Einsum", inputs, {"equation": equation}, weights=[len(inputs) - 1] if len(inputs) > 1 else [])


def roi_align(d: Draw) -> Use:
    regions = d.integer(1, 4)
    corners = d.array((regions, 2), "float32", -2, 12)
    boxes = np.concatenate([corners, corners + d.array((regions, 2), "float32", 0.5, 8)], axis=1)
    attributes = d.maybe(
        output_height=d.integer(1, 4), output_width=d.integer(1, 4), spatial_scale=d.one(0.5, 1.0, 0.25)
    )
    attributes |= d.maybe(sampling_ratio=d.integer(0, 3), mode=d.one("avg", "max"))
    if d.opset >= 16:
        attributes |= d.maybe(coordinate_transformation_mode=d.one("half_pixel", "output_half_pixel"))
    batch = d.array((regions,), "int64", 0, 1)
    return d.made("RoiAlign", [d.array((2, 3, 10, 9)), boxes, batch], attributes, weights=[2])


def max_roi_pool(d: Draw) -> Use:
    regions = d.integer(1, 3)
    corners = d.array((regions, 2), "int64", 0, 6)
    boxes = np.concatenate(
        [d.array((regions, 1), "int64", 0, 1), corners, corners + d.array((regions, 2), "int64", 0, 5)], 1
    )
    attributes = {"pooled_shape": [d.integer(1, 3), d.integer(1, 3)], **d.maybe(spatial_scale=d.one(1.0, 0.5))}
    return d.made("MaxRoiPool", [d.array((2, 3, 10, 9)), boxes.astype(np.float32)], attributes)


GENERATORS: dict[str, Callable[[Draw], Use]] = {
    **{name: pool(name) for name in ("AveragePool", "LpPool", "MaxPool")},
    **{name: global_pool(name) for name in ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")},
    "Col2Im": col_to_im,
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "MaxRoiPool": max_roi_pool,
    "MaxUnpool": max_unpool,
    "RoiAlign": roi_align,
}
