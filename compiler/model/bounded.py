"""Operators of the domain `edgec`: selections whose results are padded to a fixed size, with a count of valid entries.

Each is an ONNX function, whose body in standard operators is its specification: any runtime can execute it. Entries
beyond the count are zero.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgec.model.graph import opset

DOMAIN = "edgec"
VERSION = 1

BODIES: dict[str, str] = {
    # For each of `bound` positions, whether it is below the count.
    "Valid": """
    Valid <bound> (count) => (valid) {
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        bound = Constant <value_int: int = @bound> ()
        places = Range (zero, bound, one)
        valid = Less (places, count)
    }""",
    # Indices [rank, size of x] of the elements that are not zero, in row-major order.
    "NonZero": """
    NonZero (x) => (indices, count) {
        found = NonZero (x)
        count = Shape <start = 1, end = 2> (found)
        all = Size (x)
        lack = Sub (all, count)
        none = Constant <value_ints = [0, 0, 0]> ()
        pads = Concat <axis = 0> (none, lack)
        indices = Pad (found, pads)
    }""",
    # Rows (batch, class, box) from the first `number` boxes [batch, boxes, 4] and scores [batch, classes, boxes].
    "NonMaxSuppression": """
    NonMaxSuppression <bound, center_point_box: int = 0> (boxes, scores, most, overlap, least, number)
    => (chosen, count) {
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [2]> ()
        first_boxes = Slice (boxes, zero, number, one)
        first_scores = Slice (scores, zero, number, two)
        found = NonMaxSuppression <center_point_box: int = @center_point_box>
            (first_boxes, first_scores, most, overlap, least)
        count = Shape <start = 0, end = 1> (found)
        all = Constant <value_int: int = @bound> ()
        lack = Sub (all, count)
        pads = Concat <axis = 0> (zero, zero, lack, zero)
        chosen = Pad (found, pads)
    }""",
    # The first `number` regions [regions, 4] as RoiAlign computes them; the other rows are zero.
    "RoiAlign": """
    RoiAlign <coordinate_transformation_mode, mode, output_height, output_width, sampling_ratio, spatial_scale>
    (x, rois, pictures, number) => (aligned) {
        zero = Constant <value_ints = [0]> ()
        first_rois = Slice (rois, zero, number, zero)
        first_pictures = Slice (pictures, zero, number, zero)
        found = RoiAlign <coordinate_transformation_mode: string = @coordinate_transformation_mode,
            mode: string = @mode, output_height: int = @output_height, output_width: int = @output_width,
            sampling_ratio: int = @sampling_ratio, spatial_scale: float = @spatial_scale>
            (x, first_rois, first_pictures)
        all = Shape <start = 0, end = 1> (rois)
        lack = Sub (all, number)
        none = Constant <value_ints = [0, 0, 0, 0]> ()
        rest = Constant <value_ints = [0, 0, 0]> ()
        pads = Concat <axis = 0> (none, lack, rest)
        aligned = Pad (found, pads)
    }""",
}


def add_function(model: ir.Model, name: str) -> None:
    """Define the operator `name` of the domain `edgec` in `model`, unless it is defined already."""
    version = opset(model)
    model.graph.opset_imports[DOMAIN] = VERSION
    if (DOMAIN, name, "") in model.functions:
        return
    text = f'<domain: "{DOMAIN}", opset_import: ["" : {version}]>\n{BODIES[name]}'
    function = ir.serde.deserialize_function(onnx.parser.parse_function(text))
    model.functions[function.identifier()] = function
