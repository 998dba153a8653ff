"""Small made-up networks with the heads of well-known detectors, as their exporters write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgec.model.load import load
from edgec.model.shapes import fix_shapes
from tests.support.models import proto

Array = np.ndarray[Any, Any]

SIDE = 64
"""Of the picture."""
CELLS = (64, 16, 4)
"""Of grids of strides 8, 16 and 32."""


def network(graph: str, metadata: dict[str, str] | None = None, seed: int = 0, **weights: Any) -> ir.Model:
    """Return a network in ONNX text with static shapes.

    Args:
        graph: ONNX text.
        metadata: Entries of its metadata.
        seed: Of the weights given as shapes.
        weights: Initializers: arrays, or shapes of float32 ones at random.
    """
    rng = np.random.default_rng(seed)
    parsed = proto(graph)
    for name, given in weights.items():
        array = (
            given if isinstance(given, np.ndarray) else rng.standard_normal(given, dtype=np.float32) * np.float32(0.1)
        )
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    for key, value in (metadata or {}).items():
        parsed.metadata_props.add(key=key, value=value)
    return fix_shapes(load(parsed).model, {})


def ints(*values: int) -> Array:
    """Return a shape, or axes, as a node takes them."""
    return np.array(values, np.int64)


def _levels(channels: int) -> tuple[str, dict[str, Any]]:
    """Return nodes that make maps p0, p1, p2 of `channels` at strides 8, 16, 32 of the picture x, and their weights."""
    text, weights = "", {}
    for level, stride in enumerate((8, 16, 32)):
        text += f"p{level} = Conv <strides = [{stride}, {stride}]> (x, wp{level})\n"
        weights[f"wp{level}"] = (channels, 3, stride, stride)
    return text, weights


def _grid(anchors: int = 1) -> tuple[Array, Array]:
    """Return centres [1, 2, n] in cells and strides [1, n]."""
    centres, strides = [], []
    for stride in (8, 16, 32):
        count = SIDE // stride
        ys, xs = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
        centres.append(np.tile(np.stack([xs.ravel(), ys.ravel()]) + 0.5, anchors))
        strides.append(np.full(count * count * anchors, stride))
    return np.concatenate(centres, axis=1)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def yolov8(
    classes: int = 2,
    further: int = 0,
    *,
    sigmoid: bool = True,
    prototypes: bool = False,
    bins: int = 4,
    metadata: dict[str, str] | None = None,
    seen: bool = True,
) -> ir.Model:
    """YOLOv8: boxes as expectations of distributions, decoded; class probabilities; coefficients or points behind."""
    n = sum(CELLS)
    text, weights = _levels(4 * bins + classes + further)
    centres, strides = _grid()
    parts = [4 * bins, classes] + ([further] if further else [])
    names = ["box", "cls"] + (["more"] if further else [])
    outputs = f"float[1, {4 + classes + further}, {n}] output0"
    text += "".join(f"r{k} = Reshape (p{k}, flat)\n" for k in range(3)) + "all = Concat <axis = 2> (r0, r1, r2)\n"
    text += f"{', '.join(names)} = Split <axis = 1> (all, parts)\n"
    text += """
      b4 = Reshape (box, dfl_shape)  bt = Transpose <perm = [0, 2, 1, 3]> (b4)  bs = Softmax <axis = 1> (bt)
      bc = Conv (bs, dfl)  b = Reshape (bc, four)
      lt, rb = Split <axis = 1> (b, halves)
      c1 = Sub (centres, lt)  c2 = Add (centres, rb)  sum = Add (c1, c2)  centre = Div (sum, two)  size = Sub (c2, c1)
      cells = Concat <axis = 1> (centre, size)  boxes = Mul (cells, strides)
    """
    text += "scores = Sigmoid (cls)\n" if sigmoid else "scores = Identity (cls)\n"
    last = "boxes, scores"
    if further and not prototypes and further % 3 == 0:
        k = further // 3
        text += "m4 = Reshape (more, points_shape)\n xy, vis = Split <axis = 2> (m4, xy_vis)\n"
        text += "xyc = Mul (xy, pixel)\n" + ("v = Sigmoid (vis)\n" if seen else "v = Identity (vis)\n")
        text += "m5 = Concat <axis = 2> (xyc, v)\n m6 = Reshape (m5, points_flat)\n"
        weights |= {
            "points_shape": ints(1, k, 3, n),
            "xy_vis": ints(2, 1),
            "points_flat": ints(1, further, n),
            "pixel": np.array(2, np.float32),
        }
        last += ", m6"
    elif further == 1:
        text += "as = Sigmoid (more)\n ao = Sub (as, quarter)\n angle = Mul (ao, pi)\n"
        weights |= {"quarter": np.array(0.25, np.float32), "pi": np.array(np.pi, np.float32)}
        last += ", angle"
    elif further:
        last += ", more"
    text += f"output0 = Concat <axis = 1> ({last})\n"
    if prototypes:
        outputs += f", float[1, {further}, {SIDE // 4}, {SIDE // 4}] output1"
        text += "output1 = Conv <strides = [4, 4]> (x, wproto)\n"
        weights["wproto"] = (further, 3, 4, 4)
    weights |= {
        "flat": ints(1, 4 * bins + classes + further, -1), "parts": ints(*parts), "dfl_shape": ints(1, 4, bins, n),
        "dfl": np.arange(bins, dtype=np.float32).reshape(1, bins, 1, 1), "four": ints(1, 4, n), "halves": ints(2, 2),
        "centres": centres, "strides": strides, "two": np.array(2, np.float32),
    }  # fmt: skip
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({outputs}) {{ {text} }}", metadata, **weights)


def yolov5(classes: int = 2) -> ir.Model:
    """YOLOv5: three anchors a cell, decoded."""
    fields = 5 + classes
    text, weights = _levels(3 * fields)
    for level, stride in enumerate((8, 16, 32)):
        side = SIDE // stride
        text += f"""
          a{level} = Reshape (p{level}, split{level})  t{level} = Transpose <perm = [0, 1, 3, 4, 2]> (a{level})
          s{level} = Sigmoid (t{level})  xy{level}, wh{level}, conf{level} = Split <axis = 4> (s{level}, parts)
          xd{level} = Mul (xy{level}, two)  xo{level} = Add (xd{level}, grid{level})
          xs{level} = Mul (xo{level}, stride{level})
          wd{level} = Mul (wh{level}, two)  wq{level} = Pow (wd{level}, two)  ws{level} = Mul (wq{level}, anchor{level})
          y{level} = Concat <axis = 4> (xs{level}, ws{level}, conf{level})  f{level} = Reshape (y{level}, flat)
        """
        ys, xs = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        weights |= {
            f"split{level}": ints(1, 3, fields, side, side), f"stride{level}": np.array(stride, np.float32),
            f"grid{level}": (np.stack([xs, ys], -1)[None, None] - 0.5).astype(np.float32).repeat(3, 1),
            f"anchor{level}": np.full((1, 3, 1, 1, 2), 2.0 * stride, np.float32),
        }  # fmt: skip
    weights |= {"parts": ints(2, 2, 1 + classes), "two": np.array(2, np.float32), "flat": ints(1, -1, fields)}
    text += "output = Concat <axis = 1> (f0, f1, f2)\n"
    shape = f"float[1, {3 * sum(CELLS)}, {fields}] output"
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({shape}) {{ {text} }}", **weights)


def yolox(classes: int = 2, *, sigmoid: bool = True) -> ir.Model:
    """YOLOX: a row for each cell, relative to it."""
    text, weights = "", {}
    for level, stride in enumerate((8, 16, 32)):
        for name, channels in (("reg", 4), ("obj", 1), ("cls", classes)):
            text += f"{name}{level} = Conv <strides = [{stride}, {stride}]> (x, w{name}{level})\n"
            weights[f"w{name}{level}"] = (channels, 3, stride, stride)
        kind = "Sigmoid" if sigmoid else "Identity"
        text += f"so{level} = {kind} (obj{level})\n sc{level} = {kind} (cls{level})\n"
        text += (
            f"c{level} = Concat <axis = 1> (reg{level}, so{level}, sc{level})\n f{level} = Reshape (c{level}, flat)\n"
        )
    text += "all = Concat <axis = 2> (f0, f1, f2)\n output = Transpose <perm = [0, 2, 1]> (all)\n"
    shape = f"float[1, {sum(CELLS)}, {5 + classes}] output"
    return network(
        f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({shape}) {{ {text} }}", flat=ints(1, 5 + classes, -1), **weights
    )


def one_to_one(chosen: int = 5, *, topk: bool = True, shares: bool = False) -> ir.Model:
    """YOLOv10 and YOLO26: the best of a grid, chosen by TopK; corners, score, class; or RT-DETR's queries so."""
    text, weights = _levels(6)
    text += """
      r0 = Reshape (p0, flat)  r1 = Reshape (p1, flat)  r2 = Reshape (p2, flat)  all = Concat <axis = 2> (r0, r1, r2)
      rows = Transpose <perm = [0, 2, 1]> (all)  raw, cls = Split <axis = 2> (rows, parts)
      boxes = BOXES  scores = Sigmoid (cls)  best = ReduceMax <axes = [2], keepdims = 0> (scores)
    """
    text = text.replace("BOXES", "Sigmoid (raw)" if shares else "Mul (raw, stride)")
    if topk:
        text += "s, i = TopK <axis = 1> (best, k)\n"
    else:
        text += "s = Slice (best, zero, k, one)\n i = Identity (first)\n"
        weights |= {"zero": ints(0), "one": ints(1), "first": np.arange(chosen)[None]}
    text += """
      i3 = Unsqueeze (i, last)  i4 = Expand (i3, four)  b = GatherElements <axis = 1> (boxes, i4)
      s3 = Unsqueeze (s, last)  label = Mod (i3, two)  labels = Cast <to = 1> (label)
      output0 = Concat <axis = 2> (b, s3, labels)
    """
    weights |= {"flat": ints(1, 6, -1), "parts": ints(4, 2), "k": ints(chosen), "last": ints(2),
                "two": np.array(2, np.int64), "four": ints(1, chosen, 4),
                "stride": np.array(8, np.float32)}  # fmt: skip
    shape = f"float[1, {chosen}, 6] output0"
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({shape}) {{ {text} }}", **weights)


