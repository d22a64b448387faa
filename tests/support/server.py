"""`realm-engine serve` in a process of its own, and a client that sends exactly what it is told to."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

LONGEST_S = 120
BOUNDARY = "realm-test-boundary"


@dataclass(frozen=True)
class Answer:
    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


Part = tuple[str, str | bytes] | tuple[str, str, bytes]
"""A field (name, value), or a file (name, file name, content)."""


def form(parts: Sequence[Part]) -> tuple[bytes, dict[str, str]]:
    """The body of a form, and its header."""
    body = b""
    for name, *rest in parts:
        head = f'Content-Disposition: form-data; name="{name}"'
        if len(rest) == 2:
            head += f'; filename="{rest[0]}"\r\nContent-Type: application/octet-stream'
        value = rest[-1].encode() if isinstance(rest[-1], str) else rest[-1]
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"
    }


class Server:
    """A server that runs; `lines` is what it has said on stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.host, self.port = "", 0
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            found = re.match(r"listening on http://(\S+):(\d+) ", line)
            if found:
                self.host, self.port = found[1], int(found[2])
                self._listens.set()
        self._listens.set()

    def wait_until_it_listens(self) -> None:
        assert self._listens.wait(LONGEST_S) and self.port, "\n".join(self.lines)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=LONGEST_S)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body that is an iterator is sent in chunks."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=LONGEST_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, *parts: Part, headers: Mapping[str, str] | None = None) -> Answer:
        body, own = form(parts)
        return self.ask("POST", path, body, {**own, **(headers or {})})

    def wait_for(self, words: str) -> None:
        """Wait until a line with these words has been said."""
        deadline = time.monotonic() + LONGEST_S
        while not any(words in line for line in self.lines):
            assert time.monotonic() < deadline and self.process.poll() is None, "\n".join(self.lines)
            time.sleep(0.01)

    def counted(self, name: str) -> float:
        """The value of a line of /metrics, labels and all; 0 where there is none."""
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(LONGEST_S)
        self._reader.join(LONGEST_S)
        return code


@contextmanager
def serving(
    bundle: object, *options: object, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server on a port that was free; it is killed in the end if it still runs."""
    words = ["--bundle", str(bundle), "--device", "cpu", "--threads", "1", *map(str, options)]
    # A shell that runs tests in the background has them ignore Ctrl-C, which their children would inherit.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "realm_engine", "serve", "--port", "0", *words],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
    finally:
        signal.signal(signal.SIGINT, ours)
    server = Server(process)
    try:
        server.wait_until_it_listens()
        yield server
    finally:
        process.kill()
        server.wait()
