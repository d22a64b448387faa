"""The gate before the application: who may ask, how much may come in and how long that may take, and what is counted.

Plain ASGI. What it refuses is refused before the body is read.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from realm_engine.errors import printable
from realm_engine.machine.memory import format_bytes
from realm_engine.verbs.serve.batcher import Batcher
from realm_engine.verbs.serve.counts import OTHER, Counts
from realm_engine.verbs.serve.settings import ServeSettings

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

IMAGES = "realm.images"
"""Where in the scope of a request stands how many images it has, for the log."""
HEALTH, READY, METRICS = "/healthz", "/readyz", "/metrics"
SCORE, MAP, MEASURES, INFO = "/v1/score", "/v1/map", "/v1/measures", "/v1/info"
DOCS, OPENAPI = "/docs", "/openapi.json"
OPEN = frozenset(
    {HEALTH, READY, DOCS, OPENAPI, "/", "/docs/page.js", "/docs/swagger.js", "/docs/swagger.css"}
)
"""What needs no token: it is the same for everybody, and shows nothing of who uses the server."""
POSTS = frozenset({SCORE, MAP})
ROUTES = OPEN | POSTS | {METRICS, MEASURES, INFO}

IDLE_S = 15.0
"""Seconds in which something of a body must come."""
# What a client still sends after it was refused is read and forgotten, so that it sees why and not a reset connection.
LINGER_S = 2.0
GONE = 499
"""Stands for the code of an answer that nobody got, because the client was gone."""


class Uploads:
    """Bytes of bodies that are held, over all requests. For the event loop alone."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0

    def fits(self, more: int) -> bool:
        """Whether so many bytes more may be held."""
        return self.held_bytes + more <= self.most_bytes


class _Body:
    """The body of a request: counted while it comes, and no longer than it may take."""

    def __init__(
        self,
        receive: Receive,
        headers: Headers,
        settings: ServeSettings,
        uploads: Uploads,
        busy: Callable[[], HTTPException],
    ) -> None:
        self._receive, self._settings, self._uploads, self._busy = receive, settings, uploads, busy
        self._end = time.monotonic() + settings.upload_s
        self._waits_for_leave = "expect" in headers
        self.held = 0
        self.is_whole = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"

    async def receive(self) -> Message:
        """See ASGI. Raises HTTPException 408, 413 and 429."""
        if self.is_whole:
            return await self._receive()  # waits for the client to go
        try:
            async with asyncio.timeout(max(0.0, min(IDLE_S, self._end - time.monotonic()))):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(
                408,
                f"the request did not arrive within {self._settings.upload_s:g} s, or nothing of it for {IDLE_S:g} s; "
                "send less at once",
            ) from error
        if message["type"] != "http.request":
            self.is_whole = True
            return message
        size = len(message.get("body", b""))
        if self.held + size > self._settings.max_upload_bytes:
            raise too_large(self._settings)
        if not self._uploads.fits(size):
            raise self._busy()
        self.held += size
        self._uploads.held_bytes += size
        self.is_whole = not message.get("more_body", False)
        return message

    def forget(self) -> None:
        """The request is over."""
        self._uploads.held_bytes -= self.held
        self.held = 0

    async def linger(self) -> None:
        """Read what still comes, no more than a request may have, and forget it."""
        if self._waits_for_leave and self.held == 0:
            return  # the client sends nothing before it is told to
        left = self._settings.max_upload_bytes
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.is_whole and left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.is_whole = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            pass