def chosen(names: tuple[str, str, str] = ("boxes", "labels", "scores"), *, batch: bool = True) -> ir.Model:
    """Boxes, classes and scores as torchvision's detectors return them: as many as NonMaxSuppression chooses."""
    text, weights = _levels(6)
    boxes, labels, scores = names
    picture = f"float[1, 3, {SIDE}, {SIDE}]" if batch else f"float[3, {SIDE}, {SIDE}]"
    text = ("x = Identity (input)" if batch else "x = Unsqueeze (input, zero)") + text
    text += f"""
      r0 = Reshape (p0, flat)  r1 = Reshape (p1, flat)  r2 = Reshape (p2, flat)  all = Concat <axis = 2> (r0, r1, r2)
      rows = Transpose <perm = [0, 2, 1]> (all)  raw, cls = Split <axis = 2> (rows, parts)
      sized = Mul (raw, stride)  prob = Sigmoid (cls)  byclass = Transpose <perm = [0, 2, 1]> (prob)
      index = NonMaxSuppression (sized, byclass, most, overlap, least)
      row = Gather <axis = 1> (index, two)  {labels} = Gather <axis = 1> (index, one)
      flat_boxes = Squeeze (sized, zero)  {boxes} = Gather (flat_boxes, row)
      best = ReduceMax <axes = [0, 2], keepdims = 0> (prob)  {scores} = Gather (best, row)
    """
    weights |= {"flat": ints(1, 6, -1), "parts": ints(4, 2), "zero": ints(0), "stride": np.array(8, np.float32),
                "most": ints(5), "overlap": np.array([0.5], np.float32), "least": np.array([0.1], np.float32),
                "one": np.array(1, np.int64), "two": np.array(2, np.int64)}  # fmt: skip
    outputs = f"float[K, 4] {boxes}, int64[K] {labels}, float[K] {scores}"
    return network(f"g ({picture} input) => ({outputs}) {{ {text} }}", **weights)


