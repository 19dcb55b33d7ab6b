"""Buckets: works that programs deposit, and that workers anywhere withdraw and report on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Unpack, overload

from longshore.errors import LongshoreError
from longshore.limits import CLAIM_WORKS
from longshore.sdk import _buckets
from longshore.sdk._async.buckets_actions import AsyncAction
from longshore.sdk._async.buckets_heartbeat import AsyncHeartbeat, OnLost
from longshore.sdk._async.buckets_view import view_all
from longshore.sdk._async.buckets_webhooks import AsyncWebhooks
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._buckets import Confirm, Document, Payload, Sorting
from longshore.sdk._calls import BUCKET_WORK, BUCKETS, Call, creating, segment, without_none
from longshore.sdk._leases import LeaseBook, attempts_of
from longshore.sdk.buckets import (
    ActionInfo,
    Artifact,
    BucketAction,
    BucketChanges,
    BucketSettings,
)


class AsyncBuckets:
    """`client.buckets`.

    A bucket is made by the first work that is deposited into it. Works are dicts, as the published
    client has them; wherever works are taken, a `Work` may be given too.

    Attributes:
        webhooks: addresses that are told when works end.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport
        self._leases = LeaseBook()
        self.webhooks: Final = AsyncWebhooks(transport)

    @overload
    async def deposit(
        self, works: Sequence[Payload], return_ids: Literal[False] = False
    ) -> bool: ...

    @overload
    async def deposit(self, works: Sequence[Payload], return_ids: Literal[True]) -> list[str]: ...

    @overload
    async def deposit(self, works: Sequence[Payload], return_ids: bool) -> bool | list[str]: ...

    async def deposit(self, works: Sequence[Payload], return_ids: bool = False) -> bool | list[str]:
        """Put works into their buckets, all or none; the server gives each a new id.

        A request whose answer is lost is sent again under the same idempotency key, so that no
        work is deposited twice. More than 10,000 works or 64 MiB are sent in several requests.

        Args:
            works: the works.
            return_ids: return the new ids, in the order of the works, instead of True.

        Raises:
            InvalidRequest: a work breaks a rule; none was deposited.
            LongshoreError: a later request failed; `details["deposited_ids"]` names what the
                earlier ones deposited.
        """
        checked = [{**work, "id": None} for work in _buckets.documents(works)]
        ids: list[str] = []
        for piece in _buckets.pieces(checked):
            call = creating(BUCKET_WORK, encoded=piece.body, query={"return_ids": True})
            try:
                ids.extend(await self._transport.fetch_json(call))
            except LongshoreError as error:
                if ids:
                    error.details["deposited_ids"] = ids
                raise
        return ids if return_ids else True

    @overload
    async def withdraw(
        self,
        pipeline: str | Sequence[str],
        event: Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        *,
        limit: None = None,
        wait_s: float = 0.0,
        lease_s: float | None = None,
    ) -> Document | None: ...

    @overload
    async def withdraw(
        self,
        pipeline: str | Sequence[str],
        event: Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        *,
        limit: int,
        wait_s: float = 0.0,
        lease_s: float | None = None,
    ) -> list[Document]: ...

    async def withdraw(  # noqa: PLR0913 - the published signature, and three more
        self,
        pipeline: str | Sequence[str],
        event: Sequence[int] | None = None,
        site: str | None = None,
        priority: int | None = None,
        user: str | None = None,
        tags: Sequence[str] | None = None,
        parent: str | Sequence[str] | None = None,
        *,
        limit: int | None = None,
        wait_s: float = 0.0,
        lease_s: float | None = None,
    ) -> Document | list[Document] | None:
        """Take queued works under a lease: the highest priority first, then the oldest.

        A filter that is None or empty does not restrict.

        Args:
            pipeline: the bucket, or several.
            event: only works about at least one of these events.
            site: only works for this site.
            priority: only works of this priority.
            user: only works of this user.
            tags: only works with at least one of these tags.
            parent: only works of this parent pipeline, or of one of these.
            limit: return a list of at most so many works (1,000), instead of one work or None.
            wait_s: wait so many seconds for a work where there is none.
            lease_s: hold the works for so many seconds, to be renewed with `heartbeat`; default
                is each work's own timeout and a little more.

        Raises:
            InvalidRequest: a value cannot be used.
            ServerUnreachable: no answer came; works that the server gave out all the same run
                into the end of their lease. This request is not sent again by itself.
        """
        chosen = _buckets.withdrawal(pipeline, event, site, priority, user, tags, parent)
        most = None if limit is None else min(limit, CLAIM_WORKS)
        found: Any = None
        for poll_s in _buckets.polls_s(wait_s):
            query = {"limit": most, "wait_s": poll_s or None, "lease_s": lease_s}
            call = Call(
                "POST", f"{BUCKET_WORK}/withdraw", query=query, json=chosen, patience_s=poll_s
            )
            found = await self._transport.fetch_json(call)
            if found:
                break
        return (found or []) if limit is not None else (found or None)

    async def update(self, works: Sequence[Payload]) -> bool:
        """Report on withdrawn works, or change works; each is given whole. Returns True.

        `attempt` and `start` of a work say which withdrawal the report belongs to.

        Args:
            works: the works.

        Raises:
            LeaseLost: a work was finished by, or given to, somebody else meanwhile; the message
                says by whom. Nothing was written of it; `details["refused"]` lists each such work,
                `details["updated"]` counts those that were written.
            NotFound: a work is not there (any more).
            InvalidRequest: a work breaks a rule.
        """
        documents = _buckets.documents(works)
        refused: list[dict[str, Any]] = []
        for piece in _buckets.pieces(documents):
            with self._leases.ending(documents[piece.start : piece.end]) as kept:
                call = Call("PUT", BUCKET_WORK, encoded=piece.body)
                of_piece = _buckets.refusals(await self._transport.fetch_json(call))
                kept.update(_buckets.still_held(of_piece))
            refused.extend(of_piece)
        _buckets.raise_refused(refused, len(documents) - len(refused))
        return True

    async def view(
        self,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int | None = 100,
        sort: Sorting | None = None,
    ) -> list[Document]:
        """Return works that match a query, as their documents.

        Args:
            query: in the form of MongoDB, such as {"pipeline": "p", "attempt": {"$gte": 2}}; None
                or {} for all. Which operators there are is in the reference.
            projection: the fields to return, such as {"id": True}, or to leave out, such as
                {"results": False}; default is all.
            skip: leave out so many at the start.
            limit: at most so many; None for all, which takes several requests.
            sort: the order, such as {"creation": -1}; default is the order of deposit.

        Raises:
            InvalidRequest: the query, projection or order cannot be used; the message says where.
        """
        return await view_all(
            self._transport,
            f"{BUCKETS}/view",
            _buckets.View(dict(query or {}), projection, skip, limit, sort),
        )

    async def count(self, query: Mapping[str, Any] | None = None) -> int:
        """Return how many works match a query; see `view`."""
        body = {"query": dict(query or {})}
        return int(await self._transport.fetch_json(Call("POST", f"{BUCKETS}/count", json=body)))

    async def delete_ids(self, ids: Sequence[str]) -> bool:
        """Delete works, in whatever state they are; one that is not there is no error.

        Returns True.
        """
        for some in _buckets.chunks(ids):
            await self._transport.fetch_json(Call("DELETE", BUCKET_WORK, query={"ids": some}))
        return True

    async def delete_many(  # noqa: PLR0913 - the published signature, and one more
        self,
        pipeline: str,
        status: str | Sequence[str] | None = None,
        events: Sequence[int] | None = None,
        tags: Sequence[str] | None = None,
        parent: str | None = None,
        force: bool = False,
        limit: int | None = 100,
        *,
        confirm: Confirm | None = None,
    ) -> bool:
        """Delete works of a bucket after asking; `act` does it for any number of works.

        Args:
            pipeline: the bucket.
            status: only works with this status, or one of these.
            events: only works about at least one of these events.
            tags: only works with at least one of these tags.
            parent: only works of this parent pipeline.
            force: do not ask.
            limit: at most so many; None for all.
            confirm: is shown how many works it is and a sample, and says whether to go on;
                default asks on the terminal.

        Returns:
            Whether works were deleted: False when there were none, or the answer was no.

        Raises:
            InvalidRequest: there is no terminal to ask on.
        """
        query = _buckets.selection(pipeline, status, events, tags, parent)
        found = await self.view(query, {"id": True}, limit=limit)
        ids = [str(work["id"]) for work in found]
        if not ids:
            return False
        if not force and not (confirm or _buckets.ask)(_buckets.question(ids, query)):
            return False
        return await self.delete_ids(ids)

    async def status(self, pipeline: str | None = None) -> dict[str, Any]:
        """Return how many works there are by status, of one bucket or of all.

        A bucket that is not there has no works: its total is 0.
        """
        path = f"/details/{segment(pipeline)}" if pipeline else ""
        answer = await self._transport.fetch_json(Call("GET", f"{BUCKETS}/status{path}"))
        return dict(answer)

    async def pipelines(self) -> list[str]:
        """Return the names of the buckets."""
        answer = await self._transport.fetch_json(Call("GET", f"{BUCKETS}/status/pipelines"))
        return list(answer)

    async def audit(self) -> dict[str, int]:
        """Do now what the server does by itself from time to time, and return the counts.

        Returns:
            `failed`: failed works with attempts left, queued again. `expired`: works that ran
            longer than their timeout, now failed. `stale`: works older than 7 days; these are
            only counted.
        """
        found = {}
        for name, path in (("failed", "failed"), ("expired", "expired"), ("stale", "stale/7.0")):
            answer = await self._transport.fetch_json(Call("GET", f"{BUCKETS}/audit/{path}"))
            found[name] = int(answer)
        return found

    async def info(self) -> dict[str, Any]:
        """Return the versions of client and server."""
        server = await self._transport.fetch_json(Call("GET", f"{BUCKETS}/version"))
        client = {"version": self._transport.version, "url": self._transport.url}
        return {"client": client, "server": server}

    async def act(
        self,
        action: BucketAction,
        query: Mapping[str, Any] | None = None,
        *,
        ids: Sequence[str] | None = None,
    ) -> AsyncAction:
        """Let the server do something to many works: to all that match a query, or to those named.

            client.buckets.act("retry", {"pipeline": "search", "status": "failure"}).wait()

        Only works that were deposited before this call are touched.

        Args:
            action: "retry" queues again what failed or was cancelled, whatever its attempts;
                "cancel" ends what is not over; "delete" removes works in any state.
            query: which works, as `view` takes it; {} is all works in all buckets.
            ids: the works, instead of a query.

        Returns:
            The job that does it; `.wait()` for its end and counts.

        Raises:
            InvalidRequest: not exactly one of the two is given, or the query cannot be used.
        """
        body = without_none(action=action, query=query, ids=None if ids is None else list(ids))
        answer = await self._transport.fetch(creating(f"{BUCKETS}/actions", body), ActionInfo)
        return AsyncAction(self._transport, answer.id)

    async def settings(self, pipeline: str) -> BucketSettings:
        """Return the settings of a bucket.

        Raises:
            NotFound: there is no such bucket.
        """
        return await self._transport.fetch(Call("GET", _settings(pipeline)), BucketSettings)

    async def configure(self, pipeline: str, **changes: Unpack[BucketChanges]) -> BucketSettings:
        """Change settings of a bucket, and return all of them.

        Args:
            pipeline: the bucket.
            **changes: see `BucketChanges`; what is not given stays as it is.

        Raises:
            NotFound: there is no such bucket.
            InvalidRequest: a value cannot be used; nothing was changed.
        """
        call = Call("PUT", _settings(pipeline), json=dict(changes))
        return await self._transport.fetch(call, BucketSettings)

    async def artifacts(self, work_id: str) -> list[Artifact]:
        """Return the files that a work named as its products and plots.

        Raises:
            NotFound: there is no such work (any more).
        """
        call = Call("GET", f"{BUCKETS}/artifacts/{segment(work_id)}")
        return [Artifact.model_validate(entry) for entry in await self._transport.fetch_json(call)]

    def heartbeat(
        self,
        works: Payload | Sequence[Payload],
        *,
        lease_s: float = 60.0,
        on_lost: OnLost | None = None,
    ) -> AsyncHeartbeat:
        """Keep the leases of withdrawn works alive while a block runs.

            work = client.buckets.withdraw("search", lease_s=60)
            with client.buckets.heartbeat(work) as heartbeat:
                for part in parts:
                    heartbeat.check()
                    ...

        When the program dies, the works are free again after `lease_s`, not after their timeout.

        Args:
            works: what `withdraw` returned, one or several.
            lease_s: length of the leases in seconds; they are renewed at a third of it.
            on_lost: called in the background with the LeaseLost of each work that is lost or
                cancelled. Without it, `check()` and the end of the block raise.

        Raises:
            InvalidRequest: a work was not withdrawn, or `lease_s` is not above 0.
        """
        return AsyncHeartbeat(
            self._transport, self._leases, attempts_of(works), lease_s=lease_s, on_lost=on_lost
        )


def _settings(pipeline: str) -> str:
    return f"{BUCKETS}/settings/{segment(pipeline)}"
