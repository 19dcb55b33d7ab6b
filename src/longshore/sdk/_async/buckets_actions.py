"""Actions on many works: jobs of the server."""

from __future__ import annotations

from typing import Final, Self

from longshore.errors import ServerFault
from longshore.sdk._async.polling import wait_until
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import BUCKETS, Call, segment
from longshore.sdk.buckets import ActionInfo
from longshore.wire.apps import JobState


class AsyncAction:
    """The job of one action: retry, cancel or delete.

    Attributes:
        id: the job's id; the server remembers it for days after its end.
        info: where it stood at the last look; all counts are 0 before the first.
    """

    def __init__(self, transport: AsyncTransport, id: str) -> None:  # noqa: A002
        """Refer to an action; nothing is sent."""
        self._transport = transport
        self.id: Final = id
        self.info = ActionInfo(id=id)

    def __repr__(self) -> str:
        """Show id and state."""
        return f"<{type(self).__name__} {self.id}: {self.info.state.value}>"

    async def refresh(self) -> Self:
        """Look at the action and return it.

        Raises:
            NotFound: the server knows no such action (any more).
        """
        call = Call("GET", f"{BUCKETS}/actions/{segment(self.id)}")
        self.info = await self._transport.fetch(call, ActionInfo)
        return self

    async def wait(self, timeout_s: float | None = None) -> Self:
        """Wait until the action has done all of it, and return it with its counts.

        Args:
            timeout_s: give up after so many seconds; None waits for ever.

        Raises:
            WaitTimeout: the time is over; the action goes on.
            ServerFault: the action failed; `info.message` says why. Doing it again is harmless.
        """

        async def finished() -> bool:
            return (await self.refresh()).info.finished

        await wait_until(finished, timeout_s=timeout_s, what=f"Action {self.id}")
        if self.info.state is not JobState.COMPLETE:
            raise ServerFault(
                f"Action {self.id} ended {self.info.state.value}: "
                f"{self.info.message or 'no reason was given'}. Ask for it again; what is already "
                "done does no harm.",
                details={"job_id": self.id, "state": self.info.state.value},
            )
        return self
