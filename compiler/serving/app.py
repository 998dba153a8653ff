"""`make_app`: the ASGI application of `edgec serve`."""

from __future__ import annotations

import asyncio
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from edgec.application.predictor import Predictor
from edgec.errors import EdgecError
from edgec.serving.answers import Answers
from edgec.serving.live import BOUNDARY, Live

MOST_AT_ONCE = 4
"""Pictures that are decoded side by side; others wait."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def make_app(predictor: Predictor, *, title: str, source: str | None, most_bytes: int, hosts: tuple[str, ...]) -> Any:
    """Return the application.

    Args:
        predictor: Of an open artefact.
        title: Of the page.
        source: What the page shows live: `camera:0`, a video; None: nothing.
        most_bytes: Of the body of a request.
        hosts: Names by which it may be called, so that pages of others cannot reach it by a name of their own.

    Returns:
        `GET /`: the page. `POST /predict`: the content of a picture file in, JSON out, `?draw=true` with the drawn
        picture. `GET /live`: frames. `GET /live.json`: what was said of the newest one.
    """
    answers, side_by_side = Answers(predictor), asyncio.Semaphore(MOST_AT_ONCE)
    live = None if source is None else Live(source, answers)
    page = resources.files("edgec.serving").joinpath("page.html").read_text("utf-8")
    page = page.replace("{{title}}", _escaped(title)).replace("{{live}}", "" if source is None else "live")

    async def home(_request: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline' data:"})

    async def predict(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        if kind.startswith("multipart/"):
            return _problem(415, "send the picture itself as the body, not a form", "curl --data-binary @street.jpg")
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > most_bytes:
                return _problem(413, f"the picture is larger than {most_bytes} bytes", "Send a smaller one.")
        draw = request.query_params.get("draw", "") in ("1", "true")
        try:
            async with side_by_side:
                return JSONResponse(await run_in_threadpool(answers.of_file, bytes(content), draw=draw))
        except EdgecError as error:
            return _problem(400, error.problem, error.remedy)

    async def frames(_request: Request) -> Response:
        if live is None:
            return _problem(404, "there is no camera", "edgec serve ARTEFACT --input camera:0")
        if live.is_full:
            return _problem(503, "too many look at the camera already", "Close one of the pages.")
        return StreamingResponse(live.parts(), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    async def said(_request: Request) -> Response:
        return Response("{}" if live is None else live.said(), media_type="application/json")

    routes = [
        Route("/", home),
        Route("/predict", predict, methods=["POST"]),
        Route("/live", frames),
        Route("/live.json", said),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


def _problem(status: int, problem: str, remedy: str | None) -> Response:
    return JSONResponse({"error": problem, "remedy": remedy or ""}, status_code=status)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
