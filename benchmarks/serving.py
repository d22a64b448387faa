"""A server in a process of its own, and clients that keep it busy."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.settings import UnavailableError

BOUNDARY = "realm-benchmark"
START_S, ANSWER_S = 120, 600


class Server:
    """A server that listens; `seconds` of every request are kept until somebody takes them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._port = _port(process)
        self._process = psutil.Process(process.pid)
        self._own = threading.local()
        self.seconds: list[float] = []

    def score(self, paths: Sequence[Path], texts: Sequence[str], together: int, clients: int) -> None:
        """Score pictures, so many in a request, on so many connections at once. Raises UnavailableError."""
        starts = range(0, len(paths), together)
        bodies = [_body(paths[at : at + together], texts[at : at + together]) for at in starts]
        with ThreadPoolExecutor(clients) as pool:
            for failed in pool.map(self._ask, bodies):
                if failed:
                    raise UnavailableError(failed)

    def memory_mb(self) -> float:
        """What the server's process holds now."""
        return float(self._process.memory_info().rss) / 1e6

    def processor_s(self) -> float:
        """Processor time that the server and this process have taken so far."""
        return processor_s(self._process) + processor_s()

    def _ask(self, body: bytes) -> str:
        """One request on this thread's connection; what went wrong, "" where nothing did."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=ANSWER_S
            )
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        begun = time.perf_counter()
        connection.request("POST", "/v1/score", body, kind)
        response = connection.getresponse()
        answer = json.loads(response.read())
        self.seconds.append(time.perf_counter() - begun)
        if response.status != 200 or answer["failed"]:
            return f"{response.status}: {answer.get('error') or answer['results']}"
        return ""


@contextmanager
def server(bundle: Path, threads: int) -> Iterator[Server]:
    """A server on the CPU in fp32. Raises UnavailableError where it does not start."""
    command = [sys.executable, "-m", "realm_engine", "serve", "--port", "0", "--bundle", str(bundle)]
    command += ["--device", "cpu", "--precision", "fp32", "--threads", str(threads), "--queue", "4096"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield Server(process)
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


def processor_s(process: psutil.Process | None = None) -> float:
    """Processor time that a process has taken so far, this one by default."""
    times = (process or psutil.Process()).cpu_times()
    return float(times.user + times.system)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if found := re.match(r"listening on http://127\.0\.0\.1:(\d+) ", line):
            return int(found[1])
    raise UnavailableError(lines[-1] if lines else "the server does not start")


def _body(paths: Sequence[Path], texts: Sequence[str]) -> bytes:
    parts = []
    for path, text in zip(paths, texts, strict=True):
        head = f'Content-Disposition: form-data; name="images"; filename="{path.name}"\r\n\r\n'
        parts.append(head.encode() + path.read_bytes())
        parts.append(f'Content-Disposition: form-data; name="texts"\r\n\r\n{text}'.encode())
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
