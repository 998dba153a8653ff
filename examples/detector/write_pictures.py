"""Write pictures as PNG files with their boxes in COCO format: `python write_pictures.py calibration --count 128`."""

import argparse
import json
from pathlib import Path

from coco import truth_document
from dataset import CLASSES, SPLIT_SEEDS, split
from PIL import Image


def main() -> None:
    """Write the first pictures of a split to a folder named after it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("split", choices=SPLIT_SEEDS)
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--output", type=Path, default=Path("pictures"), help="folder of the split's folder")
    options = parser.parse_args()
    folder = options.output / options.split
    folder.mkdir(parents=True, exist_ok=True)
    samples = split(options.split, options.count)
    document = truth_document(samples, CLASSES)
    for sample, image in zip(samples, document["images"], strict=True):
        Image.fromarray(sample.picture).save(folder / image["file_name"])
    (folder / "annotations.json").write_text(json.dumps(document), encoding="utf-8")
    print(f"wrote {len(samples)} pictures and annotations.json to {folder}")


if __name__ == "__main__":
    main()
