"""Secrets: set, listed and removed by developers, read by programs of workers."""

from __future__ import annotations

import builtins
from typing import Final

from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import NATIVE, Call, segment
from longshore.sdk._pages import SecretPage
from longshore.sdk.operations import Secret

_PATH: Final = f"{NATIVE}/corpus/secrets"


class AsyncSecrets:
    """`client.secrets`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def set(self, name: str, value: str) -> Secret:
        """Set a secret, new or in the place of what it was.

        Args:
            name: 1 to 255 characters; parts may have `/` in between.
            value: a text of at most 64 KiB.

        Raises:
            InvalidRequest: name or value cannot be one.
        """
        call = Call("PUT", f"{_PATH}/{segment(name)}", json={"content": value})
        return await self._transport.fetch(call, Secret)

    async def list(self) -> builtins.list[Secret]:
        """Return all secrets by name; their values are not told."""
        page = await self._transport.fetch(Call("GET", _PATH), SecretPage)
        return builtins.list(page.secrets)

    async def remove(self, name: str) -> None:
        """Remove a secret.

        Raises:
            NotFound: there is no such secret.
        """
        await self._transport.send(Call("DELETE", f"{_PATH}/{segment(name)}"))
