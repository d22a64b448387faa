"""Clients that are too slow: a real uvicorn on a real socket, with less patience than usual."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from realm_engine.verbs.serve import slow
from realm_engine.verbs.serve.slow import PatientProtocol

LONGEST_S = 30


async def app(scope, receive, send):
    """Answers with as many bytes as the path says, after the whole body."""
    while (await receive()).get("more_body"):
        pass
    size = int(scope["path"][1:])
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(size).encode())],
        }
    )
    for _ in range(size >> 20):
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
    await send({"type": "http.response.body", "body": bytes(size & ((1 << 20) - 1))})


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(slow, "HEADER_S", 0.5)
    monkeypatch.setattr(slow, "STALLED_S", 0.5)
    with running() as server:
        yield server


@contextmanager
def running():
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=PatientProtocol, ws="none", lifespan="off", log_config=None, timeout_keep_alive=20
    )
    server = uvicorn.Server(config)
    server.address = listener.getsockname()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(LONGEST_S)
        assert not thread.is_alive()


def connected(server):
    return socket.create_connection(server.address, timeout=LONGEST_S)


def is_closed(connection):
    """Wait for the server to close a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /0 HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a header"])
def test_a_header_that_does_not_come(impatient, sent):
    with connected(impatient) as client:
        client.sendall(sent)
        assert is_closed(client)


def test_a_header_that_trickles(impatient):
    with connected(impatient) as client:
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < LONGEST_S:
                client.sendall(b"GET /" if time.monotonic() - begun < 0.1 else b"0")
                time.sleep(0.05)
        except OSError:
            return
    pytest.fail("the connection stayed open")


def test_a_second_header_on_the_same_connection_has_its_own_time(impatient, monkeypatch):
    monkeypatch.setattr(slow, "HEADER_S", LONGEST_S)
    with connected(impatient) as client:
        ends = []
        for _ in range(2):
            client.sendall(b"GET /0 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            (protocol,) = impatient.server_state.connections
            while protocol._header_timer is None:  # the client may be faster
                time.sleep(0.01)
            ends.append(protocol._header_timer.when())
            monkeypatch.setattr(slow, "HEADER_S", 0.5)
        assert ends[0] > ends[1]
        client.sendall(b"GET /0 HT")
        assert is_closed(client)


def test_a_client_that_reads_no_answer(impatient):
    with connected(impatient) as client:
        client.sendall(b"GET /67108864 HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + LONGEST_S
        while impatient.server_state.total_requests == 0 and impatient.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert not impatient.server_state.connections


def test_a_body_may_take_longer_than_a_header(impatient):
    with connected(impatient) as client:
        client.sendall(b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(0.4)
            client.sendall(b"x")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
