"""The gate: what bodies may hold together, and what becomes of an application that fails."""

from __future__ import annotations

import asyncio
import json

import pytest

from realm_engine.verbs.serve.batcher import Batcher
from realm_engine.verbs.serve.counts import Counts
from realm_engine.verbs.serve.gate import Gate, Uploads
from realm_engine.verbs.serve.settings import ServeSettings

FORM = [(b"content-type", b"multipart/form-data; boundary=b"), (b"transfer-encoding", b"chunked")]


class Client:
    """One request: what it sends waits in `sends`, what it gets is in `got`."""

    def __init__(self, gate, headers=FORM, path="/v1/score"):
        self.sends, self.got = asyncio.Queue(), []
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("x", 1)}
        self.task = asyncio.create_task(gate(scope, self.sends.get, self._take))

    async def _take(self, message):
        self.got.append(message)

    def send(self, body, more=True):
        self.sends.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def settle(self):
        """Let everybody do what can be done now."""
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def code(self):
        return self.got[0]["status"] if self.got else None

    @property
    def headers(self):
        return dict(self.got[0]["headers"])

    @property
    def error(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.got[1:]))["error"]


@pytest.fixture
def gated(engine):
    """A function that puts an application behind a gate, whose bodies may hold 1000 bytes together, 800 each."""
    batcher = Batcher(engine, 8, Counts({"x": "y"}))
    settings = ServeSettings(max_upload_bytes=800, max_images=8, queue=8, upload_s=60)

    def gate(app, settings=settings):
        uploads = Uploads(1000)
        return Gate(app, settings, batcher, Counts({"x": "y"}), uploads, lambda line: None), uploads

    yield gate
    batcher.close(60)


async def reads_all(scope, receive, send):
    """As FastAPI does: what `receive` raises becomes the answer."""
    from starlette.exceptions import HTTPException

    from realm_engine.verbs.serve.gate import problem

    try:
        while (await receive()).get("more_body"):
            pass
    except HTTPException as error:
        await problem(error, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_bodies_are_bounded_together_and_forgotten_with_their_requests(gated):
    async def run():
        gate, uploads = gated(reads_all)
        first, second = Client(gate), Client(gate)
        first.send(bytes(700))
        second.send(bytes(250))
        await first.settle()
        assert uploads.held_bytes == 950 and first.code is second.code is None
        second.send(bytes(100))
        second.send(b"", more=False)
        await second.task
        assert second.code == 429 and int(second.headers[b"retry-after"]) >= 1
        assert uploads.held_bytes == 700
        announced = Client(gate, [*FORM[:1], (b"content-length", b"400")])
        announced.send(bytes(400), more=False)
        await announced.task
        assert announced.code == 429  # before a byte of it was held
        first.send(b"x", more=False)
        await first.task
        assert first.code == 200 and uploads.held_bytes == 0

    asyncio.run(run())


def test_a_body_that_becomes_too_long_is_cut_off(gated):
    async def run():
        gate, uploads = gated(reads_all)
        client = Client(gate)
        client.send(bytes(700))
        client.send(bytes(200))
        client.send(bytes(999), more=False)  # read and forgotten, so that the client sees why
        await client.task
        assert client.code == 413 and client.headers[b"connection"] == b"close"
        assert client.error == "a request has at most 1M; send fewer images at once"
        assert client.sends.empty() and uploads.held_bytes == 0

    asyncio.run(run())


def test_a_body_that_does_not_come(gated):
    async def run():
        settings = ServeSettings(max_upload_bytes=800, max_images=8, queue=8, upload_s=0.05)
        gate, uploads = gated(reads_all, settings)
        client = Client(gate)
        client.send(bytes(10))
        await client.task
        assert client.code == 408 and uploads.held_bytes == 0

    asyncio.run(run())


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), 503), (ZeroDivisionError("secret"), 500)])
def test_an_application_that_fails_is_one_line(gated, error, code, caplog):
    async def fails(scope, receive, send):
        raise error

    async def run():
        client = Client(gated(fails)[0], [*FORM[:1], (b"content-length", b"0")])
        await client.task
        assert client.code == code and "secret" not in client.error and "\n" not in client.error

    asyncio.run(run())
    assert ("failed" in caplog.text) == (code == 500)  # a bug is in the log


def test_a_request_that_is_cancelled_is_told_so(gated):
    async def never(scope, receive, send):
        await asyncio.Event().wait()

    async def run():
        client = Client(gated(never)[0], [*FORM[:1], (b"content-length", b"0")])
        await client.settle()
        client.task.cancel()
        await client.task
        assert client.code == 503 and client.error.startswith("the server ended")

    asyncio.run(run())
