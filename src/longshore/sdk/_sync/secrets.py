# Generated from _async/secrets.py by tools/unasync.py; edit that file instead.
"""Secrets: set, listed and removed by developers, read by programs of workers."""

from __future__ import annotations

import builtins
from typing import Final

from longshore.sdk._calls import NATIVE, Call, segment
from longshore.sdk._pages import SecretPage
from longshore.sdk._sync.transport import Transport
from longshore.sdk.operations import Secret

_PATH: Final = f"{NATIVE}/corpus/secrets"


class Secrets:
    """`client.secrets`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def set(self, name: str, value: str) -> Secret:
        """Set a secret, new or in the place of what it was.

        Args:
            name: 1 to 255 characters; parts may have `/` in between.
            value: a text of at most 64 KiB.

        Raises:
            InvalidRequest: name or value cannot be one.
        """
        call = Call("PUT", f"{_PATH}/{segment(name)}", json={"content": value})
        return self._transport.fetch(call, Secret)

    def list(self) -> builtins.list[Secret]:
        """Return all secrets by name; their values are not told."""
        page = self._transport.fetch(Call("GET", _PATH), SecretPage)
        return builtins.list(page.secrets)

    def remove(self, name: str) -> None:
        """Remove a secret.

        Raises:
            NotFound: there is no such secret.
        """
        self._transport.send(Call("DELETE", f"{_PATH}/{segment(name)}"))
