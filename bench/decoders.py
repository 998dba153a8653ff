"""Every decoder of `edgec-detect` beside Python's, on an emulated board: 50 pictures each, with outputs of their own.

    python bench/decoders.py [--target rpi4] [--pictures 50]

A small network is compiled for the board; its program reads, without running the network, made-up outputs for pictures
of 50 sizes, and what it says is compared with what `edgec run` would say. The inputs that it prepares are compared too.
Prints, for each decoder, the objects and the largest differences: pixels of boxes, corners and key points, scores, the
share of a mask's pixels that differ, levels of 255 of a picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import edgec
from edgec.data.preprocess import place_picture, read_picture
from edgec.preprocessing import Preprocessing
from edgec.targets.tvm.run import SYSROOTS
from tests.support import heads
from tests.support.decoder_cases import CASES, TOLERANCES, distances, prepare, write_manifest

HOW = Preprocessing(resize="letterbox")
UNITS = tuple(TOLERANCES)


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Write PNG pictures of `count` sizes, wider than high: of others Pillow 13 resizes the columns first."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        width, height = int(rng.integers(200, 500)), int(rng.integers(20, 200))
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return sorted(folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", default="rpi4")
    parser.add_argument("--pictures", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = write_pictures(folder / "pictures", arguments.pictures)
        made = edgec.compile(heads.yolov8(), target=arguments.target, output=folder / "artefact", verify=False)
        board = made.manifest.board
        emulator = (
            []
            if arguments.target == "host"
            else ["qemu-aarch64", "-cpu", str(board.emulator_cpu), "-L", str(SYSROOTS[board.architecture][0])]
        )
        program = [*emulator, str(made.folder / "edgec-detect"), str(folder / "pictures"), "--artefact"]

        spec = write_manifest(folder / "inputs", HOW, {})
        subprocess.run([*program, folder / "inputs", "--inputs_to", folder / "inputs"], check=True)
        for path in pictures:
            ours = np.fromfile(folder / "inputs" / f"{path.stem}.f32", np.float32)
            np.testing.assert_array_equal(ours, place_picture(read_picture(path), spec, HOW)[0].ravel())
        print(f"{len(pictures)} inputs: the same to the bit")

        print(f"| decoder | objects | {' | '.join(UNITS)} |")
        print(f"| --- | --- |{' --- |' * len(UNITS)}")
        for case in CASES:
            place = folder / case.replace(" ", "_")
            wanted = prepare(case, place, pictures, HOW, seed=100)
            done = subprocess.run(
                [*program, place, "--outputs_from", place, "--json"], check=True, capture_output=True, text=True
            )
            far = distances([json.loads(line) for line in done.stdout.splitlines()], wanted)
            objects = sum(len(row.get("detections", "1")) for row in wanted)
            print(
                f"| {case} | {objects} | {' | '.join(f'{far[u]:.2g}' if u in far else '' for u in UNITS)} |", flush=True
            )
            assert all(far[unit] <= TOLERANCES[unit] for unit in far), (case, far)


if __name__ == "__main__":
    main()
