"""One peer's quantized model: run by `quantization.py` in an environment that has the peer (NNCF, AIMET) installed.

`python quantization_peers.py PEER MODEL.onnx CALIBRATION.npz OUTPUT.onnx`; the .npz holds the samples of one input.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

OPSET = 18
MAC_LAYERS = ["Conv", "Gemm", "MatMul"]
AT_ONCE = 8
"""Samples whose activations ONNX Runtime's calibration holds together; their number is a multiple of it."""


def main() -> None:
    peer, model, data, output = sys.argv[1:5]
    samples = np.load(data)["samples"]
    name = onnx.load(model).graph.input[0].name
    kind, _, variant = peer.partition("-")
    {"nncf": nncf, "ort": onnxruntime, "aimet": aimet}[kind](variant, model, name, samples, output)


def nncf(variant: str, model: str, name: str, samples: np.ndarray, output: str) -> None:
    """Post-training quantization, preset mixed (asymmetric activations), with bias correction of both kinds."""
    import nncf as library  # noqa: PLC0415

    data = library.Dataset([{name: sample[None]} for sample in samples])
    proto = onnx.version_converter.convert_version(onnx.load(model), OPSET)
    fast = variant != "full"
    quantized = library.quantize(
        proto, data, subset_size=len(samples), preset=library.QuantizationPreset.MIXED, fast_bias_correction=fast
    )
    onnx.save(quantized, output)


def onnxruntime(variant: str, model: str, name: str, samples: np.ndarray, output: str) -> None:
    """Static QDQ quantization of the MAC layers, u8s8, per channel; the data goes in a few samples at a time."""
    from onnxruntime import quantization as library  # noqa: PLC0415, TID251
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415, TID251

    class Reader(library.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(samples)

        def __len__(self) -> int:
            return len(samples)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._left = iter(samples[start_index:end_index])

        def get_next(self) -> Any:
            sample = next(self._left, None)
            return None if sample is None else {name: sample[None]}

    with tempfile.TemporaryDirectory() as folder:
        newer, prepared = str(Path(folder) / "newer.onnx"), str(Path(folder) / "prepared.onnx")
        onnx.save(onnx.version_converter.convert_version(onnx.load(model), OPSET), newer)
        quant_pre_process(newer, prepared, skip_symbolic_shape=True)  # shapes are fixed, ONNX finds them
        library.quantize_static(
            prepared,
            output,
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            op_types_to_quantize=MAC_LAYERS,
            per_channel=True,
            activation_type=library.QuantType.QUInt8,
            weight_type=library.QuantType.QInt8,
            calibrate_method={
                "minmax": library.CalibrationMethod.MinMax,
                "entropy": library.CalibrationMethod.Entropy,
                "percentile": library.CalibrationMethod.Percentile,
            }[variant],
            extra_options={"CalibStridedMinMax": AT_ONCE},
        )


def aimet(variant: str, model: str, name: str, samples: np.ndarray, output: str) -> None:
    """Simulation with the default (tf-enhanced) scheme, per channel; exported as ONNX Q/DQ."""
    from aimet_onnx import QuantizationSimModel  # noqa: PLC0415

    simulation = QuantizationSimModel(onnx.version_converter.convert_version(onnx.load(model), OPSET))
    simulation.compute_encodings([{name: sample[None]} for sample in samples])
    onnx.save(simulation.to_onnx_qdq(), output)


if __name__ == "__main__":
    main()
