"""The demo detector: its pictures are the same everywhere, its file is what the passes' tests rely on."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "detector"


def python(code: str) -> str:
    """Run code with the example's folder as its own, as its scripts are run."""
    return subprocess.check_output([sys.executable, "-c", code], text=True, cwd=FOLDER)


def test_pictures_are_the_same_on_every_machine() -> None:
    code = (
        "import hashlib, dataset as d; s = d.SPLIT_SEEDS['validation'];"
        "print(hashlib.sha256(b''.join(d.render(s, i).picture.tobytes() for i in range(4))).hexdigest())"
    )
    assert python(code).strip()[:16] == "db8678cf2f9d068c"


def test_batch_norms_are_unfolded_and_the_file_is_small() -> None:
    model = onnx.load(FOLDER / "detector.onnx")
    ops = Counter(node.op_type for node in model.graph.node)
    assert ops["BatchNormalization"] == 56
    assert [output.name for output in model.graph.output] == ["head_8", "head_16", "head_32"]
    assert (FOLDER / "detector.onnx").stat().st_size < 4 << 20


def test_only_training_needs_torch() -> None:
    python("import sys, dataset, decode, draw; assert 'torch' not in sys.modules")


@pytest.mark.slow
def test_accuracy_is_as_the_readme_says() -> None:
    """On 200 of the 500 pictures: the whole set is for `evaluate.py`."""
    pytest.importorskip("faster_coco_eval")
    process = subprocess.run(
        [sys.executable, "evaluate.py", "detector.onnx", "--pictures", "200"],
        check=True,
        capture_output=True,
        text=True,
        cwd=FOLDER,
    )
    map50 = float(process.stdout.split("mAP@0.5 ")[1].split(",")[0])
    assert 0.80 <= map50 <= 0.95


@pytest.mark.slow
def test_drawing_is_reproducible(tmp_path: Path) -> None:
    code = (
        "import sys, onnxruntime; from PIL import Image; from dataset import split; from pathlib import Path;"
        "from decode import *; from draw import draw; settings = Settings.load(Path('detector.json'));"
        "picture = split('validation', 1)[0].picture; session = onnxruntime.InferenceSession('detector.onnx');"
        "outputs = session.run(list(settings.outputs), {'image': preprocess(picture)});"
        "found = decode([o[0] for o in outputs], settings);"
        "print(len(found.labels)); draw(Image.fromarray(picture), found, settings.classes)"
    )
    assert int(python(code)) >= 1
