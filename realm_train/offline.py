"""Training and export that must not go online: every library is told, and what asks all the same is refused."""

import os
import sys
from typing import Any

from realm_engine.machine.online import OFFLINE_VARIABLE, is_loopback, stay_offline

_ASKING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
_guarded = False


def tell_libraries() -> None:
    """Have the model hub's client look into its cache alone, and this process's children stay offline too."""
    stay_offline()
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants: Any = sys.modules.get("huggingface_hub.constants")
    if constants is not None:  # it read the variable when it was imported
        constants.HF_HUB_OFFLINE = True


def guard_sockets() -> None:
    """From here on this process connects to nothing but itself: OSError, whatever library tries."""
    global _guarded
    if not _guarded:
        _guarded = True
        sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _ASKING:
        return
    address = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode("utf-8", "replace")
    unix = event in ("socket.connect", "socket.sendto") and not isinstance(address, tuple)
    if unix or not host or is_loopback(f"//[{host}]" if ":" in str(host) else f"//{host}"):
        return
    raise OSError(f"{host} is not asked, because --offline or {OFFLINE_VARIABLE} is set")