def yolov3(classes: int = 2) -> ir.Model:
    """YOLOv3: raw maps."""
    text, weights = _levels(3 * (5 + classes))
    channels = 3 * (5 + classes)
    shapes = ", ".join(f"float[1, {channels}, {SIDE // s}, {SIDE // s}] p{k}" for k, s in enumerate((8, 16, 32)))
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({shapes}) {{ {text} }}", **weights)


def detr(
    queries: int = 10, classes: int = 3, *, topk: bool = True, sigmoid: bool = False, joined: bool = False
) -> ir.Model:
    """RT-DETR: queries chosen by TopK; boxes by a sigmoid, logits of classes."""
    text = """
      p = Conv <strides = [8, 8]> (x, wp)  r = Reshape (p, flat)  rows = Transpose <perm = [0, 2, 1]> (r)
      best = ReduceMax <axes = [2], keepdims = 0> (rows)
    """
    text += "s, i = TopK <axis = 1> (best, k)\n" if topk else "i = Identity (first)\n"
    text += """
      i3 = Unsqueeze (i, last)  i4 = Expand (i3, wide)  q = GatherElements <axis = 1> (rows, i4)
      raw = MatMul (q, wbox)  boxes = Sigmoid (raw)  logits = MatMul (q, wcls)
    """
    boxes, scores = f"float[1, {queries}, 4] boxes", f"float[1, {queries}, {classes}]"
    outputs = f"{boxes}, {scores} logits"
    if sigmoid or joined:
        text += "scores = Sigmoid (logits)\n"
        outputs = f"{boxes}, {scores} scores"
    if joined:
        text += "output0 = Concat <axis = 2> (boxes, scores)\n"
        outputs = f"float[1, {queries}, {4 + classes}] output0"
    weights: dict[str, Any] = {"wp": (8, 3, 8, 8), "flat": ints(1, 8, -1), "k": ints(queries), "last": ints(2),
               "wide": ints(1, queries, 8), "wbox": (8, 4), "wcls": (8, classes),
               "first": np.arange(queries)[None]}  # fmt: skip
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({outputs}) {{ {text} }}", **weights)


