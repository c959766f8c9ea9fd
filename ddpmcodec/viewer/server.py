"""The addresses behind the page. Only programs that know the token get an answer, and only under the name 127.0.0.1.

The token keeps other users of the machine and other pages out; the check of the name keeps out pages whose own name was
made to lead here (DNS rebinding). Needs `pip install 'ddpmcodec[view]'`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from ddpmcodec.errors import DdpmError
from ddpmcodec.viewer.jobs import Advance, Jobs, Superseded
from ddpmcodec.viewer.viewed_file import KINDS, Picture, Stripe, ViewedFile

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import MutableHeaders
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise DdpmError("the viewer needs Starlette and uvicorn: pip install 'ddpmcodec[view]'") from error

if TYPE_CHECKING:
    from ddpmcodec.models.registry import ModelSource

ADDRESS = "127.0.0.1"
MOST_UPLOADED = 1 << 28  # bytes of all files that are sent here, arriving and kept
KEPT_BYTES = 1 << 27  # of pictures
MOST_DIGITS = 12  # of a number of bytes
MOMENT = 0.1  # seconds that a request ahead waits for its picture; small ones need no second request
SCRIPTS = "page.js", "map.js", "pictures.js"
PAGE = {"": ("page.html", "text/html"), "page.css": ("page.css", "text/css")}
PAGE |= {name: (name, "text/javascript") for name in SCRIPTS}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FACTS = "Ddpmcodec-Facts"  # header with JSON about a picture


class Viewer:
    """The files of one run, and the work on them: one thread each for maps, which take a whole decode, for previews,
    for what stands beside them, which would wait for the others, and for what pages fetch ahead."""

    def __init__(self, *, model: ModelSource = None) -> None:
        self.files: dict[str, ViewedFile] = {}
        self.token = secrets.token_urlsafe(24)
        self.maps, self.previews, self.beside = Jobs[list[Stripe]](), Jobs[Picture](), Jobs[Picture]()
        self.ahead = Jobs[Picture]()
        self._model, self._numbers, self._uploaded = model, itertools.count(), 0
        self._kept, self._lock = dict[tuple[str, str, int], Picture](), threading.Lock()

    def add(self, name: str, data: bytes, **options: Any) -> str:
        """The number of a new file. Raises what `ViewedFile` does, with the same options."""
        file = ViewedFile(name, data, **{"model": self._model, **options})
        number = str(next(self._numbers))
        self.files[number] = file
        return number

    @contextmanager
    def uploading(self, size: int) -> Iterator[None]:
        """Counts so many bytes as uploaded; they stay counted unless something fails. Raises HTTPException where it is
        too much."""
        self._uploaded += size
        try:
            if self._uploaded > MOST_UPLOADED:
                raise HTTPException(
                    413, f"files of more than {MOST_UPLOADED} bytes in all: name them on the command line"
                )
            yield
        except BaseException:
            self._uploaded -= size
            raise

    def close(self, patience: float = 0) -> bool:
        """Ends all work. Whether it has ended within so many seconds."""
        threads = (self.maps, self.previews, self.beside, self.ahead)
        ended = [jobs.close(patience) for jobs in threads]  # none is left out
        return all(ended)

    def picture(self, page: str, number: str, kind: str, size: int, *, ahead: bool = False) -> Picture | float:
        """A picture of one of KINDS and its facts, or the share of the work on it that is done; the page's earlier
        requests of this kind end.

        ahead: nobody waits for the picture yet. Any request that somebody waits for ends the work on it, also one of
        another page. It is not kept here, because the page keeps it.
        """
        key, file = (number, kind, size), self.files[number]
        kept, can_compare = self._kept.get(key), file.original is not None
        if kept is not None and (kept.facts["same"] is not None or not can_compare):
            return kept

        def work(advance: Advance) -> Picture:
            picture = kept or file.picture(kind, size, advance)
            measured = replace(picture, facts=file.measure(picture))
            return measured if ahead else self._keep(key, measured)

        slot, jobs = (page, kind), self.previews if kind == "preview" else self.beside
        if ahead:
            jobs = self.ahead
        else:
            self.ahead.stop()
        job = jobs.latest(slot, (*key, can_compare), work)
        if ahead:
            wait([job.future], MOMENT)
        if not job.future.done():
            return min(job.done / file.work(kind, size), 1.0)
        jobs.forget(slot, job)
        return job.future.result()

    def map(self, number: str) -> list[Stripe] | float:
        """The stripes of a file, or the share of the work on them that is done."""
        file = self.files[number]
        job = self.maps.latest(number, number, file.decode_whole)
        return job.future.result() if job.future.done() else min(job.done / file.pixels, 1.0)

    def _keep(self, key: tuple[str, str, int], picture: Picture) -> Picture:
        """Keeps a picture in memory, in place of the oldest ones."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = picture
            while sum(len(kept.content) for kept in self._kept.values()) > KEPT_BYTES and len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
        return picture


