"""`edgec report`: a page complete in itself that fits a phone; looked at by a real browser where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgec
from edgec.artefact.artefact import Artefact, Latency
from edgec.artefact.evidence import keep
from edgec.errors import BadArtefact
from edgec.report import charts
from edgec.report.findings import FILE_NAME, Answer, Box, Curve, RangeHistogram
from edgec.report.page import render
from edgec.report.report import Report
from edgec.targets.emulated_time import Counts, EmulatedTime
from tests.support.copy_board import copy_board
from tests.support.models import model as parse
from tests.support.models import random_weights, saved

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-headless-shell") or shutil.which("chromium-browser")
TITLE = "Board <script>alert(1)</script> & more"
CLASSIFIER = """
net (float[1, 3, 16, 16] image) => (float[1, 4] scores)
{
  a = Conv <pads = [1, 1, 1, 1]> (image, wa)
  b = Relu (a)
  c = Conv <pads = [1, 1, 1, 1]> (b, wc)
  d = Relu (c)
  e = GlobalAveragePool (d)
  f = Flatten (e)
  scores = MatMul (f, wf)
}
"""


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """Return a network compressed on labelled pictures, so that every section of the page has something to show."""
    folder = tmp_path_factory.mktemp("report")
    board = copy_board(folder / "board.toml", TITLE)
    weights = random_weights(0, wa=(16, 3, 3, 3), wc=(16, 16, 3, 3), wf=(16, 4))
    path = saved(parse(CLASSIFIER, weights, opset=18), folder / "net.onnx")
    rng = np.random.default_rng(0)
    for index in range(24):
        place = folder / "pictures" / f"class {index % 4}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), np.uint8)).save(place / f"{index}.png")
    made = edgec.compile(
        path, target=board, output=folder / "out", data=str(folder / "pictures"),
        metric="top1", max_loss=0.5, precision="int8", prune={},
    )  # fmt: skip
    keep(made.folder, "verification", made.verify())
    keep(made.folder, "latency", made.bench(runs=2, warmup=0))
    return made


@pytest.fixture(scope="module")
def page(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    Report(artefact).save(path)
    return path


def test_every_section_is_there_and_nothing_is_fetched(page: Path) -> None:
    text = page.read_text()
    sections = re.findall(r'<section id="(\w+)">', text)
    assert sections == ["comparison", "steps", "pictures", "sensitivity", "layers", "ranges", "passes", "settings"]
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "<script" not in text
    assert "Board &lt;script&gt;" in text


def test_it_says_what_was_measured(artefact: Artefact, page: Path) -> None:
    compression = artefact.manifest.compression
    assert compression is not None
    text = page.read_text()
    assert f"top1, {compression.held_out} held-out samples" in text
    assert "measured latency" in text
    assert text.count('class="curve"') == 2
    assert text.count("dB</td>") == 3


def test_it_opens_with_the_original_beside_the_artefact(page: Path) -> None:
    opening = page.read_text().partition('id="comparison"')[2].partition("</section>")[0]
    names = re.findall(r'<div class="name">([^<]*)</div>', opening)
    assert names[0].startswith("top1, ") and names[-1] == "weights"
    assert opening.count(">original<") == opening.count(">artefact<") == len(names)
    assert re.search(r"prune: .*; quantize: weights −\d+", opening)


def test_without_labels_it_shows_how_far_the_outputs_agree(tmp_path: Path) -> None:
    weights = random_weights(0, wa=(16, 3, 3, 3), wc=(16, 16, 3, 3), wf=(16, 4))
    source = saved(parse(CLASSIFIER, weights, opset=18), tmp_path / "net.onnx")
    np.save(tmp_path / "data.npy", np.random.default_rng(0).random((4, 3, 16, 16), np.float32))
    board = copy_board(tmp_path / "board.toml", TITLE)
    made = edgec.compile(
        source, target=board, output=tmp_path / "out", data=str(tmp_path / "data.npy"), precision="int8"
    )
    text = render(made)
    assert "agreement with the original" in text and "4 samples without labels" in text


def test_an_artefact_that_was_not_compressed_has_a_report_too(artefact: Artefact, tmp_path: Path) -> None:
    board = copy_board(tmp_path / "board.toml", TITLE)
    source = saved(parse("n (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }", {}, opset=18), tmp_path / "n.onnx")
    text = render(edgec.compile(source, target=board, output=tmp_path / "out"))
    assert re.findall(r'<section id="(\w+)">', text) == ["comparison", "layers", "passes", "settings"]


def test_times_of_an_emulator_are_not_called_measured_latency(tmp_path: Path) -> None:
    board = copy_board(tmp_path / "board.toml", TITLE)
    source = saved(parse("n (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }", {}, opset=18), tmp_path / "n.onnx")
    made = edgec.compile(source, target=board, output=tmp_path / "out")
    keep(made.folder, "latency", Latency("qemu-aarch64 -cpu cortex-a72", 4, 20, 710.0, 720.0, 700.0))
    text = render(made)
    assert "measured latency" not in text and "time under emulation" in text


def test_a_time_estimated_by_emulation_has_its_band_and_is_not_called_measured(tmp_path: Path) -> None:
    board = copy_board(tmp_path / "board.toml", TITLE)
    source = saved(parse("n (float[1, 3] x) => (float[1, 3] y) { y = Relu (x) }", {}, opset=18), tmp_path / "n.onnx")
    made = edgec.compile(source, target=board, output=tmp_path / "out")
    counts = Counts(2_000_000, 1_000_000, cycles=1e6, l1_misses=2000, memory_misses=100)
    basis = "published times of this board"
    keep(made.folder, "emulated_time", EmulatedTime("rpi4", "cortex-a72", 1500, 12.34, 11.1, 13.9, basis, counts))
    text = render(made)
    assert "measured latency" not in text
    card = text[text.index("estimated by emulation, not measured") :]
    assert '<div class="value">12.3 <small>ms</small></div>' in card
    assert (
        "one thread; 90 % of times lie between 11.1 and 13.9 ms; constants from published times of this board" in card
    )
    keep(made.folder, "latency", Latency("this machine", 4, 20, 7.1, 7.2, 7.0))
    assert "measured latency" in render(made)


def test_inputs_that_are_no_pictures_are_not_drawn(tmp_path: Path) -> None:
    """Six bands of a satellite, say: no colours, but compressed all the same."""
    weights = random_weights(0, wa=(16, 6, 3, 3), wc=(16, 16, 3, 3), wf=(16, 4))
    source = saved(parse(CLASSIFIER.replace("1, 3,", "1, 6,"), weights, opset=18), tmp_path / "net.onnx")
    bands = np.random.default_rng(0).random((24, 6, 16, 16), np.float32)
    np.savez(tmp_path / "bands.npz", image=bands, labels=np.arange(24) % 4)
    made = edgec.compile(
        source, target=copy_board(tmp_path / "board.toml", TITLE), output=tmp_path / "out",
        data=str(tmp_path / "bands.npz"), metric="top1", max_loss=0.5, precision="int8",
    )  # fmt: skip
    assert 'id="pictures"' not in render(made)


def test_an_artefact_without_findings_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    shutil.copytree(artefact.folder, tmp_path / "old")
    (tmp_path / "old" / FILE_NAME).unlink()
    with pytest.raises(BadArtefact, match="no findings to report"):
        render(Artefact(tmp_path / "old", artefact.manifest))


def test_drawings_take_what_is_degenerate() -> None:
    flat = Curve(name="<a>", units=4, removed=0, ratios=(0.1, 0.9), losses=(0.0, -0.1))
    assert "&lt;a&gt;" in charts.curves([flat], accepted=0.1)
    one = RangeHistogram(tensor="x", start=0.0, width=1.0, counts=(5,), low=0.0, high=0.0, method="mse")
    assert charts.histogram(one).count('class="bars') == 1
    box = Box(corners=(0.0, 0.0, 1.0, 1.0), label="<b>", score=0.5)
    assert "&lt;b&gt; 0.50" in charts.overlay(Answer(boxes=(box,)), (160, 160), ["<b>"])
    assert charts.overlay(Answer(), (160, 160), []) == ""


# In a browser ---------------------------------------------------------------------------------------------------------

FRAME = """<!doctype html><body><iframe id="frame" width="{width}" height="800" srcdoc="{page}"></iframe><script>
addEventListener("load", () => {{
  const inner = frame.contentWindow, root = inner.document.documentElement
  const fetched = inner.performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))
  const seen = {{wide: root.scrollWidth, window: inner.innerWidth, fetched, title: inner.document.title}}
  document.body.setAttribute("data-seen", JSON.stringify(seen))
}})</script>"""


QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-extensions"


def browse(folder: Path, address: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the browser until it ends well: now and then a process of it crashes at its start, whatever the page."""
    for attempt in range(3):
        profile = f"--user-data-dir={folder / f'profile{attempt}'}"
        command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", *QUIET.split(), profile]
        command += [*options, f"file://{address}"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            continue
        crashed = done.returncode != 0 or "crashpad" in done.stderr
        if not crashed and ("--dump-dom" not in options or done.stdout.rstrip().endswith("</html>")):
            return done
    pytest.skip("the browser crashes on this machine")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_no_error_no_request_and_no_sideways_scrolling(page: Path, tmp_path: Path, width: int) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width, page=html.escape(page.read_text(), quote=True)))
    done = browse(tmp_path, frame, "--enable-logging=stderr", "--dump-dom")
    match = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert match is not None, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads(html.unescape(match[1]))
    assert seen["window"] == width
    assert seen["wide"] <= width
    assert seen["fetched"] == []
    assert "net on Board" in seen["title"]
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_a_screenshot_in_light_and_in_dark(page: Path, tmp_path: Path) -> None:
    corners = {}
    for scheme, number in (("dark", 0), ("light", 1)):
        shot = tmp_path / f"{scheme}.png"
        browse(
            tmp_path, page, f"--blink-settings=preferredColorScheme={number}", "--window-size=1000,900",
            "--hide-scrollbars", f"--screenshot={shot}",
        )  # fmt: skip
        with Image.open(shot) as picture:
            colours = picture.convert("RGB")
            corners[scheme] = sum(colours.getpixel((2, 2)))  # type: ignore[arg-type]
            assert len(colours.getcolors(1 << 20) or ()) > 50
    assert corners["dark"] < 100
    assert corners["light"] > 700


@pytest.mark.parametrize(
    "damage",
    [
        {"latency": 3},
        {"emulated_time": {"ms": 1.0}},
        {"latency": {"where": "here", "threads": 1, "runs": "many", "median": 1.0}},
        {"verification": {"where": "here", "tolerance": 0.1, "comparison": {"outputs": [{}]}}},
        {"evaluation": {"samples": 1, "where": "here", "metrics": [1]}},
        {"pictures": {"where": "here", "answers": [{"boxes": "none"}]}},
    ],
    ids=str,
)
def test_damaged_evidence_is_named(artefact: Artefact, tmp_path: Path, damage: dict[str, object]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(artefact.folder, copy)
    (copy / "evidence.json").write_text(json.dumps(damage))
    with pytest.raises(BadArtefact, match=r"evidence\.json"):
        render(Artefact.open(copy))
