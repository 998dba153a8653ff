"""README.txt in an artefact: what it is, how to run it, where it came from."""

from __future__ import annotations

from pathlib import Path

import onnx

import edgec
from edgec.artefact.files import SUMS
from edgec.artefact.manifest import Manifest, read_manifest
from edgec.artefact.readme import README, write_readme

BOARD = str(Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml")
MODEL = onnx.parser.parse_model("""
<ir_version: 8, opset_import: ["" : 13]>
two (float[1, 4] a, float[1, 4] b) => (float[1, 4] sum)
{ sum = Add (a, b) }
""")


def test_it_is_listed_and_says_what_the_folder_is(tmp_path: Path) -> None:
    folder = edgec.compile(MODEL, target=BOARD, output=tmp_path / "made").folder
    manifest = read_manifest(folder)
    text = (folder / README).read_text()
    assert README in {entry.path for entry in manifest.files}
    assert f"  {README}\n" in (folder / SUMS).read_text()
    for part in (manifest.board.title, "a: float32 [1, 4]", "sum: float32 [1, 4]", manifest.source.sha256):
        assert part in text
    assert f"edgec {edgec.__version__}" in text


def test_the_back_end_says_how_it_is_run(tmp_path: Path) -> None:
    manifest = edgec.compile(MODEL, target=BOARD, output=tmp_path / "made").manifest
    write_readme(Manifest.model_validate(manifest.model_dump() | {"commands": {"Check it": "./program"}}), tmp_path)
    assert "  Check it:\n      ./program\n" in (tmp_path / README).read_text()


def test_jetson_artefacts_name_their_script(tmp_path: Path) -> None:
    made = edgec.compile(MODEL, target="jetson-tx2", output=tmp_path / "made")
    assert list(made.manifest.commands.values()) == ["./build.sh"]
    assert "./build.sh" in (made.folder / README).read_text()
