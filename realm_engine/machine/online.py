"""Whether this process may go online, and which addresses it may ask."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

from realm_engine.errors import OfflineError, UsageError

OFFLINE_VARIABLE = "REALM_OFFLINE"
_NO = ("", "0", "false", "no", "off")


def is_offline() -> bool:
    """Whether `REALM_OFFLINE` forbids to go online; any value but an empty one, 0, false, no and off does."""
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() not in _NO


def stay_offline() -> None:
    """Forbid this process, and those that it starts, to go online."""
    os.environ[OFFLINE_VARIABLE] = "1"


def refuse_offline(what: str, cure: str) -> None:
    """Raise OfflineError, one line with the cure, where this process must stay offline."""
    if is_offline():
        raise OfflineError(f"{what}: not fetched, because --offline or {OFFLINE_VARIABLE} is set; {cure}")


def check_address(url: str, loopback: bool = True) -> None:
    """Raise UsageError for an address that is not asked: anything but https.

    http is for this machine alone (127.0.0.1, ::1, localhost), where nobody is in between, and only where `loopback`
    says so. A name or password in an address would end up in records and messages.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url}: not an address ({error})") from error
    if not host or not url.isascii() or any(character <= " " for character in url):
        raise UsageError(f"{url}: not an address; write https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{host}: the address holds a name or password; leave it out")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback and is_loopback(url)):
        raise UsageError(
            f"{url}: is not https, so that anybody in between could change what comes; use https"
        )


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own: localhost, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
