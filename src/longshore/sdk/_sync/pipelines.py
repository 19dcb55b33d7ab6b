# Generated from _async/pipelines.py by tools/unasync.py; edit that file instead.
"""Pipelines of records: push chunks, have them computed in parallel, pull the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Unpack

import msgspec

from longshore import ids
from longshore.errors import Conflict, InvalidRequest, ServerFault
from longshore.sdk import _pipelines
from longshore.sdk._calls import NATIVE, Call, Query, segment
from longshore.sdk._pipelines import IfDuplicated, PipelineOptions
from longshore.sdk._sync.transport import Transport
from longshore.sdk.operations import Identity
from longshore.sdk.pipelines import (
    BatchChunk,
    ChunkData,
    Inputs,
    PipelineInfo,
    PipelinesInfo,
    PipelineStats,
    PipelineStatus,
    PulledChunk,
)

DELIVERY: Final = "X-Longshore-Delivery"
PipelineState = Literal["open", "closed", "cancelled"]


class _Answer(msgspec.Struct):
    data: list[PulledChunk]
    status: dict[str, Any]


_DECODER: Final = msgspec.json.Decoder(_Answer)


class Pipelines:
    """`client.pipelines`; `client.pipeline(...)` maps over records without chunks of one's own."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport
        self._root: str | None = None

    def create(self, uri: str, **options: Unpack[PipelineOptions]) -> Pipeline:
        """Make a pipeline over a service and return it.

        Args:
            uri: the service: folder/name, folder/name[1.4] (the highest version that begins so),
                service/ID or version/ID.
            **options: see `PipelineOptions` (selected_outputs, max_runners, accuracy, ...).

        Raises:
            NotFound: there is no such service (the message lists near names) or version.
            InvalidRequest: an option cannot be used.
        """
        body = _pipelines.creation_body(uri, options)
        call = Call(
            "POST",
            self.root(),
            json=body,
            headers={"x-request-id": ids.new("rq")},
            repeatable=True,
        )
        return self._made(self._transport.fetch_json(call))

    def of(self, id: str) -> Pipeline:  # noqa: A002
        """Refer to a pipeline by its id; nothing is sent.

        Raises:
            InvalidRequest: the id is blank.
        """
        if not id.strip():
            raise InvalidRequest("The id of the pipeline is blank; it looks like bp_06a3...")
        return Pipeline(self, self._transport, id.strip())

    def describe(self) -> PipelinesInfo:
        """Return the caller's pipelines that are in progress, and those of the last hour."""
        answer = self._transport.fetch_json(Call("GET", f"{self.root()}/status"))
        try:
            return PipelinesInfo(
                in_progress=tuple(map(PipelineInfo.of_answer, answer["in_progress_batches"])),
                recent=tuple(map(PipelineInfo.of_answer, answer["recent_batches"])),
                use=answer["tenant"]["status"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _strange(error) from error

    def root(self) -> str:
        """Return the path of all pipelines, which names the organisation of the key."""
        if self._root is None:
            whoami = Call("GET", f"{NATIVE}/whoami")
            organisation = (self._transport.fetch(whoami, Identity)).organisation_id
            self._root = f"/{segment(organisation)}/api/v4/batch"
        return self._root

    def _made(self, answer: Any) -> Pipeline:
        try:
            info = PipelineInfo.of_answer(answer)
        except (AttributeError, TypeError, ValueError) as error:
            raise _strange(error) from error
        return Pipeline(self, self._transport, info.id, info)


class Pipeline:
    """One pipeline: chunks go in by `push` and come out, computed, by `pull`.

    Attributes:
        id: the pipeline's id.
        info: its record as it was when it was last asked for; None before.
        state: "open", or "closed" or "cancelled" by this object.
    """

    def __init__(
        self,
        owner: Pipelines,
        transport: Transport,
        id: str,  # noqa: A002
        info: PipelineInfo | None = None,
    ) -> None:
        """Refer to a pipeline; nothing is sent."""
        self._owner = owner
        self._transport = transport
        self._pushed: dict[str, int] = {}
        self._deliveries: list[str] = []
        self.id: Final = id
        self.info = info
        self.state: PipelineState = "open"

    def __repr__(self) -> str:
        """Show id and state."""
        return f"<{type(self).__name__} {self.id}: {self.state}>"

    @property
    def stats(self) -> PipelineStats:
        """What was pushed through this object: records of each chunk, by its id."""
        return PipelineStats(dict(self._pushed))

    def push(
        self,
        *,
        inputs: Inputs | None = None,
        data: ChunkData | None = None,
        chunks: Sequence[BatchChunk | Mapping[str, Any]] | None = None,
        if_chunk_id_duplicated: IfDuplicated = "replace",
    ) -> PipelineStatus:
        """Push chunks; all of them are taken, durably, or none.

        A chunk without an id gets one. Values that JSON does not have (NaN, infinities) become
        null. Give exactly one of the three forms.

        Args:
            inputs: the records of one chunk: mappings, or rows below a row of names.
            data: the data of one chunk.
            chunks: several chunks; see `create_chunks`.
            if_chunk_id_duplicated: what to do with an id that was pushed through this object
                before: "replace" it by another, "ignore" the chunk, or "throw" Conflict.

        Raises:
            BufferFull: too many inputs wait to be computed; pull, and push again in a moment.
            Conflict: the pipeline is closed or cancelled, or an id is known and may not be.
            TooLarge: a chunk, or the push, is larger than the server takes.
            InvalidRequest: a chunk cannot be used.
        """
        self._check("push", "closed", "cancelled")
        given = _pipelines.chunks_of(inputs, data, chunks)
        new = _pipelines.without_duplicates(given, self._pushed, if_chunk_id_duplicated)
        call = Call(
            "POST",
            f"{self._path()}/chunks",
            encoded=_pipelines.push_body(new),
            headers={"x-request-id": ids.new("rq")},
            repeatable=True,
        )
        status = self._transport.fetch(call, PipelineStatus)
        self._pushed.update({each.id: each.size or 0 for each in new if each.id is not None})
        return status

    def pull(
        self, max_chunks: int = 100, *, wait_s: float = 0.0, again: bool = False
    ) -> list[PulledChunk]:
        """Take computed chunks out of the pipeline, in the order in which they were computed.

        The server keeps what it gave until the next pull of this object, or `confirm`, so that
        an answer that was lost on its way can be had again.

        Args:
            max_chunks: at most so many, 1 or more.
            wait_s: wait so long for the first one, in seconds.
            again: give everything that was pulled and not confirmed once more, and nothing new.

        Raises:
            Conflict: the pipeline was cancelled.
        """
        self._check("pull", "cancelled")
        confirmed = [] if again else list(self._deliveries)
        call = Call(
            "GET",
            f"{self._path()}/chunkresults",
            query={
                "max": max(1, max_chunks),
                "wait_s": wait_s or None,
                "confirm": ",".join(confirmed) or None,
                "again": True if again else None,
            },
            # The same request sent again gives the same chunks.
            headers={"x-request-id": ids.new("rq")},
            patience_s=wait_s,
        )
        response = self._transport.send(call)
        try:
            answer = _DECODER.decode(response.content)
        except msgspec.MsgspecError as error:
            raise _strange(error) from error
        self._deliveries = [each for each in self._deliveries if each not in confirmed]
        if delivery := response.headers.get(DELIVERY):
            self._deliveries.append(delivery)
        return answer.data

    def confirm(self) -> None:
        """Tell the server that everything pulled so far is safe, and need not be kept."""
        if not self._deliveries:
            return
        confirmed = list(self._deliveries)
        # An `again` for a delivery that is confirmed finds nothing, and takes nothing new.
        query: Query = {"max": 1, "confirm": ",".join(confirmed), "again": True}
        path = f"{self._path()}/chunkresults"
        self._transport.send(Call("GET", path, query=query))
        self._deliveries = [each for each in self._deliveries if each not in confirmed]

    def get_info(self) -> PipelineInfo:
        """Return the pipeline's record, with its settings and what became of its records.

        Raises:
            NotFound: there is no such pipeline (any more).
        """
        return self._keep(self._transport.fetch_json(Call("GET", self._path())))

    def get_status(self) -> PipelineStatus:
        """Return where the pipeline stands.

        Raises:
            NotFound: there is no such pipeline (any more).
        """
        return self._transport.fetch(Call("GET", f"{self._path()}/status"), PipelineStatus)

    def dispose(self) -> PipelineInfo:
        """Close the pipeline: it takes no more chunks; those inside are computed and can be pulled.

        Raises:
            Conflict: it was closed or cancelled through this object before.
        """
        self._check("close", "closed", "cancelled")
        return self._end("closed")

    def cancel(self) -> PipelineInfo:
        """Cancel the pipeline: what is not computed never is, and nothing can be pulled any more.

        Raises:
            Conflict: it was closed or cancelled through this object before.
        """
        self._check("cancel", "cancelled")
        return self._end("cancelled")

    def delete(self) -> None:
        """Delete the pipeline with all that it holds; the server would do so after some days.

        Raises:
            NotFound: there is no such pipeline (any more).
        """
        self._transport.send(Call("DELETE", self._path()))

    def _end(self, state: Literal["closed", "cancelled"]) -> PipelineInfo:
        call = Call("PATCH", self._path(), json={"batch_status": state}, repeatable=True)
        found = self._keep(self._transport.fetch_json(call))
        self.state = state
        return found

    def _path(self) -> str:
        return f"{self._owner.root()}/{segment(self.id)}"

    def _check(self, verb: str, *forbidden: str) -> None:
        if self.state in forbidden:
            raise Conflict(
                f"Pipeline {self.id} is {self.state}: there is nothing to {verb}. Create another."
            )

    def _keep(self, answer: Any) -> PipelineInfo:
        try:
            self.info = PipelineInfo.of_answer(answer)
        except (AttributeError, TypeError, ValueError) as error:
            raise _strange(error) from error
        return self.info


def _strange(error: Exception) -> ServerFault:
    return ServerFault(
        f"The server's answer about a pipeline cannot be read: {error}. Check that client and "
        "server are of the same version."
    )
