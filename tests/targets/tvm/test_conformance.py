"""A sample of the operator tests that come with `onnx`; `bench/operator_conformance.py` runs all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("tvm")

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))
from operator_conformance import run_case

PASSED = (
    "test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded",
    "test_batchnorm_epsilon_training_mode",
    "test_bitshift_right_int32_shift_ge_width",
    "test_depthtospace_crd_mode_example",
    "test_einsum_batch_matmul",
    "test_expand_dim_changed",
    "test_gathernd_example_float32",
    "test_gridsample_bicubic",
    "test_isinf_positive",
    "test_layer_normalization_4d_axis0",
    "test_mod_float_edge_cases_fmod_0_float32",
    "test_mvn",
    "test_pow_types_int64_int64",
    "test_reduce_max_bool_inputs",
    "test_resize_downsample_scales_cubic_antialias",
    "test_resize_upsample_sizes_nearest_axes_2_3",
    "test_rms_normalization_2d_axis0",
    "test_scatter_elements_with_axis",
    "test_size_example",
    "test_softmax_axis_1",
    "test_top_k_negative_axis",
)
REFUSED = (
    "test_cast_FLOAT_to_FLOAT8E4M3FN",
    "test_nonzero_example",
    "test_sequence_insert_at_back",
)


@pytest.mark.parametrize("name", PASSED)
def test_passes(name: str) -> None:
    assert run_case(name) == {"verdict": "passed"}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(name: str) -> None:
    assert run_case(name)["verdict"] == "refused"


def test_onnx_runtime_decides_where_it_differs_from_the_test() -> None:
    assert run_case("test_resize_downsample_scales_linear_align_corners") == {"verdict": "as ONNX Runtime"}