def ssd(classes: int = 2, *, priors: bool = True, softmax: bool = True) -> ir.Model:
    """SSD: offsets and scores for four prior boxes a cell, the priors an output."""
    count = 4 * 64
    text = """
      l = Conv <strides = [8, 8]> (x, wl)  lt = Transpose <perm = [0, 2, 3, 1]> (l)  loc = Reshape (lt, four)
      c = Conv <strides = [8, 8]> (x, wc)  ct = Transpose <perm = [0, 2, 3, 1]> (c)  conf = Reshape (ct, kinds)
    """
    outputs = f"float[1, {count}, 4] loc, float[1, {count}, {classes + 1}] scores"
    text += "scores = Softmax <axis = 2> (conf)\n" if softmax else "scores = Identity (conf)\n"
    weights: dict[str, Any] = {"wl": (16, 3, 8, 8), "wc": (4 * (classes + 1), 3, 8, 8), "four": ints(1, -1, 4),
                               "kinds": ints(1, -1, classes + 1)}  # fmt: skip
    if priors:
        outputs += f", float[{count}, 4] priors"
        text += "priors = Identity (known)\n"
        weights["known"] = np.full((count, 4), 0.25, np.float32)
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({outputs}) {{ {text} }}", **weights)


def centernet(classes: int = 3, *, sigmoid: bool = True, swapped: bool = False) -> ir.Model:
    """CenterNet: heat map, sizes, offsets at stride 4."""
    names = ["reg", "wh"] if swapped else ["wh", "reg"]
    text = f"h = Conv <strides = [4, 4]> (x, wh0)  hm = {'Sigmoid' if sigmoid else 'Identity'} (h)\n"
    text += "".join(f"{name} = Conv <strides = [4, 4]> (x, w{name})\n" for name in names)
    outputs = f"float[1, {classes}, 16, 16] hm, " + ", ".join(f"float[1, 2, 16, 16] {name}" for name in names)
    weights = {"wh0": (classes, 3, 4, 4), "wwh": (2, 3, 4, 4), "wreg": (2, 3, 4, 4)}
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({outputs}) {{ {text} }}", **weights)


