"""`Work`: one work that a program deposits, or withdraws and reports on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from longshore.errors import InvalidRequest
from longshore.sdk._default import async_client_or_default
from longshore.sdk._work import WorkModel

if TYPE_CHECKING:
    from longshore.sdk._async.client import AsyncClient


class AsyncWork(WorkModel, kw_only=True):
    """A work of a bucket: what to run, with which values, and what came of it.

        work = Work(pipeline="search", site="local", user="me", parameters={"dm": 56.7})
        work.deposit()

        work = Work.withdraw("search")
        work.results = {"snr": 12.1}
        work.status = "success"
        work.update()

    Its fields are those of the published client and may be read and set. A value that the field
    cannot hold is refused with InvalidRequest, and the work stays as it was. `longshore.wire.buckets`
    lists the fields with their meanings.

    Every method takes a `client`; without one it uses that which the work was withdrawn or
    deposited with, else the server that `Client()` finds.
    """

    async def deposit(self, client: AsyncClient | None = None) -> str:
        """Put the work into its bucket; return its new id, which the work then has as well.

        Depositing it again makes another work.

        Raises:
            InvalidRequest: a field was changed to what it cannot hold.
        """
        async with async_client_or_default(client or self._client) as used:
            (new_id,) = await used.buckets.deposit([self], return_ids=True)
        self.__dict__[_CLIENT] = client or self._client
        self.id, self.status = new_id, "queued"
        return new_id

    @classmethod
    async def withdraw(  # noqa: PLR0913 - the published signature, and three more
        cls,
        pipeline: str | Sequence[str],
        event: Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        *,
        wait_s: float = 0.0,
        lease_s: float | None = None,
        client: AsyncClient | None = None,
    ) -> Self | None:
        """Take the next work of a bucket under a lease; None when there is none.

        The arguments are those of `client.buckets.withdraw`.
        """
        async with async_client_or_default(client) as used:
            document = await used.buckets.withdraw(
                pipeline,
                event,
                site,
                priority,
                user,
                tags,
                parent,
                wait_s=wait_s,
                lease_s=lease_s,
            )
        if document is None:
            return None
        work = cls.from_dict(document)
        work.__dict__[_CLIENT] = client
        return work

    async def update(self, client: AsyncClient | None = None) -> bool:
        """Report on the work, or change it. Returns True.

        Raises:
            LeaseLost: it was finished by, or given to, somebody else; nothing was written.
            NotFound: it is not there (any more).
        """
        async with async_client_or_default(client or self._client) as used:
            return await used.buckets.update([self])

    async def delete(self, client: AsyncClient | None = None) -> bool:
        """Delete the work, in whatever state it is. Returns True.

        Raises:
            InvalidRequest: the work has no id, since it was not deposited.
        """
        if self.id is None:
            raise InvalidRequest("The work has no id: it was not deposited, so there is none.")
        async with async_client_or_default(client or self._client) as used:
            return await used.buckets.delete_ids([self.id])

    @property
    def _client(self) -> AsyncClient | None:
        return self.__dict__.get(_CLIENT)


_CLIENT = "_client_that_was_used"
