"""The page's server: Starlette on uvicorn, on 127.0.0.1 alone, and for looking only.

No path comes out of an address: a run is asked for by an id, and what is sent of it was found in its folder.
"""

import hashlib
import json
import socket
from html import escape
from pathlib import Path
from typing import Any

import uvicorn
from plotly import __version__ as plotly_version
from plotly.offline import get_plotlyjs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from utils.errors import UserError
from utils.page import document
from watching.beneath import read_bytes
from watching.one_run import detail, film_of, pictures_of
from watching.runs import Runs, Seen, overview

HERE = "127.0.0.1"
HOSTS = [HERE, "localhost"]  # a page of somebody else's whose name leads here by DNS has another Host
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}  # plotly puts its styles into the page, and its pictures into data
FILES = Path(__file__).parent
PLOTLY = f"/plotly-{plotly_version}.js"


class LookOnly:
    """Refuses what is not GET or HEAD, and says with every answer that nobody else's page may have it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, guarded)
        else:
            refused = PlainTextResponse("only GET\n", 405, headers={"allow": "GET, HEAD"})
            await refused(scope, receive, guarded)


class Answers:
    """What is answered to each address."""

    def __init__(self, runs: Runs) -> None:
        self.runs, self.page = runs, _page(runs.root)

    def index(self, request: Request) -> Response:
        """Return the page."""
        return Response(self.page, media_type="text/html")

    def script(self, request: Request) -> Response:
        """Return the page's script."""
        return Response((FILES / "watch.js").read_text(encoding="utf-8"), media_type="text/javascript")

    def plotly(self, request: Request) -> Response:
        """Return plotly's script, to be kept: its version is in the address."""
        kept = {"cache-control": "max-age=31536000, immutable"}
        return Response(get_plotlyjs(), media_type="text/javascript", headers=kept)

    def all_runs(self, request: Request) -> Response:
        """Return what is shown of all runs, with one figure."""
        return _json(request, overview(self.runs, request.query_params.get("metric")))

    def one_run(self, request: Request) -> Response:
        """Return what is shown of one run alone."""
        return _json(request, detail(self.runs.root, self._asked(request)))

    def film(self, request: Request) -> Response:
        """Return the latest film of a run."""
        found = film_of(self.runs.root, self._asked(request).folder)
        if found is None or found[0] != request.path_params["t"]:
            raise HTTPException(404)
        return _file(self.runs.root, found[1], "video/mp4")

    def picture(self, request: Request) -> Response:
        """Return a picture of the latest report on a run's world model."""
        t, paths = pictures_of(self.runs.root, self._asked(request).folder) or (-1, [])
        for path in paths:
            if (t, path.name) == (request.path_params["t"], request.path_params["name"]):
                return _file(self.runs.root, path, "image/png")
        raise HTTPException(404)

    def _asked(self, request: Request) -> Seen:
        try:
            return self.runs.seen[request.path_params["id"]]
        except KeyError:
            raise HTTPException(404, "no such run") from None


def make_app(runs: Runs) -> Starlette:
    """Return the application that answers for some runs."""
    answers = Answers(runs)
    routes = {
        "/": answers.index, "/watch.js": answers.script, PLOTLY: answers.plotly, "/api/runs": answers.all_runs,
        "/api/runs/{id}": answers.one_run, "/film/{id}/{t:int}.mp4": answers.film,
        "/picture/{id}/{t:int}/{name}": answers.picture,
    }  # fmt: skip
    middleware = [
        Middleware(LookOnly), Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        Middleware(GZipMiddleware, compresslevel=4),
    ]  # fmt: skip
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()], middleware=middleware)


def _json(request: Request, content: Any) -> Response:
    """Return an answer, or that it is the one that the page has."""
    body = json.dumps(content, allow_nan=False).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _file(root: Path, path: Path, media_type: str) -> Response:
    try:
        return Response(read_bytes(root, path), media_type=media_type, headers={"cache-control": "no-cache"})
    except OSError:
        raise HTTPException(404) from None


def _page(root: Path) -> str:
    style = (FILES / "watch.css").read_text(encoding="utf-8")
    body = (FILES / "watch.html").read_text(encoding="utf-8").replace("FOLDER", escape(str(root)))
    scripts = f'<script src="{PLOTLY}"></script>\n<script src="/watch.js" defer></script>\n'
    return document("Runs", body, f'<link rel="icon" href="data:,">\n<style>{style}</style>\n{scripts}')


def listening_on(port: int) -> socket.socket:
    """Return a socket on this machine's own address; raise `UserError` where the port cannot be had."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HERE, port))
        found.listen()  # from now on who comes is answered, if a moment later
    except OSError as why:
        found.close()
        raise UserError(f"--port {port}: {why.strerror}; give another, or 0 for any that is free") from why
    return found


def serve(runs: Runs, listening: socket.socket) -> None:
    """Answer until a signal ends it; Ctrl-C leaves as KeyboardInterrupt."""
    config = uvicorn.Config(
        make_app(runs), log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])
