"""Measure the mAP of a detector on the validation pictures: `python evaluate.py detector.onnx --pictures 500`."""

import argparse
import contextlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from coco import results_document, truth_document
from dataset import Sample, split
from decode import Detections, Settings, decode, preprocess
from faster_coco_eval import COCO, COCOeval_faster

MIN_SCORE = 0.01  # low enough for the whole precision-recall curve

Predictor = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Maps the float32 [1, 3, H, W] input to the raw maps, in the order of `Settings.outputs`."""


class Scores(NamedTuple):
    """COCO's mean average precisions, 0..1: at IoU 0.5 and over IoU 0.5 to 0.95."""

    map50: float
    map: float


def main() -> None:
    """Print the scores of an ONNX file."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import
    import onnxruntime

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="ONNX file with its JSON next to it")
    parser.add_argument("--pictures", type=int, default=500)
    options = parser.parse_args()
    settings = Settings.load(options.model.with_suffix(".json"))
    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    scores = evaluate(
        lambda image: session.run(list(settings.outputs), {"image": image}),
        settings,
        split("validation", options.pictures),
    )
    print(f"mAP@0.5 {scores.map50:.4f}, mAP@0.5:0.95 {scores.map:.4f} on {options.pictures} pictures")


def evaluate(predict: Predictor, settings: Settings, samples: Sequence[Sample]) -> Scores:
    """Run `predict` on every sample and score the decoded detections by COCO's rules."""
    detections = []
    for sample in samples:
        outputs = predict(preprocess(sample.picture))
        detections.append(decode([output[0] for output in outputs], settings, min_score=MIN_SCORE))
    return score(samples, detections, settings.classes)


def score(samples: Sequence[Sample], detections: Sequence[Detections], classes: Sequence[str]) -> Scores:
    """Score the detections of each sample by COCO's rules."""
    if not any(len(found.labels) for found in detections):  # the COCO library refuses an empty list
        return Scores(map50=0.0, map=0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(truth_document(samples, classes))
        run = COCOeval_faster(truth, truth.loadRes(results_document(detections)), iouType="bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return Scores(map50=float(run.stats[1]), map=float(run.stats[0]))


if __name__ == "__main__":
    main()
