"""How a client of ours connects to a server's address: by what proxy, with what certificates."""

from __future__ import annotations

import ipaddress
from typing import TypedDict
from urllib.parse import urlsplit


class ConnectionOptions(TypedDict):
    """What httpx clients take as arguments."""

    trust_env: bool
    verify: bool


def is_loopback(url: str) -> bool:
    """Whether `url` is this machine's own address, which a proxy of the environment cannot reach."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def connection_options(url: str) -> ConnectionOptions:
    """Return the options of a client that speaks with the server at `url` and with nobody else.

    Certificates are loaded unless nothing can be encrypted, without https and without a proxy:
    reading all of them takes longer than starting the client and sending its first request.
    """
    local = is_loopback(url)
    return {"trust_env": not local, "verify": not local or urlsplit(url).scheme == "https"}
