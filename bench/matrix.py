"""`edgec.matrix` over six networks, six boards and three precisions: docs/results/matrix.md.

    python bench/matrix.py [--output docs/results/matrix.md] [--folder FOLDER] [--peers onnxruntime openvino]

The pictures, which calibrate int8 without repair and give the error, are rendered (quantization_tasks.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quantization_tasks import TASKS

import edgec

BOARDS = ("host", "rpi4", "rpi5", "jetson-nano", "jetson-tx2", "jetson-orin-nano")
NETWORKS = ("rec", "cls", "orientation", "det-320", "common_det", "detector")
PICTURES = 8
HEADER = """# Networks, boards and precisions

What `edgec matrix` says of six networks on six boards: `python bench/matrix.py --output docs/results/matrix.md`.
{pictures} rendered pictures calibrate int8 (`minmax`, no repair). The metric is the error of the outputs on the same
pictures, as a fraction of their length: for `host` of the artefact, for int8 on other boards of the quantized network
in ONNX Runtime. Times of `host` are measured here with {threads} threads, those of other boards are estimates
([how good they are](estimates.md)). `error` is the largest difference from ONNX Runtime, as a fraction of the range of
an output; artefacts for other boards were not run.

"""


def main() -> None:
    """Make the table, or what of it is missing in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("matrix"))
    parser.add_argument("--peers", nargs="*", default=["onnxruntime"])
    options = parser.parse_args()
    models = {}
    for name in options.networks:
        task = TASKS[name]
        model = options.folder / "models" / f"{name}.onnx"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_bytes(task.path.read_bytes())
        models[str(model)] = {
            "shapes": {each.name: tuple(each.shape) for each in task.load().graph.inputs},
            "data": task.samples("test", PICTURES),
            "decoder": task.decoder and task.decoder.replace(str(task.path), str(model)),
            "quantize": {"calibrator": "minmax", "repair": False},
        }
    table = edgec.matrix(
        models,
        targets=BOARDS,
        precisions=("fp32", "fp16", "int8"),
        output=options.folder,
        peers=options.peers,
        progress=lambda stage: print(stage, file=sys.stderr, flush=True),
    )
    threads = next(
        edgec.Artefact.open(cell.artefact).manifest.threads for cell in table.cells if cell.time == "measured"
    )
    text = HEADER.format(pictures=PICTURES, threads=threads) + table.markdown()
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
