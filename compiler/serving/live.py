"""`Live`: the frames of one camera, drawn, for all who look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Condition, Thread

from edgec.application.sources import open_source
from edgec.errors import EdgecError
from edgec.serving.answers import Answers, jpeg

PATIENCE_S = 10.0
"""How long one who looks waits for the next frame."""
BOUNDARY = "edgec-frame"
MOST_LOOKING = 8


class Live:
    """Takes frames while somebody looks, each as soon as the one before is done; the camera is opened once for all.

    Args:
        source: `camera:0`, a video or a folder, as for `open_source`.
        answers: What the network says.
    """

    def __init__(self, source: str, answers: Answers) -> None:
        self._source, self._answers = source, answers
        self._changed = Condition()
        self._number, self._frame, self._said, self._problem = 0, b"", "{}", ""
        self._looking = 0
        self._thread: Thread | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many look as may: each holds a thread."""
        return self._looking >= MOST_LOOKING

    def parts(self) -> Iterator[bytes]:
        """Yield the frames as parts of a multipart/x-mixed-replace answer; the newest counts, others are left out."""
        with self._changed:
            self._looking += 1
            if self._thread is None or not self._thread.is_alive():
                self._problem = ""
                self._thread = Thread(target=self._take, daemon=True)
                self._thread.start()
        try:
            number = 0
            while (newer := self._newer(number)) is not None:
                number, frame = newer
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
                yield head.encode("ascii") + frame + b"\r\n"
        finally:
            with self._changed:
                self._looking -= 1

    def _newer(self, seen: int) -> tuple[int, bytes] | None:
        """Wait for a frame after number `seen`; return it with its number, or None where there are no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > seen or self._problem, PATIENCE_S)
            return (self._number, self._frame) if self._number > seen else None

    def said(self) -> str:
        """Return what was said of the newest frame, as JSON; `problem` in it where there are no more."""
        with self._changed:
            return json.dumps({"problem": self._problem}) if self._problem else self._said

    def _take(self) -> None:
        try:
            with open_source(self._source) as source:
                for frame in source.frames:
                    result, row = self._answers.of_picture(frame.picture)
                    row["ms"]["read"] += round(1e3 * frame.seconds, 3)
                    drawn = jpeg(result.draw(frame.picture))
                    with self._changed:
                        self._number, self._frame, self._said = self._number + 1, drawn, json.dumps(row)
                        self._changed.notify_all()
                        if not self._looking:
                            return
            problem = f"{self._source} ended"
        except EdgecError as error:
            problem = error.problem
        with self._changed:
            self._problem = problem
            self._changed.notify_all()
