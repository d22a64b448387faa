"""The server itself: where it listens, how it begins, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import uvicorn
from starlette.middleware.cors import CORSMiddleware

from realm_engine.engine import Engine, EngineOptions
from realm_engine.errors import UsageError, printable
from realm_engine.machine.memory import DEFAULT_BYTES, parse_bytes
from realm_engine.verbs.console import Console, open_engine, say_terms
from realm_engine.verbs.serve.app import build_app
from realm_engine.verbs.serve.gate import Gate, Uploads
from realm_engine.verbs.serve.service import Service
from realm_engine.verbs.serve.settings import ServeSettings
from realm_engine.verbs.serve.slow import PatientProtocol

BACKLOG = 128
CONNECTIONS = 512
"""Open at once; whoever comes beyond is answered 503 by uvicorn."""
UPLOADS_SHARE = 8
"""Bodies hold this part of the memory limit at most: the rest is the engine's."""
_GRACE_S = 5.0  # for threads and connections, after all that was asked has been answered or given up
_BETWEEN_WARNINGS_S = 10.0
_OTHERS = ("uvicorn", "python_multipart", "asyncio", "realm_engine.verbs.serve")


@dataclass(frozen=True)
class Ended:
    """How a server ended: whether all that was accepted was `answered`, and whether its thread is `idle`."""

    answered: bool
    idle: bool


def serve(settings: ServeSettings, how: EngineOptions, console: Console) -> Ended:
    """Answer requests until SIGTERM or SIGINT.

    Raises RealmError where it cannot begin.
    """
    with _listening(settings) as listener, open_engine(how, _first_part, console) as engine:
        service = Service(engine, settings)
        say_terms({measure.name: measure.terms for measure in engine.measures[:1]}, console)
        _warm_up(engine)
        with _logs(service, console):
            return asyncio.run(_Run(service, listener, how, console).run())


class _Run:
    """A server from its beginning to its end."""

    def __init__(
        self, service: Service, listener: socket.socket, how: EngineOptions, console: Console
    ) -> None:
        self._service, self._listener, self._console = service, listener, console
        self._given_up = 0
        settings = service.settings
        limit = parse_bytes(how.max_memory) if isinstance(how.max_memory, str) else how.max_memory
        uploads = Uploads(max(settings.max_upload_bytes, (limit or DEFAULT_BYTES) // UPLOADS_SHARE))
        service.counts.watch(
            "realm_upload_bytes", "Bytes of requests that are held.", lambda: uploads.held_bytes
        )
        log_line = console.say if settings.access_log else console.detail
        self._gate = Gate(build_app(service), settings, service.batcher, service.counts, uploads, log_line)
        app = CORSMiddleware(
            self._gate, allow_origins=settings.origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
        self._server = _Server(
            uvicorn.Config(
                app if settings.origins else self._gate,
                http=PatientProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                workers=1,
                backlog=BACKLOG,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=round(settings.drain_s + _GRACE_S),
            )
        )

    async def run(self) -> Ended:
        """See `serve`."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self._end)
        url = self._service.settings.url_of(self._listener.getsockname()[1])
        token = "with the token that is set" if self._service.settings.token else "no token is needed"
        self._console.say(f"listening on {url} ({token}; {url}/docs says what can be asked); Ctrl-C ends")
        await self._server.serve(sockets=[self._listener])
        idle = self._service.batcher.close(_GRACE_S)  # it may still compute for a client that is gone
        answered = self._given_up == 0
        if answered:
            self._console.say("ended; all that was accepted is answered")
        else:
            self._console.error(f"ended; {self._given_up} images that were accepted have no answer")
        return Ended(answered, idle)

    def _end(self) -> None:
        """Take nothing more and finish what there is; asked a second time, finish nothing."""
        loop = asyncio.get_running_loop()
        if self._service.is_ending:
            self._server.force_exit = True
            self._give_up()
            return
        limit_s = self._service.settings.drain_s
        self._console.say(f"ending: what was accepted has {limit_s:g} s; once more ends at once")
        self._service.is_ending = self._gate.is_ending = self._server.should_exit = True
        loop.call_later(limit_s, self._give_up)

    def _give_up(self) -> None:
        self._given_up += self._service.batcher.give_up()


class _Server(uvicorn.Server):
    """uvicorn's server; signals are ours, because it would die of them when all is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """See `uvicorn.Server`."""
        yield


class _Warnings(logging.Handler):
    """Says warnings of the engine, one at most every ten seconds: strangers' pictures can cause any number of them."""

    def __init__(self, service: Service, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._counts, self._console = service.counts, console
        self._last, self._unsaid = -_BETWEEN_WARNINGS_S, 0

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._counts.warned()
        now = time.monotonic()
        if now - self._last < _BETWEEN_WARNINGS_S:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} warnings before it)" if self._unsaid else ""
        self._last, self._unsaid = now, 0
        self._console.say(f"{record.levelname.lower()}: {printable(record.getMessage())[:500]}{more}")


class _Bugs(logging.Handler):
    """Says what must not happen, with its traceback: somebody has to mend it."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.ERROR)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        for line in self.format(record).splitlines():
            self._console.error(line)


@contextmanager
def _logs(service: Service, console: Console) -> Iterator[None]:
    """Within the block loggers speak through the console. Bodies, tokens and addresses beyond paths are in none."""
    ours = logging.getLogger("realm_engine")
    others = [logging.getLogger(name) for name in _OTHERS]
    before = [(each, each.handlers, each.propagate, each.level) for each in (ours, *others)]
    ours.handlers, ours.propagate = [_Warnings(service, console)], False
    for each in others:
        each.handlers, each.propagate = [_Bugs(console)], False
        each.setLevel(
            logging.ERROR
        )  # below it they say what is wrong with requests, which is for who sent them
    try:
        yield
    finally:
        for each, handlers, propagate, level in before:
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """The socket, before anything slow is done. Raises UsageError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--host {settings.host} --port {settings.port}: cannot listen there ({reason}); choose another, or "
            "--port 0 for any that is free"
        ) from error
    with listener:
        yield listener


def _first_part(engine: Engine) -> str:
    return engine.chosen().first.part.name if engine.measures else engine.map_part


def _warm_up(engine: Engine) -> None:
    """Open what is asked for most, so that the first request is no slower than others, and no later a surprise."""
    if engine.measures:
        list(engine.measure([]))
        engine.look([np.zeros((64, 64, 3), np.uint8)], ["a text"])
    if engine.contents.maps is not None and engine.can(engine.map_part):
        _ = engine.maps
