"""How a server ends, what it does when it has too much to do, and with clients that go or dawdle."""

from __future__ import annotations

import io
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from server import form, serving

LONGEST_S = 100


@pytest.fixture(scope="module")
def large():
    """A picture that takes much longer to decode than to send."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((1200, 1200, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def until(condition, process):
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)


def refuses(server):
    try:
        with server.connect():
            return False
    except OSError:
        return True


def test_what_was_accepted_is_answered_before_the_end(bundle_path, large):
    with serving(bundle_path, "--drain", 300) as server, ThreadPoolExecutor(4) as clients:
        parts = [("images", f"{index}.png", large) for index in range(32)]
        asked = [clients.submit(server.post, "/v1/score", *parts) for _ in range(3)]
        until(lambda: server.counted("realm_queue_images") > 16, server.process)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server), server.process)
        for each in asked:
            answer = each.result(LONGEST_S)
            assert (answer.code, answer.json["failed"], len(answer.json["results"])) == (200, 0, 32)
        assert server.wait() == 0
        assert server.lines[-2:] == [
            "ending: what was accepted has 300 s; once more ends at once",
            "ended; all that was accepted is answered",
        ]


@pytest.mark.parametrize("twice", [False, True])
def test_what_takes_longer_than_it_may_is_given_up(bundle_path, large, twice):
    drain = 60 if twice else 0
    with serving(bundle_path, "--drain", drain) as server, ThreadPoolExecutor(4) as clients:
        parts = [("images", f"{index}.png", large) for index in range(32)]
        asked = [clients.submit(server.post, "/v1/score", *parts) for _ in range(3)]
        until(lambda: server.counted("realm_queue_images") > 64, server.process)
        server.process.send_signal(signal.SIGTERM)
        if twice:
            server.wait_for("ending")
            server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 1
        given_up = 0
        for each in asked:
            try:
                answer = each.result(LONGEST_S)
            except OSError:  # asked a second time, the server does not wait for its connections
                assert twice
                continue
            given_up += answer.code == 503
            assert answer.code == 200 or answer.error.startswith("the server ended before this was")
        assert given_up or twice
        assert "images that were accepted have no answer" in server.lines[-1]
        assert not any("Traceback" in line for line in server.lines)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(bundle_path, how):
    with serving(bundle_path) as server, server.connect() as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        assert server.end(how) == 0


def test_a_full_queue_sends_clients_away_and_takes_them_again(bundle_path, large):
    with serving(bundle_path, "--queue", 2, "--max-images", 2) as server:
        parts = [("images", "a.png", large), ("images", "b.png", large)]
        codes: list[int] = []

        def ask():
            while 429 not in codes:
                answer = server.post("/v1/score", *parts)
                codes.append(answer.code)
                if answer.code == 429:
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
                    assert "again later" in answer.error

        with ThreadPoolExecutor(32) as clients:
            for each in [clients.submit(ask) for _ in range(32)]:
                each.result(LONGEST_S)
        assert set(codes) <= {200, 429}
        assert server.post("/v1/score", *parts).code == 200
        assert server.end() == 0


def test_a_body_that_dawdles_is_given_up(bundle_path):
    with serving(bundle_path, "--upload-timeout", 0.5) as server, server.connect() as client:
        client.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b"
        )
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.5 s" in answer
        assert b"connection: close" in answer.lower()


def test_a_client_that_goes_away_leaves_nothing(bundle_path, large):
    with serving(bundle_path) as server:
        parts = [("images", f"{index}.png", large) for index in range(64)]
        body, header = form(parts)
        head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n".encode()
        head += f"Content-Type: {header['Content-Type']}\r\n\r\n".encode()
        with server.connect() as client:
            client.sendall(head + body)
            until(lambda: server.counted("realm_queue_images") > 16, server.process)
        until(
            lambda: server.counted("realm_queue_images") == 0 == server.counted("realm_upload_bytes"),
            server.process,
        )
        assert server.counted('realm_images_total{outcome="done",route="/v1/score"}') == 0
        assert server.end() == 0


def test_a_client_that_waits_for_leave_is_refused_before_it_sends(bundle_path):
    """`Expect: 100-continue`, as curl sends it with what is large."""
    with serving(bundle_path) as server, server.connect() as client:
        client.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        assert answer.startswith(b"HTTP/1.1 413") and b"100 Continue" not in answer


def test_a_port_that_is_taken(bundle_path):
    from click.testing import CliRunner

    from realm_engine.cli.main import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["serve", "--bundle", str(bundle_path), "--port", str(port)])
    assert done.exit_code == 2
    assert f"error: --host 127.0.0.1 --port {port}: cannot listen there (" in done.output