def dbnet(*, transposed: bool = True) -> ir.Model:
    """DBNet: probability of text behind two transposed convolutions; else a U-Net's mask of one class."""
    text = "p = Conv <strides = [4, 4]> (x, wp)\n"
    weights: dict[str, Any] = {"wp": (8, 3, 4, 4)}
    if transposed:
        text += """
          u = ConvTranspose <strides = [2, 2]> (p, wu)  r = Relu (u)  v = ConvTranspose <strides = [2, 2]> (r, wv)
          maps = Sigmoid (v)
        """
        weights |= {"wu": (8, 8, 2, 2), "wv": (8, 1, 2, 2)}
    else:
        text += 'u = Resize <mode = "linear"> (p, , scales)  v = Conv (u, wv)  maps = Sigmoid (v)\n'
        weights |= {"scales": np.array([1, 1, 4, 4], np.float32), "wv": (1, 8, 1, 1)}
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => (float[1, 1, {SIDE}, {SIDE}] maps) {{ {text} }}", **weights)


def segmenter(end: str, classes: int = 4) -> ir.Model:
    """Semantic segmentation that ends in `argmax`, `softmax` or `resize`."""
    text = 'p = Conv <strides = [4, 4]> (x, wp)\n u = Resize <mode = "linear"> (p, , scales)\n'
    outputs = f"float[1, {classes}, {SIDE}, {SIDE}] y"
    if end == "argmax":
        text += "y = ArgMax <axis = 1, keepdims = 0> (u)\n"
        outputs = f"int64[1, {SIDE}, {SIDE}] y"
    else:
        text += "y = Softmax <axis = 1> (u)\n" if end == "softmax" else "y = Identity (u)\n"
    weights = {"wp": (classes, 3, 4, 4), "scales": np.array([1, 1, 4, 4], np.float32)}
    return network(f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({outputs}) {{ {text} }}", **weights)


def classifier(classes: int = 5, *, softmax: bool = True, metadata: dict[str, str] | None = None) -> ir.Model:
    """A classifier, or what might be an embedding."""
    text = "p = Conv <strides = [8, 8]> (x, wp)  r = Relu (p)  g = GlobalAveragePool (r)  f = Flatten (g)\n"
    text += "l = MatMul (f, w)\n" + ("y = Softmax <axis = 1> (l)" if softmax else "y = Identity (l)")
    shape = f"float[1, {classes}] y"
    return network(
        f"g (float[1, 3, {SIDE}, {SIDE}] x) => ({shape}) {{ {text} }}", metadata, wp=(8, 3, 8, 8), w=(8, classes)
    )


def ctc(characters: int = 6, *, metadata: dict[str, str] | None = None) -> ir.Model:
    """Recognition of a line of text."""
    classes = characters + 1
    text = """
      p = Conv <strides = [32, 8]> (x, wp)  s = Squeeze (p, two)  rows = Transpose <perm = [0, 2, 1]> (s)
      l = MatMul (rows, w)  y = Softmax <axis = 2> (l)
    """
    shape = f"float[1, 12, {classes}] y"
    weights = {"wp": (8, 3, 32, 8), "w": (8, classes), "two": ints(2)}
    return network(f"g (float[1, 3, 32, 96] x) => ({shape}) {{ {text} }}", metadata, **weights)
