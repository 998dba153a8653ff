"""What an application costs beside its network: 1280x720 JPEG frames in, boxes out, by `edgec-detect`.

    python bench/application.py [--targets host rpi4 rpi5] [--networks detector common_det ...] [--frames 6]
                                [--cache FOLDER]

One thread. On the host the median ms of each stage, beside OpenCV's `resize`, `blobFromImage` and `NMSBoxes` in the
same run, and frames a second, one at a time and in a pipeline; for boards the millions of instructions of each stage,
counted under qemu-user. The share is that of preparing the input and decoding the outputs, relative to the network;
reading the JPEG file is told apart. Networks are those of zoo.toml, found in `--cache` or downloaded there, and of
tests/support/real_models.py. yolov8n_doclaynet is a trained YOLOv8n; as such it takes pictures of 1024 x 1024, and is
brought to the usual 640 x 640.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parent / "insn_count"))

from count import regions
from count import run as counted
from scenes import draw_scene
from zoo import fetch
from zoo import networks as of_zoo

import edgec
from edgec.application.predictor import decoder_for_people
from edgec.artefact.artefact import Artefact
from edgec.data.decoders.detections import DetectionDecoder
from edgec.data.preprocess import place_picture, read_picture
from tests.support.real_models import REAL_MODELS

HERE = Path(__file__).parent
STAGES = ("read", "preprocess", "network", "decode")
REST = 1
"""Regions of a picture after its stages: what was printed of it."""
SIZE = (1280, 720)
NETWORKS = ["detector", "common_det", "yolov8n_doclaynet"]
STRIDES = (8, 16, 32)


def model_of(name: str, cache: Path) -> tuple[Any, dict[str, Any]]:
    """Return a network and the options that it is compiled with."""
    if name in REAL_MODELS:
        real = REAL_MODELS[name]
        options: dict[str, Any] = {"shapes": real.shapes}
        if name == "detector":
            options["decoder"] = str(HERE.parent / "examples/detector/detector.json")
        return real.load(), options
    (network,) = (each for each in of_zoo() if each.name == name)
    fetch(network, cache)
    model = onnx.load(network.path(cache))
    return (at_size(model, 640) if name == "yolov8n_doclaynet" else model), {"shapes": network.shapes}


def at_size(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Return an exported YOLOv8 for square pictures of another, smaller size: its grids of cells are cut."""
    sides = model.graph.input[0].type.tensor_type.shape.dim[2:]
    old = sides[0].dim_value
    cells, kept = (sum((side // stride) ** 2 for stride in STRIDES) for side in (old, size))
    for side in sides:
        side.dim_value = size
    for tensor in model.graph.initializer:
        array = to_array(tensor)
        if array.shape[-1:] == (cells,):
            ends = np.cumsum([(old // stride) ** 2 for stride in STRIDES])[:-1]
            grids = [
                part.reshape(*part.shape[:-1], old // stride, -1)[..., : size // stride, : size // stride]
                for part, stride in zip(np.split(array, ends, axis=-1), STRIDES, strict=True)
            ]
            array = np.concatenate([grid.reshape(*grid.shape[:-2], -1) for grid in grids], axis=-1)
        elif array.dtype.kind == "i":
            array = np.where(array == cells, kept, array)
        tensor.CopyFrom(from_array(array, tensor.name))
    for entry in model.metadata_props:
        if entry.key == "imgsz":
            entry.value = f"[{size}, {size}]"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value = kept
    return model


def write_frames(folder: Path, count: int) -> None:
    """Write scenes as JPEG files."""
    folder.mkdir()
    for number in range(count):
        draw_scene(np.random.default_rng(number), *SIZE).save(folder / f"{number}.jpg", quality=90)


def on_host(artefact: Artefact, frames: Path) -> dict[str, float]:
    """Return the median ms of each stage, and frames a second: one at a time, and in a pipeline."""
    command = [artefact.folder / "edgec-detect", frames, "--threads", "1", "--json", "--times"]
    said = []
    for how in (["--latency"], []):
        done = subprocess.run(list(map(str, command + how)), check=True, capture_output=True, text=True)
        said.append(json.loads(done.stdout.splitlines()[-1])["times"])
    rates = {"one at a time": said[0]["per_second"], "pipeline": said[1]["per_second"]}
    return {stage: said[0]["ms"][stage]["median"] for stage in STAGES} | rates


def on_board(artefact: Artefact, frames: Path) -> dict[str, float]:
    """Return the mean millions of instructions of each stage, the first picture left out."""
    command = [artefact.folder / "edgec-detect", frames, "--threads", "1", "--json", "--latency"]
    cpu = artefact.manifest.board.emulator_cpu
    assert cpu is not None
    totals = [region["total"] for region in regions(counted(command, cpu=cpu))]
    width = len(STAGES) + REST
    rows = [totals[begin : begin + len(STAGES)] for begin in range(width, len(totals) - len(STAGES), width)]
    return dict(zip(STAGES, (float(mean) for mean in np.mean(rows, axis=0) / 1e6), strict=True))


def by_opencv(artefact: Artefact, frames: Path) -> tuple[float, float]:
    """Return the median ms of OpenCV's `resize` with `blobFromImage`, and of its `NMSBoxes` on the same candidates."""
    cv2.setNumThreads(1)
    manifest = artefact.manifest
    spec, how = manifest.inputs[0].spec, manifest.options.preprocess
    decoder = decoder_for_people(manifest.application, None, None)
    assert isinstance(decoder, DetectionDecoder)
    size = (spec.shape[3], spec.shape[2])
    preparing, suppressing = [], []
    with edgec.load(artefact.folder, threads=1) as runner:
        for path in sorted(frames.iterdir()):
            picture = read_picture(path)
            bgr = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
            preparing.append(timed(lambda bgr=bgr: prepared(bgr, size, how.resize, how.scale)))
            array, placement = place_picture(picture, spec, how)
            outputs = runner.run({spec.name: array})
            found = decoder.candidates(outputs, placement.network)
            corner, side = found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]
            boxes = np.concatenate([corner, side], axis=1).tolist()
            rest = (found.scores.tolist(), found.labels.tolist(), decoder.min_score, decoder.max_overlap)
            suppressing.append(timed(lambda boxes=boxes, rest=rest: cv2.dnn.NMSBoxesBatched(boxes, *rest)))
    return statistics.median(preparing), statistics.median(suppressing)


def prepared(bgr: Any, size: tuple[int, int], resize: str, scale: float) -> Any:
    """Return a frame as OpenCV's users prepare it."""
    ratio = min(size[0] / bgr.shape[1], size[1] / bgr.shape[0])
    inner = (round(bgr.shape[1] * ratio), round(bgr.shape[0] * ratio)) if resize == "letterbox" else size
    resized = cv2.resize(bgr, inner, interpolation=cv2.INTER_LINEAR)
    below, right = size[1] - inner[1], size[0] - inner[0]
    if below or right:
        edges = (below // 2, below - below // 2, right // 2, right - right // 2)
        resized = cv2.copyMakeBorder(resized, *edges, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return cv2.dnn.blobFromImage(resized, scale, swapRB=True)


def timed(work: Callable[[], Any], runs: int = 5) -> float:
    """Return the least ms of some runs."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begin))
    return min(times)


def row(name: str, target: str, cost: Mapping[str, float], opencv: tuple[float, float] | None) -> str:
    """Return a row of the table."""
    share = (cost["preprocess"] + cost["decode"]) / cost["network"]
    unit = "ms" if opencv else "M instructions"
    others = [f"{each:.2f} ms" for each in opencv] if opencv else ["", ""]
    others += [f"{cost['one at a time']:.1f}, {cost['pipeline']:.1f}" if opencv else ""]
    return " | ".join(
        ["", name, target, *(f"{cost[stage]:.2f} {unit}" for stage in STAGES), f"{share:.1%}", *others, ""]
    )


def main() -> None:
    """Print a row for each network and target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=["host", "rpi4", "rpi5"])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "edgec" / "zoo")
    options = parser.parse_args()
    columns = ["network", "target", *STAGES, "share", "OpenCV resize, blob", "OpenCV NMS", "a second"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_frames(folder / "frames", options.frames)
        for network in options.networks:
            model, compiled = model_of(network, options.cache)
            for target in options.targets:
                output = folder / f"{network}.{target}"
                artefact = edgec.compile(model, target=target, output=output, verify=False, **compiled)
                here = target == "host"
                cost = (on_host if here else on_board)(artefact, folder / "frames")
                opencv = by_opencv(artefact, folder / "frames") if here else None
                print(row(network, target, cost, opencv).strip(), flush=True)


if __name__ == "__main__":
    main()
