"""The routes of the page, and what keeps them to this machine and to that page.

Other pages that the browser has open, and names that were made to lead here (DNS rebinding), are
refused; the page may run our scripts alone and fetch nothing from elsewhere. What a user can mend
is answered with the line that the command would print.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctxenc.cli import line_of
from ctxenc.errors import UserError
from ctxenc.report import LOOK
from ctxenc.window.masks import Masks
from ctxenc.window.paint import Paint
from ctxenc.window.runs import Runs

HERE = Path(__file__).parent
FILES = {name: HERE / name for name in ("page.css", "page.js", "paint.js")} | {"look.css": LOOK}
HOSTS = ["127.0.0.1", "localhost"]
MOST_BYTES = 64 * 2**20  # of an upload
# A run's card has styles of its own; it is escaped, and no script in it would run.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(folder: str, temporary: Path, data: Sequence[str] = ()) -> Starlette:
    """The server of the page.

    Args:
        folder: of runs and sweeps; it need not be there yet.
        temporary: where all that is uploaded and made is written, and nothing elsewhere.
        data: overrides that choose the data set behind the masks.

    Raises:
        UserError: a bad override.
    """
    runs, masks = Runs(folder), Masks(data)
    paint = Paint(temporary, runs)
    routes = [
        Route("/", _file(HERE / "page.html")),
        *(Route(f"/{name}", _file(path)) for name, path in FILES.items()),
        Route("/examples/{name}", _answer(paint.example)),
        Route("/photos", _taking(paint.upload), methods=["POST"]),
        Route("/photos/{photo}/masks", _taking(paint.mask), methods=["POST"]),
        Route("/photos/{photo}/{mask}/fill", _answer(paint.fill), methods=["POST"]),
        Route("/photos/{name:path}", _answer(paint.file)),
        Route("/masks", _answer(masks.choices)),
        Route("/masks/{mask}/options", _answer(masks.options)),
        Route("/masks/{mask}/sheet", _answer(masks.sheet)),
        Route("/runs", _answer(runs.listed)),
        Route("/runs/{run}/card", _answer(runs.card)),
        Route("/runs/{run}/curves", _answer(runs.curves)),
        Route("/compare", _answer(runs.compared)),
    ]
    guards = [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(_Guard)]
    refusals: dict[Any, Any] = {UserError: _refused, OSError: _refused}
    return Starlette(routes=routes, middleware=guards, exception_handlers=refusals)


def server(made: Starlette) -> uvicorn.Server:
    """What serves it, on a socket that its `run` is given; it trusts no proxy, and says little."""
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
    without: dict[str, Any] = {"ws": "none", "lifespan": "off", "proxy_headers": False}
    return uvicorn.Server(uvicorn.Config(made, timeout_graceful_shutdown=1, **quiet, **without))


Endpoint = Callable[[Request], Awaitable[Response]]


def _file(path: Path) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        return FileResponse(path)

    return endpoint


def _answer(method: Callable[..., Any]) -> Endpoint:
    """What a method answers to the parts of the path, and to the query as one list of pairs."""

    async def endpoint(request: Request) -> Response:
        query = request.query_params.multi_items()
        return _response(await run_in_threadpool(method, query, **request.path_params))

    return endpoint


def _taking(method: Callable[..., Any]) -> Endpoint:
    """As `_answer`, of a method that takes what was uploaded, too."""

    async def endpoint(request: Request) -> Response:
        content, query = bytearray(), request.query_params.multi_items()
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                raise UserError(f"more than {MOST_BYTES // 2**20} MiB; expected a smaller file")
        given = bytes(content), query
        return _response(await run_in_threadpool(method, *given, **request.path_params))

    return endpoint


def _response(found: Any) -> Response:
    """A file, a PNG, a page of HTML with a policy of its own, or JSON."""
    if isinstance(found, Path):
        return FileResponse(found)
    if isinstance(found, bytes):
        return Response(found, media_type="image/png")
    if isinstance(found, str):
        own = {"Content-Security-Policy": "frame-ancestors 'none'"}
        return Response(found, media_type="text/html", headers=own)
    return JSONResponse(found)


def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": line_of(error)}, status_code=400)


class _Guard:
    """Refuses what another page asks for, and gives every answer its `HEADERS`."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] == "http":
            request = Request(scope)
            origin, site = map(request.headers.get, ("origin", "sec-fetch-site"))
            own = str(request.base_url).rstrip("/")
            foreign = origin not in (None, own) or site not in (None, "none", "same-origin")
            if foreign and request.url.path != "/":
                refused = JSONResponse({"error": "asked for by another page"}, status_code=403)
                await refused(scope, receive, sent)
                return
        await self._app(scope, receive, sent)
