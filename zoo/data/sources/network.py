"""A quick check whether a host is reachable, before calling a library that would retry for minutes."""

from __future__ import annotations

import socket
import threading
import urllib.parse
import urllib.request

PATIENCE_S = 3.0


def unreachable_because(host: str, port: int = 443, *, patience_s: float = PATIENCE_S) -> str | None:
    """Return None if `host` (or the proxy in front of it) accepts a connection, else the reason why not.

    Returns within about `patience_s` seconds even if name resolution hangs, which a socket's timeout does not cover:
    hence the thread.
    """
    host, port = _behind_proxy(host, port)
    outcome: list[str | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=patience_s).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(f"{host} cannot be reached ({error.strerror or error})")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(patience_s)
    return outcome[0] if outcome else f"{host} did not answer within {patience_s:g} s"


def _behind_proxy(host: str, port: int) -> tuple[str, int]:
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host):
        return host, port
    parsed = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return parsed.hostname or host, parsed.port or 80