class Guard:
    """Refuses requests without the token, and adds HEADERS to all answers. reached: called for requests with it."""

    def __init__(self, app: ASGIApp, token: str, reached: Callable[[], object]) -> None:
        self.app, self.token, self.reached = app, token, reached

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        known = scope["type"] == "http" and secrets.compare_digest(_first(scope["path"]).encode(), self.token.encode())
        if known:
            self.reached()
        refusal = PlainTextResponse("open the whole address that `ddpmcodec view` printed: its token is missing", 403)
        await (self.app if known else refusal)(scope, receive, send_with_headers)


def _first(path: str) -> str:
    """The first folder of a path; empty where there is no path, as in `OPTIONS *` and CONNECT."""
    return path[1:].split("/")[0] if path.startswith("/") else ""


def make_app(viewer: Viewer, reached: Callable[[], object] = lambda: None) -> Starlette:
    """Return the ASGI application of a viewer. reached: called for each request that has the token."""

    def page(request: Request) -> Response:
        name, media_type = PAGE[request.url.path.rpartition("/")[2]]
        return Response(resources.files(__package__).joinpath(name).read_bytes(), media_type=media_type)

    def files(request: Request) -> Response:
        return JSONResponse([_described(viewer, number) for number in viewer.files])

    async def add(request: Request) -> Response:
        number = await _add(viewer, request)
        return JSONResponse(_described(viewer, number), 201)

    def map_(request: Request) -> Response:
        number = _known_number(viewer, request)
        stripes = viewer.map(number)
        if isinstance(stripes, float):  # the share of the work that is done
            return _waiting(stripes)
        file = viewer.files[number]
        facts = {"original": file.original is not None, "damaged": file.damaged}
        return JSONResponse({"stripes": [stripe._asdict() for stripe in stripes], **facts})

    def picture(request: Request) -> Response:
        number, kind = _known_number(viewer, request), request.path_params["kind"]
        size = request.query_params.get("bytes", "")
        if kind not in KINDS or not (size.isascii() and size.isdigit() and len(size) <= MOST_DIGITS):
            raise HTTPException(404, f"one of {', '.join(KINDS)} with ?bytes=N is there, not this")
        ahead = "ahead" in request.query_params
        shown = viewer.picture(request.query_params.get("page", ""), number, kind, int(size), ahead=ahead)
        if isinstance(shown, float):  # the share of the work that is done
            return _waiting(shown)
        facts = json.dumps(shown.facts, allow_nan=False)
        return Chunked(shown.content, media_type=shown.media_type, headers={FACTS: facts})

    root = f"/{viewer.token}"
    return Starlette(
        routes=[
            *(Route(f"{root}/{name}", page) for name in PAGE),
            Route(f"{root}/files", files),
            Route(f"{root}/files", add, methods=["POST"]),
            Route(f"{root}/files/{{number}}/map", map_),
            Route(f"{root}/files/{{number}}/{{kind}}", picture),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[ADDRESS]),
            Middleware(Guard, token=viewer.token, reached=reached),
        ],
        exception_handlers={
            DdpmError: _refused,
            MemoryError: _out_of_memory,
            Superseded: lambda *_: _waiting(0.0),
            ClientDisconnect: lambda *_: Response(),  # which nobody reads
        },
    )


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1. port 0: any that is free. Raises DdpmError when the port is taken or forbidden."""
    try:
        listening = socket.create_server((ADDRESS, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise DdpmError(f"port {port} cannot be used ({reason}): name another --port, or none") from error
    # Connections inherit it. Without, the last chunk of a picture waits 40 ms until those before are acknowledged.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(viewer: Viewer, listening: socket.socket, reached: Callable[[], object] = lambda: None) -> None:
    """Answers until SIGINT or SIGTERM. Raises KeyboardInterrupt after SIGINT, as uvicorn does.

    Parameters:
        reached: called for each request that has the token.
    """
    config = uvicorn.Config(  # uvicorn's warnings are of malformed requests, which other users can send
        make_app(viewer, reached), http=Connection, log_level="error", access_log=False, lifespan="off", ws="none",
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


async def _add(viewer: Viewer, request: Request) -> str:
    """The number of the file that a request sends. Raises HTTPException for more than there is room for."""
    announced, data = request.headers.get("Content-Length", ""), bytearray()
    room = int(announced) if announced.isdecimal() else 0
    with ExitStack() as counted:
        counted.enter_context(viewer.uploading(room))
        async for chunk in request.stream():
            data += chunk
            if len(data) > room:
                counted.enter_context(viewer.uploading(len(data) - room))
                room = len(data)
        return await run_in_threadpool(viewer.add, request.query_params.get("name", "file.ddpm"), bytes(data))


def _described(viewer: Viewer, number: str) -> dict[str, Any]:
    return {"number": number, **viewer.files[number].describe()}


def _known_number(viewer: Viewer, request: Request) -> str:
    number: str = request.path_params["number"]
    if number not in viewer.files:
        raise HTTPException(404, "there is no such file here: load the page again")
    return number


def _waiting(progress: float) -> Response:
    return JSONResponse({"progress": round(progress, 4)}, 202)


def _refused(request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error).replace("model=PATH", "--model PATH"), 422)  # arguments are options here


def _out_of_memory(request: Request, error: Exception) -> Response:
    return PlainTextResponse("not enough memory: close other programs, or use a machine with more", 507)


# --- connections that neither hold memory nor keep the viewer from ending if their client is slow, or does nothing

PATIENCE = 5.0  # seconds in which a client that is waited for must send or take ...
LEAST = 1 << 10  # ... so many bytes
CHUNK = 1 << 16  # bytes of an answer that are handed on at once


class Connection(H11Protocol):
    """A connection that ends when its client makes the server wait: with the head or body of a request, or by not
    reading."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._moved, self._unread = 0, 0
        self._timer = self.loop.call_later(PATIENCE, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved += len(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        self._moved += LEAST  # much was read
        super().resume_writing()

    def shutdown(self) -> None:
        """Called when the server ends. Answers on their way are finished, unless that depends on the client."""
        if self._waits_for_client():
            self.transport.abort()
        else:
            super().shutdown()

    def _waits_for_client(self) -> bool:
        between_requests = self.cycle is None or self.cycle.response_complete
        return between_requests or self.cycle.more_body or self.transport.get_write_buffer_size() > 0

    def _check(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._waits_for_client() and self._moved + max(0, self._unread - unread) < LEAST:
            self.transport.abort()
            return
        self._moved, self._unread = 0, unread
        self._timer = self.loop.call_later(PATIENCE, self._check)


class Chunked(Response):
    """A response that is sent as fast as the client reads: otherwise every client that does not read has a copy in
    memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self.body), CHUNK):
            await send({"type": "http.response.body", "body": self.body[start : start + CHUNK], "more_body": True})
            await asyncio.sleep(0)  # others have their turn, and a connection that ended says so
        await send({"type": "http.response.body", "body": b"", "more_body": False})
