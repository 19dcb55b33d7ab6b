"""The catalogue of apps that workers have offered."""

from __future__ import annotations

import builtins

from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import APPS, Call
from longshore.wire.apps import App, AppList


class AsyncApps:
    """`client.apps`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def list(self) -> builtins.list[App]:
        """Return all apps with their versions, the highest version first.

        An app stays listed when no worker offers it any more; `workers_online` of its versions
        is 0 then, and a run of it waits.
        """
        answer = await self._transport.fetch(Call("GET", f"{APPS}/apps"), AppList)
        return answer.apps
