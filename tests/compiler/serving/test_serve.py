"""`edgec serve`, over HTTP: JSON of pictures, several at once, the page, a camera; and what it refuses."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgec.application.predictor import Predictor
from edgec.data.decoders.read import read_decoder
from edgec.model.signature import TensorSpec
from edgec.preprocessing import Preprocessing

pytest.importorskip("uvicorn", reason="pip install 'edgec[serve]'")
pytest.importorskip("starlette", reason="pip install 'edgec[serve]'")

INPUT = TensorSpec(name="x", shape=(1, 3, 8, 8), dtype="float32")
RUNNING = threading.Lock()


def brightness(feeds: Any) -> Any:
    """Return one box whose score is the mean of the picture; two calls at once are an error."""
    assert RUNNING.acquire(blocking=False)
    score = float(feeds["x"].mean())
    time.sleep(0.002)
    RUNNING.release()
    return {"y": np.array([[[1, 1, 7, 7, score, 0]]], np.float32)}


def png(level: int, size: tuple[int, int] = (16, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of a network that sees how bright a picture is; its camera is a folder of two pictures."""
    import uvicorn

    from edgec.serving.app import LOOPBACK_NAMES, make_app

    folder = tmp_path_factory.mktemp("camera")
    for level in (50, 200):
        (folder / f"{level}.png").write_bytes(png(level))
    predictor = Predictor(brightness, (INPUT,), Preprocessing(), read_decoder("boxes,min_score=0.1,classes=light"))
    app = make_app(predictor, title="a <b>", source=str(folder), most_bytes=5000, hosts=LOOPBACK_NAMES)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_picture_gives_json_with_stage_times(port: int) -> None:
    status, body = ask(port, "POST", "/predict", png(204))
    said = json.loads(body)
    assert status == 200 and list(said["ms"]) == ["read", "preprocess", "network", "decode"]
    (found,) = said["detections"]
    assert (found["name"], found["box"], round(found["score"], 2)) == ("light", [2, 2, 14, 14], 0.8)
    drawn = json.loads(ask(port, "POST", "/predict?draw=true", png(204))[1])["drawn"]
    assert drawn.startswith("data:image/jpeg;base64,")


def test_several_at_once_each_get_their_own(port: int) -> None:
    levels = list(range(60, 240, 6))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda level: ask(port, "POST", "/predict", png(level)), levels))
    for level, (status, body) in zip(levels, answers, strict=True):
        assert status == 200
        assert json.loads(body)["detections"][0]["score"] == pytest.approx(level / 255, abs=1e-3)


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"no picture", {}, 400, "no picture"),
        (png(90)[:60], {}, 400, "picture"),
        (b"", {}, 400, "no picture"),
        (bytes(5001), {}, 413, "larger than 5000 bytes"),
        (png(90), {"Content-Type": "multipart/form-data; boundary=x"}, 415, "not a form"),
        (png(90), {"Host": "evil.example"}, 400, "Invalid host"),
    ],
)
def test_what_is_refused(port: int, body: bytes, headers: dict[str, str], status: int, message: str) -> None:
    code, said = ask(port, "POST", "/predict", body, **headers)
    assert (code, message in said.decode()) == (status, True), said


def test_a_picture_of_very_many_pixels_is_refused_unread(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgec.serving.answers.MOST_PIXELS", 100)
    code, said = ask(port, "POST", "/predict", png(90))
    assert code == 400 and "16x16 pixels, at most 100" in said.decode()


def test_the_page_names_the_network(port: int) -> None:
    status, page = ask(port, "GET", "/")
    assert status == 200 and b"<title>a &lt;b></title>" in page and b'data-live="live"' in page
    assert ask(port, "GET", "/predict")[0] == 405


def test_frames_of_the_camera_come_drawn_until_it_ends(port: int) -> None:
    status, body = ask(port, "GET", "/live")
    frames = body.split(b"--edgec-frame\r\n")[1:]
    assert status == 200 and 1 <= len(frames) <= 2
    last = Image.open(io.BytesIO(frames[-1].partition(b"\r\n\r\n")[2]))
    assert last.size == (16, 16)
    assert json.loads(ask(port, "GET", "/live.json")[1])["problem"].endswith("ended")


def test_an_address_that_cannot_be_listened_at_is_one_message(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    import edgec
    from edgec.cli import main
    from tests.support import heads

    board = Path(__file__).parents[3] / "examples" / "plugin" / "edgec_example_plugin" / "board.toml"
    folder = edgec.compile(heads.yolov8(), target=str(board), output=tmp_path / "a").folder
    monkeypatch.setattr(sys, "argv", ["edgec", "serve", str(folder), "--port", str(port)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr().err
    assert ended.value.code == 2 and f"cannot listen at 127.0.0.1:{port}" in said and "Traceback" not in said
