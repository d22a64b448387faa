"""Thousands of bad requests of every kind to a real server, and what they leave behind.

python tests/support/bad_requests.py --count 10000
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from server import BOUNDARY, Server, form, serving

CLIENTS = 8
PATIENCE_S = 0.3  # what waits for the rest of a request answers later than this, if ever
CLOSED = "closed"
"""Stands for the code of an answer that never came, because one side closed the connection."""


@dataclass(frozen=True)
class Left:
    """What a run found. `codes`: how often each was answered; by the second half: bytes, files and threads more;
    `megabytes`: what the server held after each tenth."""

    codes: dict[str, int]
    kinds: int
    bytes_more: int
    files_more: int
    threads_more: int
    tracebacks: int
    same_answer: bool
    megabytes: tuple[int, ...]


class Bad:
    """Makes bad requests up: the bytes that go over the wire, one kind after the other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        stream = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
        Image.fromarray(noise).save(stream, "PNG")
        self.png = stream.getvalue()
        stream = io.BytesIO()
        Image.fromarray(noise).save(stream, "JPEG")
        self.jpeg = stream.getvalue()
        self.kinds: Sequence[Callable[[], bytes]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("bad_")
        ]

    def make(self, number: int) -> bytes:
        """The bytes of a request."""
        return self.kinds[number % len(self.kinds)]()

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(1, most))

    def _post(
        self, body: bytes, path: str = "/v1/score", more: bytes = b"", length: int | None = None
    ) -> bytes:
        """A request with a form's header; `more`: of its header."""
        return (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body) if length is None else length}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        ).encode() + more + b"\r\n" + body  # fmt: skip

    def _form(
        self, *parts: tuple[str, str | bytes] | tuple[str, str, bytes], path: str = "/v1/score"
    ) -> bytes:
        return self._post(form(parts)[0], path)

    def _mutated(self, content: bytes) -> bytes:
        """The same with some bytes changed, cut out or doubled."""
        found = bytearray(content)
        for _ in range(self._random.randrange(1, 6)):
            place = self._random.randrange(max(1, len(found)))
            what = self._random.randrange(3)
            if what == 0 and found:
                found[place] = self._random.randrange(256)
            elif what == 1:
                del found[place : place + self._random.randrange(1, 64)]
            else:
                found[place:place] = found[place : place + self._random.randrange(1, 64)]
        return bytes(found)

    # ------------------------------------------------------- no HTTP at all

    def bad_noise(self) -> bytes:
        return self._bytes(600)

    def bad_tls(self) -> bytes:
        return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._bytes(400)

    def bad_mutated_request(self) -> bytes:
        return self._mutated(self._form(("images", "a.png", self.png)))

    def bad_lines(self) -> bytes:
        return self._random.choice(
            [
                b"GET\r\n\r\n",
                b"GET /v1/info HTTP/9.9\r\n\r\n",
                b"GET /v1/info HTTP/1.1\r\n\r\n",  # no Host
                b"GET  /v1/info  HTTP/1.1\r\nHost: x\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET http://other/v1/info HTTP/1.1\r\nHost: x\r\n\r\n",
                b"CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n",
                b"GET /%00%1b%5b/..%2f..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n",
                b"GET /docs/..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
            ]
        )

    def bad_header(self) -> bytes:
        return self._random.choice(
            [
                b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\n X: folded\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
                b"GET /v1/info HTTP/1.1\r\nHost: x\r\nOrigin: http://[\r\n\r\n",
                b"GET /v1/info HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
                b"GET /v1/info HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            ]
        )

    def bad_lengths(self) -> bytes:
        chosen = self._random.choice(
            [b"-1", b"x", b"1e3", b"99999999999999999999999", b"9" * 5000, b"0x10", b"5, 5", b"5, 6"]
        )
        return b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: " + chosen + b"\r\n\r\nhello"

    def bad_both_lengths(self) -> bytes:
        head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        more = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        return head.encode() + more + b"GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n"

    def bad_chunks(self) -> bytes:
        head = f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        chunk = self._random.choice(
            [b"zz\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"5\r\nhelloooo\r\n", b"-5\r\nhello\r\n"]
        )
        return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk

    def bad_pipeline(self) -> bytes:
        return self._form(("images", "a.png", self.png)) + self._bytes(200)

    # ----------------------------------------------------- addresses, kinds

    def bad_address(self) -> bytes:
        method = self._random.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "TRACE", "OPTIONS", "BREW"])
        path = self._random.choice(
            [
                "/v1/score",
                "/v1/map",
                "/v1",
                "/v1/score/",
                "//v1/score",
                "/metrics",
                "/" + "x" * 3000,
                "/docs/",
            ]
        )
        return f"{method} {path}?{'a=b&' * 50} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def bad_kind(self) -> bytes:
        kind = self._random.choice(
            [
                "application/json",
                "application/x-www-form-urlencoded",
                "image/png",
                "multipart/form-data",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=" + "b" * 3000,
                'multipart/form-data; boundary="\\"; charset=utf-99',
                "multipart/mixed; boundary=b",
                "",
            ]
        )
        body = form([("images", "a.png", self.png)])[0]
        return (
            f"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def bad_accept(self) -> bytes:
        accept = self._random.choice(["text/html", "image/png;q=nan", ",", "*/*;q=0", "image/png, image/png"])
        body = form([("images", "a.png", self.png), ("images", "b.png", self.png), ("window", "16")])[0]
        return self._post(body, "/v1/map", f"Accept: {accept}\r\n".encode())

    # ---------------------------------------------------------------- forms

    def bad_form(self) -> bytes:
        body = form([("images", "a.png", self.png), ("text", "x")])[0]
        return self._post(
            self._random.choice(
                [
                    b"",
                    body[: self._random.randrange(len(body))],
                    self._mutated(body),
                    body.replace(b'name="images"', b""),
                    body.replace(b"Content-Disposition", b"X" * 5000),
                    body.replace(BOUNDARY.encode(), b"other"),
                    b"--" + BOUNDARY.encode() + b"--\r\n",
                    b"\r\n" * 2000,
                    body * 3,
                ]
            )
        )

    def bad_fields(self) -> bytes:
        name = self._random.choice(
            [
                "metrics",
                "metric",
                "texts",
                "text",
                "descriptions",
                "combine",
                "profile",
                "missing_text",
                "x" * 300,
            ]
        )
        value: bytes = self._random.choice(
            [
                b"",
                b"\xff\xfe",
                b"\x00",
                b"nothing",
                b"core,core",
                b"{",
                b'{"a.png": 1}',
                b"[" * 5000,
                b"=",
                b"core=nan",
            ]
        )
        fields = [(name, value)] * self._random.randrange(1, 4)
        return self._form(("images", "a.png", self.png), *fields)

    def bad_map_fields(self) -> bytes:
        name = self._random.choice(
            ["preset", "window", "stride", "aggregate", "quantity", "metric", "regions"]
        )
        value = self._random.choice(
            ["", "0", "-1", "1", "99999999999999999999", "1e9", "nan", "other", "\u202e"]
        )
        return self._form(("images", "a.png", self.png), (name, value), path="/v1/map")

    def bad_range(self) -> bytes:
        low, high = (
            self._random.choice(["nan", "inf", "-inf", "0", "1e999", "x", "1e-320"]) for _ in range(2)
        )
        fields = [("range_low", low), ("range_high", high), ("window", "16")]
        return self._form(("images", "a.png", self.png), *fields, path="/v1/map")

    def bad_numbers_of_parts(self) -> bytes:
        parts = self._random.choice([[("images", "a.png", self.png)] * 40, [("texts", "x")] * 900])
        return self._form(*parts)

    def bad_sizes(self) -> bytes:
        return self._random.choice(
            [self._post(b"x" * 3000, length=1 << 40), self._form(("images", "a.png", bytes(3 << 20)))]
        )

    def bad_end(self) -> bytes:
        """The client sends a part and closes."""
        whole = self._form(("images", "a.png", self.png), ("text", "x"))
        return whole[: self._random.randrange(1, len(whole))]

    # ------------------------------------------------------------- pictures

    def bad_pictures(self) -> bytes:
        parts = [
            ("images", f"{index}", self._mutated(self._random.choice([self.png, self.jpeg])))
            for index in range(self._random.randrange(1, 5))
        ]
        return self._form(*parts, path=self._random.choice(["/v1/score", "/v1/map"]))

    def bad_contents(self) -> bytes:
        bomb = (
            b"GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00"
        )
        bomb += b"\x02\x02D\x01\x00;"
        content = self._random.choice(
            [
                b"",
                b"\x00",
                self._bytes(2000),
                bomb,
                b"<svg/>",
                b"%PDF-1.7",
                b"P6 9999999 9999999 255\n",
                self.png[:60],
            ]
        )
        return self._form(("images", "x", content))

    def bad_names(self) -> bytes:
        name = self._random.choice(
            [
                "../../etc/passwd",
                "\x1b[31m",
                "\u202e",
                "a" * 5000,
                "C:\\x",
                '\\"',
                "\x00",
                "..",
                "/dev/zero",
                "%s%n",
            ]
        )
        return self._form(("images", name, b"no picture"))


def codes_of(server: Server, content: bytes) -> str:
    """Send bytes as they are, wait a moment for more of an answer, and go; the code of the first answer."""
    with suppress(OSError), server.connect() as client:
        with suppress(OSError):  # it may have been refused already
            client.sendall(content)
        client.settimeout(PATIENCE_S)
        answer = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in answer and (chunk := client.recv(1 << 16)):
                answer += chunk
        words = answer.split(b" ", 2)
        if len(words) > 1 and words[0].startswith(b"HTTP/"):
            return words[1].decode()
    return CLOSED


def run(bundle: object, count: int, seed: int = 0) -> Left:
    """Half of them to warm up: the allocator, caches, connections."""
    options = ("--max-images", 16, "--max-upload", "2M", "--queue", 64, "--upload-timeout", 20)
    with serving(bundle, *options) as server:
        bad, process = Bad(seed), psutil.Process(server.process.pid)
        requests = [bad.make(number) for number in range(count)]
        good = [("images", "a.png", bad.png), ("text", "a seam")]
        before = server.post("/v1/score", *good).json
        codes: Counter[str] = Counter()

        def state() -> tuple[int, int, int]:
            deadline = time.monotonic() + 60
            while server.counted("realm_upload_bytes") + server.counted("realm_queue_images"):
                assert time.monotonic() < deadline, "something is held for ever"
                time.sleep(0.05)
            while len(process.net_connections()) > 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            return process.memory_info().rss, process.num_fds(), process.num_threads()

        states = []
        with ThreadPoolExecutor(CLIENTS) as clients:
            for tenth in range(10):
                some = requests[tenth * count // 10 : (tenth + 1) * count // 10]
                codes.update(clients.map(lambda content: codes_of(server, content), some))
                states.append(state())
        middle, last = states[4], states[9]
        same = server.post("/v1/score", *good).json == before
        assert server.end() == 0, "\n".join(server.lines[-20:])
        return Left(
            dict(sorted(codes.items())),
            len(bad.kinds),
            *(later - earlier for later, earlier in zip(last, middle, strict=True)),
            tracebacks=sum("Traceback" in line for line in server.lines),
            same_answer=same,
            megabytes=tuple(rss >> 20 for rss, *_ in states),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--bundle", help="by default a small one that is built for it; realm-tiny is the real one"
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = asked.bundle
        if bundle is None:
            from bundles import build_bundle

            bundle = build_bundle(Path(folder) / "test-bundle")
        left = run(bundle, asked.count, asked.seed)
    print(json.dumps(asdict(left), indent=2))
    sys.exit("500" in left.codes or left.tracebacks > 0 or not left.same_answer)


if __name__ == "__main__":
    main()
