"""What the server's process listens on, by the kernel's own tables."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from longshore.server.diagnosis.finding import Finding, note, ok, warning

_LISTEN: Final = "0A"
"""How /proc/net/tcp writes the state TCP_LISTEN."""
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """An address and a port that a process listens on."""

    address: str
    port: int

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def examine(port: int | None, *, secure: bool) -> Iterator[Finding]:
    """Look at what this process listens on.

    Args:
        port: where it serves, as the request that asks came in; None where that is not known.
        secure: whether that request came by HTTPS.
    """
    try:
        found = of_process(os.getpid())
    except OSError as error:
        yield note("listeners", f"the kernel does not tell here ({error.strerror})")
        return
    ours = [each for each in found if each.port == port]
    open_ones = [each for each in ours if not each.local]
    if open_ones and not secure:
        yield warning(
            "listeners",
            f"it listens on {_told(open_ones)} without TLS: whoever is on the way reads keys and data",
            "put a proxy with TLS before it and listen on 127.0.0.1; see the guide to securing it",
        )
    elif ours:
        how = "behind TLS" if secure else "this machine only"
        yield ok("listeners", f"{_told(ours)}, {how}")
    strangers = [each for each in found if each.port != port]
    if port is not None and strangers:
        yield warning(
            "other listeners",
            f"the server's process also listens on {_told(strangers)}, which nothing of Longshore does",
            "find out which library opened it; if you do not know it, stop the server",
        )


def of_process(pid: int) -> list[Listener]:
    """Return what a process listens on over TCP; OSError where /proc does not tell."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            match = _SOCKET.fullmatch(str(link.readlink()))
        except FileNotFoundError:
            continue
        if match:
            inodes.add(match[1])
    found = set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text("ascii").splitlines()[1:] if path.exists() else ():
            parts = line.split()
            if parts[3] == _LISTEN and parts[9] in inodes:
                found.add(_listener(family, parts[1]))
    return sorted(found)


def _listener(family: socket.AddressFamily, text: str) -> Listener:
    """Read an address as the kernel writes it: words of the machine's own byte order, in hexadecimal."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return Listener(socket.inet_ntop(family, packed), int(port, 16))


def _told(listeners: list[Listener]) -> str:
    return ", ".join(map(str, listeners))
