"""Connections that neither hold memory nor keep the viewer from ending when their client is slow, or does nothing."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

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
