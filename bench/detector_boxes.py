"""Boxes of detectors that rank and suppress inside the network, beside ONNX Runtime's, as sets.

    python bench/detector_boxes.py [--cache FOLDER] [--results FILE] [NETWORK ...]

Two-stage detectors, one-stage ones with NonMaxSuppression, and those of TopK, from zoo.toml, are compiled for this
machine and run on scenes. A row is what the outputs say of one detection: box, score, label, keypoints. Each row of
ONNX Runtime's, all optimizations off, is paired with the nearest row of ours, each row once; masks are compared
between the rows of a pair. A row is equal if every number of it is within 1e-4 of the range of its output, and its
label is the same. The same is done with ONNX Runtime's own answers when its optimizations are on and when every sum
inside the network is moved by a few rounding steps: weights are random, and many rows nearly tie there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from zoo import Network, fetch, networks
from zoo_steps import PICTURES, TOLERANCE, Arrays, feeds, fixed_model, session

import edgec
from edgec.reference.noise import ROUNDED, ROUNDING, perturbed
from edgec.reference.session import Reference

DETECTORS = (
    "torchvision_ssdlite320_mobilenet_v3_large",
    "ultralytics_yolov8n_nms",
    "ultralytics_yolov10n",
    "torchvision_fasterrcnn_mobilenet_v3_large_320_fpn",
    "torchvision_fcos_resnet50_fpn",
    "torchvision_retinanet_resnet50_fpn_v2",
    "ultralytics_rtdetr_l",
    "torchvision_maskrcnn_resnet50_fpn",
    "torchvision_keypointrcnn_resnet50_fpn",
)
LONGEST = 128
"""Elements of a row, of one output, by which rows are paired."""
COLUMNS = ("network", "rows", "equal", "worst pair", "missing", "further", "own equal", "own worst pair")


class Pairs(NamedTuple):
    """Rows expected, those that are equal, the largest distance of a pair, and rows that only one side has."""

    rows: int = 0
    equal: int = 0
    worst: float = 0.0
    missing: int = 0
    further: int = 0

    def __add__(self, other: Any) -> Pairs:
        """Return the sums, and the larger distance."""
        sums = [ours + theirs for ours, theirs in zip(self, other, strict=True)]
        return Pairs(*sums)._replace(worst=max(self.worst, other.worst))


def by_rows(outputs: Arrays) -> Arrays:
    """Return the outputs of one picture with the rows along the first axis, as [rows, elements]."""
    found = {name: array[0] if array.ndim > 2 and array.shape[0] == 1 else array for name, array in outputs.items()}
    return {name: array.reshape(len(array), -1) for name, array in found.items()}


def paired(expected: Arrays, given: Arrays) -> Pairs:
    """Pair the rows of `expected` and `given`, the nearest first, and count."""
    wanted, got = by_rows(expected), by_rows(given)
    counts = [{len(array) for array in side.values()} for side in (wanted, got)]
    if any(len(each) != 1 for each in counts):
        raise ValueError(f"outputs of different numbers of rows: {counts}")
    (rows,), (others,) = counts
    short = [name for name, array in wanted.items() if array.shape[1] <= LONGEST]
    distance = np.zeros((rows, others))
    for name in short:
        for row in range(rows):
            apart = _apart(wanted[name], wanted[name][row], got[name])
            distance[row] = np.maximum(distance[row], apart)
    pairs = []
    left = distance.copy()
    for _ in range(min(rows, others)):
        row, other = divmod(int(np.argmin(left)), others)
        pairs.append((row, other))
        left[row], left[:, other] = np.inf, np.inf
        if np.isinf(left).all():
            break
    for name in set(wanted) - set(short):
        for row, other in pairs:
            apart = _apart(wanted[name], wanted[name][row], got[name][other : other + 1])
            distance[row, other] = max(distance[row, other], float(apart[0]))
    found = [float(distance[pair]) for pair in pairs if np.isfinite(distance[pair])]
    equal = sum(bool(each <= TOLERANCE) for each in found)
    return Pairs(rows, equal, max(found, default=0.0), rows - len(found), others - len(found))


def _apart(every: np.ndarray, row: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance of `row` from each of `others`, in units of the range of `every`; labels differ or not."""
    if every.dtype.kind != "f":
        return np.where((others == row).all(axis=1), 0.0, np.inf)
    scale = float(np.ptp(every)) or 1.0
    return np.abs(others.astype(np.float64) - row).max(axis=1, initial=0) / scale


def measured(network: Network, path: Path, scratch: Path) -> dict[str, Any]:
    """Return the pairs of our rows with ONNX Runtime's, and of its rows with its own."""
    request = {"network": {"shapes": network.shapes, "inputs": network.inputs}, "path": str(path)}
    shapes = {name: tuple(dims) for name, dims in network.shapes.items()}
    # Of random inputs such detectors may find nothing at all, which some of them cannot run with.
    settings: dict[str, Any] = {"shapes": shapes, "threads": 1, "inputs": feeds(request, 0)}
    artefact = edgec.compile(path, target="host", output=scratch / "host", **settings)
    plain, optimized = (session(path, optimized=each) for each in (False, True))
    model = fixed_model(request)
    moved = [Reference(perturbed(model, ROUNDING, seed, ROUNDED)).run for seed in range(2)]
    ours, own = Pairs(), Pairs()
    with edgec.load(artefact.folder, threads=1) as runner:
        for seed in range(PICTURES):
            inputs = feeds(request, seed)
            expected = plain(inputs)
            ours += paired(expected, runner.run(inputs))
            others = [paired(expected, run(inputs)) for run in (optimized, *moved)]
            own += min(others, key=lambda each: (each.equal, -each.worst))
    return {"network": network.name, "ours": ours._asdict(), "own": own._asdict()}


def row(record: dict[str, Any]) -> str:
    """Return the row of the table."""
    ours, own = record["ours"], record["own"]
    cells = [ours["rows"], ours["equal"], f"{ours['worst']:.1e}", ours["missing"], ours["further"]]
    return f"| {' | '.join(map(str, [record['network'], *cells, own['equal'], format(own['worst'], '.1e')]))} |"


def main() -> None:
    """Measure what is not in the results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=DETECTORS)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "edgec-zoo")
    parser.add_argument("--results", type=Path, default=Path("detector_boxes.jsonl"))
    options = parser.parse_args()
    lines = options.results.read_text(encoding="utf-8").splitlines() if options.results.exists() else []
    known = {record["network"]: record for record in map(json.loads, lines)}
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
    listed = {network.name: network for network in networks()}
    for name in options.networks:
        if name not in known:
            fetch(listed[name], options.cache)
            with tempfile.TemporaryDirectory(prefix="boxes-") as scratch:
                known[name] = measured(listed[name], listed[name].path(options.cache), Path(scratch))
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[name]) + "\n")
        print(row(known[name]), flush=True)


if __name__ == "__main__":
    main()
