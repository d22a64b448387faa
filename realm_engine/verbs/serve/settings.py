"""How a server is set up: where it listens, what it lets in, and the token that it wants."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realm_engine.errors import UsageError
from realm_engine.machine.memory import parse_bytes
from realm_engine.machine.online import is_loopback

TOKEN_VARIABLE = "REALM_SERVE_TOKEN"
MAKE_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_TOKEN = re.compile(
    r"[A-Za-z0-9._~+/-]{16,512}=*"
)  # what RFC 6750 lets a bearer token hold, and too long to guess
_LONGEST_FILE = 4096


@dataclass(frozen=True)
class ServeSettings:
    """What `realm-engine serve` is asked for; see its help.

    `token` None: nobody needs one, which is for this machine's own addresses alone. `upload_s`: seconds that a request
    may take to arrive, `answer_s`: to be answered from then on, `drain_s`: that what was accepted has when the server
    is told to end. `origins`: of pages that may ask, as "https://example.org".
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    max_upload_bytes: int = 64 << 20
    max_images: int = 64
    queue: int = 256
    upload_s: float = 60.0
    answer_s: float = 300.0
    drain_s: float = 30.0
    max_windows: int = 250_000
    origins: tuple[str, ...] = ()
    access_log: bool = False

    def __post_init__(self) -> None:
        if self.max_images > self.queue:
            raise UsageError(
                f"--queue {self.queue} would never take the {self.max_images} images of one request; give a longer "
                "queue, or fewer --max-images"
            )
        if self.token is None and not self.is_local:
            raise UsageError(
                f"--host {self.host} can be reached from other machines, and no token is set: anybody could use this "
                f"one; {MAKE_TOKEN} > token.txt makes one, --token-file token.txt sets it"
            )
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise UsageError(
                    f"--allow-origin {origin}: write SCHEME://HOST[:PORT], as https://example.org"
                )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.url_of(self.port))

    def url_of(self, port: int) -> str:
        """The address of the server with the port that it got."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"


def read_token(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token of a file, or of the variable `TOKEN_VARIABLE`; None where neither is given.

    Raises UsageError where both are, for a file that cannot be read, and for what is no token or too short a one.
    """
    variable = environment.get(TOKEN_VARIABLE)
    if file is None and variable is None:
        return None
    if file is not None and variable is not None:
        raise UsageError(f"--token-file contradicts {TOKEN_VARIABLE}; give one of them")
    source, text = TOKEN_VARIABLE, variable
    if file is not None:
        source = f"--token-file {file}"
        try:
            with file.open("rb") as stream:
                text = stream.read(_LONGEST_FILE).decode("ascii", "replace")
        except OSError as error:
            raise UsageError(f"{source}: cannot be read ({error.strerror or error})") from error
    token = (text or "").strip()
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"{source}: no token of 16 to 512 letters, digits and ._~+/-; {MAKE_TOKEN} > token.txt makes one"
        )
    return token


def read_size(option: str, text: str) -> int:
    """Bytes of "64M". Raises UsageError that names the option."""
    try:
        return parse_bytes(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
