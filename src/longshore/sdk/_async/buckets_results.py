"""The results store: finished works that have left their buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from longshore.sdk import _buckets
from longshore.sdk._async.buckets_view import view_all
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._buckets import Confirm, Document, Payload, Sorting
from longshore.sdk._calls import RESULTS, Call, creating


class AsyncResults:
    """`client.results`.

    Finished works move here by themselves, after a time that is a setting of their bucket, unless
    their `config.archive.results` is false. A locked result can neither be changed nor deleted.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def deposit(self, works: Sequence[Payload]) -> dict[str, bool]:
        """Put finished works into the store; they need a pipeline, a status and results.

        Args:
            works: the works; one without an id is given one.

        Returns:
            True for each pipeline.

        Raises:
            InvalidRequest: a work is not finished (success or failure) or breaks a rule.
            Conflict: the id of one is there already; of that request nothing was stored.
        """
        stored: dict[str, bool] = {}
        for piece in _buckets.pieces(_buckets.as_given(works)):
            call = creating(f"{RESULTS}/results", encoded=piece.body)
            stored.update(await self._transport.fetch_json(call))
        return stored

    async def update(self, works: Sequence[Payload]) -> bool:
        """Lay documents over the results with the same ids. Returns True.

        Raises:
            NotFound: one is not in the store; nothing was changed.
            Conflict: one is locked; nothing was changed.
        """
        return await self._put(_buckets.as_given(works))

    async def view(
        self,
        pipeline: str,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
        skip: int = 0,
        limit: int | None = 100,
        sort: Sorting | None = None,
    ) -> list[Document]:
        """Return results of a pipeline that match a query, as their documents.

        Args:
            pipeline: the bucket that they come from.
            query: as in `client.buckets.view`.
            projection: the fields to return, or to leave out.
            skip: leave out so many at the start.
            limit: at most so many; None (or -1, as the published client has it) for all.
            sort: the order; default is the order of their coming.

        Raises:
            InvalidRequest: the query, projection or order cannot be used.
        """
        most = None if limit is None or limit < 0 else limit
        chosen = {**(query or {}), "pipeline": pipeline}
        return await view_all(
            self._transport,
            f"{RESULTS}/view",
            _buckets.View(chosen, projection, skip, most, sort),
        )

    async def count(self, pipeline: str, query: Mapping[str, Any] | None = None) -> int:
        """Return how many results of a pipeline match a query."""
        body = {"query": {**(query or {}), "pipeline": pipeline}}
        return int(
            await self._transport.fetch_json(Call("POST", f"{RESULTS}/view/count", json=body))
        )

    async def status(self) -> dict[str, int]:
        """Return how many results each pipeline has."""
        return dict(await self._transport.fetch_json(Call("GET", f"{RESULTS}/status")))

    async def get_by_id(self, pipeline: str, ids: Sequence[str]) -> list[Document]:
        """Return the results with these ids; one that is not there is left out."""
        found: list[Document] = []
        for some in _buckets.chunks(ids):
            found.extend(await self.view(pipeline, {"id": {"$in": some}}, limit=None))
        return found

    async def delete_ids(self, pipeline: str, ids: Sequence[str]) -> bool:
        """Delete results; one that is not there is no error. Returns True.

        Raises:
            Conflict: one is locked; of that request nothing was deleted.
        """
        for some in _buckets.chunks(ids):
            call = Call("DELETE", f"{RESULTS}/results", query={pipeline: some})
            await self._transport.fetch_json(call)
        return True

    async def lock(self, pipeline: str, ids: Sequence[str]) -> bool:
        """Keep results from being changed or deleted; returns whether there were any."""
        return await self._set_lock(pipeline, ids, locked=True)

    async def unlock(
        self,
        pipeline: str,
        ids: Sequence[str],
        force: bool = False,
        *,
        confirm: Confirm | None = None,
    ) -> bool:
        """Let results be changed and deleted again, after asking.

        Args:
            pipeline: the bucket that they come from.
            ids: the results.
            force: do not ask.
            confirm: is shown the question, and says whether to go on; default asks on the terminal.

        Returns:
            Whether results were unlocked: False when there were none, or the answer was no.

        Raises:
            InvalidRequest: there is no terminal to ask on.
        """
        noun = "result" if len(ids) == 1 else "results"
        question = f"Unlock {len(ids)} {noun} of {pipeline}, so that they can be deleted?\n"
        if not force and not (confirm or _buckets.ask)(question):
            return False
        return await self._set_lock(pipeline, ids, locked=False)

    async def _set_lock(self, pipeline: str, ids: Sequence[str], *, locked: bool) -> bool:
        found = [
            {
                "id": result["id"],
                "pipeline": result["pipeline"],
                "status": result["status"],
                "results": {**(result.get("results") or {}), "locked": locked},
            }
            for result in await self.get_by_id(pipeline, ids)
        ]
        return bool(found) and await self._put(found)

    async def _put(self, documents: Sequence[Document]) -> bool:
        for piece in _buckets.pieces(documents):
            await self._transport.fetch_json(Call("PUT", f"{RESULTS}/results", encoded=piece.body))
        return True