class Gate:
    """The application behind its checks. `log_line` takes a line for each request, with nothing of what is in it."""

    def __init__(
        self,
        app: App,
        settings: ServeSettings,
        batcher: Batcher,
        counts: Counts,
        uploads: Uploads,
        log_line: Callable[[str], None],
    ) -> None:
        self._app, self._settings, self._batcher = app, settings, batcher
        self._counts, self._uploads, self._log_line = counts, uploads, log_line
        self._token = None if settings.token is None else _digest(settings.token)
        self.is_ending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        body = _Body(receive, Headers(scope=scope), self._settings, self._uploads, self._busy)
        answer = _Answer(send, body)
        try:
            refused = self._refused(scope)
            if refused is not None:
                await problem(refused, answer.send)
            else:
                await self._app(scope, body.receive, answer.send)
        except asyncio.CancelledError:  # the server ends, and this took longer than it may
            await answer.give_up(503, "the server ended before this was answered; ask another one")
        except MemoryError:
            await answer.give_up(503, "not enough memory for this request; send less at once")
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            await answer.give_up(500, "the server failed, and its log says how; this is a bug")
        finally:
            body.forget()
            self._count(scope, answer.code, time.perf_counter() - begun)

    def _refused(self, scope: Scope) -> HTTPException | None:
        """Why a request is not even read; None where it may come in."""
        headers, path = Headers(scope=scope), scope["path"]
        if path in OPEN:
            return None
        if self._token is not None and not self._knows_token(headers):
            return HTTPException(
                401,
                "this server wants its token; send the header Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )
        if not self._is_welcome(headers):
            return HTTPException(
                403, "pages of other hosts may not ask this server; start it with --allow-origin to let one"
            )
        if path not in POSTS or scope["method"] != "POST":
            return None
        if self.is_ending:
            return HTTPException(503, "the server is ending; ask another one, or later", {"Retry-After": "5"})
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return HTTPException(
                415, "send a form, multipart/form-data, with one or more files in the field images"
            )
        if self._batcher.is_full:
            return self._busy()
        announced = int(headers.get("content-length", "0"))
        if announced > self._settings.max_upload_bytes:
            return too_large(self._settings)
        return None if self._uploads.fits(announced) else self._busy()

    def _knows_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Digests are of one length, so that comparing takes the same time whatever was given.
        return hmac.compare_digest(_digest(given.strip()), self._token or b"") and scheme.lower() == "bearer"

    def _is_welcome(self, headers: Headers) -> bool:
        """Whether no page of another host asks: a form of any page could send pictures here to keep us busy."""
        origin = headers.get("origin")
        if origin is None or origin in self._settings.origins:
            return True
        try:
            return urlsplit(origin).netloc == headers.get("host") != ""
        except ValueError:
            return False

    def _busy(self) -> HTTPException:
        full = self._batcher.full()
        return HTTPException(
            429,
            "the server has as much to do as it takes; ask again later",
            {"Retry-After": str(full.retry_s)},
        )

    def _count(self, scope: Scope, code: int, seconds: float) -> None:
        path, method = scope["path"], scope["method"]
        self._counts.request(path if path in ROUTES else OTHER, method, code, seconds)
        client = (scope.get("client") or ("-",))[0]
        images = f", {scope[IMAGES]} images" if IMAGES in scope else ""
        self._log_line(f"{client} {method} {printable(path)[:200]}: {code} in {seconds:.3f} s{images}")


class _Answer:
    """The answer on its way out: its code, and what is done about a body that nobody has read."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.code = GONE

    async def send(self, message: Message) -> None:
        """See ASGI. The end of an answer waits until the client has sent what it could not be kept from sending."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            more = [(b"x-content-type-options", b"nosniff")]
            if not self._body.is_whole:
                more.append((b"connection", b"close"))
            await self._send({**message, "headers": [*message.get("headers", ()), *more]})
        elif message.get("more_body", False) or self._body.is_whole:
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._body.linger()
            await self._send({"type": "http.response.body", "body": b""})

    async def give_up(self, code: int, message: str) -> None:
        """Say that nothing comes, where nothing was said yet."""
        if self.code == GONE:
            await problem(HTTPException(code, message), self.send)


def too_large(settings: ServeSettings) -> HTTPException:
    """A request is longer than one may be."""
    return HTTPException(
        413, f"a request has at most {format_bytes(settings.max_upload_bytes)}; send fewer images at once"
    )


def problem_body(message: str) -> bytes:
    """What every refusal and failure says: JSON with `error`, one line in ASCII."""
    return json.dumps({"error": printable(message)}).encode()


async def problem(error: HTTPException, send: Send) -> None:
    """Send an error as the whole answer."""
    body = problem_body(error.detail)
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(error.headers or {})}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
