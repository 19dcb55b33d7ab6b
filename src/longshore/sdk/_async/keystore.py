"""The keystore: set, listed and removed by developers, read by programs only."""

from __future__ import annotations

import builtins
from typing import Final

from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import NATIVE, Call, segment
from longshore.sdk._pages import KeystorePage
from longshore.sdk.keystore import KeystoreEntry, KeystoreKeys, KeystoreRotation

_ENTRIES: Final = f"{NATIVE}/keystore/entries"
_KEYS: Final = f"{NATIVE}/keystore/keys"


class AsyncKeystore:
    """`client.keystore`.

    An entry is for steps of all workflows, unless it is said who it is for: `workflow`, the name of
    one workflow; or `scope`, which is "corpus" (worker programs) or "apps" (runs of apps).
    """

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def set(
        self,
        name: str,
        value: str,
        *,
        workflow: str | None = None,
        scope: str | None = None,
        ingress: bool | None = None,
        description: str | None = None,
    ) -> KeystoreEntry:
        """Set an entry: a new one, or a new version of what is there.

        Args:
            name: 1 to 255 characters; parts may have `/` in between.
            value: a text of at most 64 KiB.
            workflow: the workflow whose steps may read it.
            scope: who else it is for.
            ingress: whether keys of the role ingress may read it; None leaves it as it is.
            description: for people; None leaves it as it is.

        Raises:
            InvalidRequest: name or value cannot be one.
        """
        body = {"value": value, "ingress": ingress, "description": description}
        call = Call("PUT", _path(name), _query(workflow, scope), json=body)
        return await self._transport.fetch(call, KeystoreEntry)

    async def list(
        self, *, workflow: str | None = None, scope: str | None = None
    ) -> builtins.list[KeystoreEntry]:
        """Return all entries, or those of one scope; their values are not told."""
        page = await self._transport.fetch(
            Call("GET", _ENTRIES, _query(workflow, scope)), KeystorePage
        )
        return builtins.list(page.entries)

    async def show(
        self, name: str, *, workflow: str | None = None, scope: str | None = None
    ) -> KeystoreEntry:
        """Return an entry with its versions; its values are not told.

        Raises:
            NotFound: there is no such entry.
        """
        call = Call("GET", _path(name), _query(workflow, scope))
        return await self._transport.fetch(call, KeystoreEntry)

    async def remove(
        self, name: str, *, workflow: str | None = None, scope: str | None = None
    ) -> None:
        """Remove an entry with all of its versions.

        Raises:
            NotFound: there is no such entry.
        """
        await self._transport.send(Call("DELETE", _path(name), _query(workflow, scope)))

    async def keys(self) -> KeystoreKeys:
        """Return the organisation's data keys, and the marks of the server's master keys."""
        return await self._transport.fetch(Call("GET", _KEYS), KeystoreKeys)

    async def rotate(self, *, master: bool = False) -> KeystoreRotation:
        """Change the organisation's data key, or the master key of the server.

        Raises:
            Conflict: the master key is the operator's to change.
            NotFound: there are no secrets yet.
        """
        call = Call("POST", f"{_KEYS}/rotate", json={"master": master})
        return await self._transport.fetch(call, KeystoreRotation)


def _path(name: str) -> str:
    return f"{_ENTRIES}/{segment(name)}"


def _query(workflow: str | None, scope: str | None) -> dict[str, str | None]:
    return {"workflow": workflow, "scope": scope}
