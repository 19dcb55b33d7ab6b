"""Routes of pipelines, in the protocol of the published client `cspark` 0.3.3 and its forerunners."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from longshore import limits
from longshore.access import Permission
from longshore.edge import body
from longshore.edge.call import Call
from longshore.edge.presence import has_left
from longshore.edge.wakeups import PIPELINE
from longshore.errors import InvalidRequest, LongshoreError
from longshore.storage import Database
from longshore.surfaces.pipelines import creating, ending, pulling, pushing, status
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pulling import Pulled, Wanted
from longshore.surfaces.pipelines.routes.tenants import TenantOperator, TenantReader

router = APIRouter(prefix="/{tenant}/api/v4", tags=["pipelines"])
DELIVERY_HEADER: Final = "X-Longshore-Delivery"
LARGE_BYTES: Final = 1 << 20
LARGE_AT_ONCE: Final = 3
"""Large pushes that are in memory at once; others wait before their bodies are read."""
_MAX_CHUNKS: Final = 100
_log = logging.getLogger(__name__)


@router.get("/batch/status")
async def describe(call: TenantReader) -> Response:
    """Describe the pipelines in progress and those that ended within the last hour."""
    return _json(await call.read(status.describe, call.principal))


@router.post("/batch")
async def create(request: Request, call: TenantOperator) -> Response:
    """Create a pipeline for a version of a service."""
    asked = creating.wanted(await body.json_object(request))

    def make(connection: Any) -> dict[str, Any]:
        pipeline = creating.create(connection, call.principal, _request_id(request), asked)
        return status.envelope(connection, pipeline)

    return await call.change(
        "pipelines.create", make, target=lambda made: str(made["id"]), render=lambda made: made
    )


@router.get("/batch/{batch_id}")
async def get_info(batch_id: str, call: TenantReader) -> Response:
    """Show how a pipeline was made and what it has done."""

    def show(connection: Any) -> dict[str, Any]:
        found = stored.get(connection, call.principal.organisation_id, batch_id)
        return status.information(connection, found)

    return _json(await call.read(show))


@router.get("/batch/{batch_id}/status")
async def get_status(batch_id: str, call: TenantReader) -> Response:
    """Show the figures of a pipeline."""
    organisation_id = call.principal.organisation_id
    # To tell who may not pull is not to tell: a key that only reads must not count records as told.
    pulls = call.principal.allows(Permission.OPERATE)

    def look(connection: Any) -> dict[str, Any] | None:
        found = stored.get(connection, organisation_id, batch_id)
        if pulls and status.untold(connection, found):
            return None
        return status.document(connection, found)

    def tell(connection: Any) -> dict[str, Any]:
        return status.told(connection, stored.get(connection, organisation_id, batch_id, lock=True))

    return _json(await call.read(look) or await call.context.database.write(tell))


@router.post("/batch/{batch_id}/chunks")
async def push(batch_id: str, request: Request, call: TenantOperator) -> Response:
    """Take chunks of records, all of them or none; the answer is the status.

    A chunk whose id was pushed before with the same data is not taken a second time.
    """
    async with call.context.shared(_Room).of(request):
        data = await body.raw_body(request, limit_bytes=limits.PUSH_BODY_BYTES)
        chunks = await asyncio.to_thread(pushing.read_chunks, data)
        answer = await call.context.database.write(
            pushing.push,
            call.principal.organisation_id,
            batch_id,
            chunks,
            actor=call.principal.key_id,
            request_id=_request_id(request),
        )
    return _json(answer)


def _wanted(
    request: Request,
    max_bytes: int = limits.PULL_BYTES,
    again: bool = False,
    confirm: str = "",
    delivery: str | None = None,
) -> Wanted:
    return Wanted(
        max_chunks=_max_chunks(request),
        max_bytes=min(max(max_bytes, 1), limits.PULL_BYTES),
        confirm=[one for one in confirm.split(",") if one],
        again=again,
        delivery=delivery or None,
    )


@router.get("/batch/{batch_id}/chunkresults")
async def pull(
    batch_id: str,
    request: Request,
    call: TenantOperator,
    asked: Annotated[Wanted, Depends(_wanted)],
    wait_s: float = 0.0,
) -> Response:
    """Take computed chunks out of the output buffer; the header X-Longshore-Delivery names them.

    `max` (before 0.2: `max_chunks`) is how many at most, `wait_s` how long to wait for some.
    `confirm` names deliveries that arrived, with commas in between; `again=true` gives all that
    was delivered and not confirmed once more, `delivery` one delivery.
    """
    wanted = replace(asked, origin=_origin(request, call))
    if math.isnan(wait_s):
        raise InvalidRequest("wait_s is no number; give the seconds to wait for outputs.")
    organisation_id = call.principal.organisation_id
    if wait_s > 0 and not (asked.again or asked.delivery):
        if wanted.confirm:
            # What has arrived need not wait for more to come.
            await _confirmed(call, batch_id, wanted)
        await _wait(request, call, batch_id, min(wait_s, limits.CLAIM_WAIT_S))
    pulled = await call.read(pulling.glance, organisation_id, batch_id, wanted)
    if pulled is None:
        if await has_left(request):
            return Response(status_code=499)
        pulled = await call.context.database.write(pulling.pull, organisation_id, batch_id, wanted)
    if not pulled.chunks:
        return _json({"data": [], "status": pulled.status})
    results = await call.read(pulling.results, pulled.chunks)
    content = b"".join(
        [b'{"data":[', b",".join(results), b'],"status":', msgspec.json.encode(pulled.status), b"}"]
    )
    return _Delivery(content, request, call, batch_id, pulled)


@router.get("/batch/{batch_id}/chunks")
async def list_chunks(
    batch_id: str, call: TenantReader, after: str | None = None, limit: int = 1_000
) -> Response:
    """List the chunks of a pipeline in the order in which they were pushed."""
    organisation_id = call.principal.organisation_id
    return _json(await call.read(pulling.listing, organisation_id, batch_id, after, limit))


@router.patch("/batch/{batch_id}")
async def dispose(batch_id: str, request: Request, call: TenantOperator) -> Response:
    """Close a pipeline, or cancel it: {"batch_status": "closed" | "cancelled"}."""
    wish = (await body.json_object(request)).get("batch_status")

    def end(connection: Any) -> dict[str, Any]:
        organisation_id, actor = call.principal.organisation_id, call.principal.key_id
        pipeline = ending.end(connection, organisation_id, batch_id, wish, actor=actor)
        return status.envelope(connection, pipeline, word=str(wish))

    return await call.change(
        "pipelines.end",
        end,
        target=batch_id,
        render=lambda made: made,
        detail={"batch_status": str(wish)[:80]},
    )


@router.delete("/batch/{batch_id}", status_code=202)
async def delete(batch_id: str, call: TenantOperator) -> Response:
    """Cancel a pipeline and delete it with all its chunks; the answer has the id of the job."""
    return await call.change(
        "pipelines.delete",
        ending.delete_soon,
        call.principal,
        batch_id,
        target=batch_id,
        render=lambda made: made,
        status=202,
    )


class _Room:
    """Lets few large bodies in at a time, so that the memory of the server stays flat."""

    def __init__(self, _database: Database) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._small = asyncio.Semaphore(LARGE_AT_ONCE * 16)

    def of(self, request: Request) -> asyncio.Semaphore:
        """Return what a request must hold while its body is in memory."""
        length = request.headers.get("content-length", "")
        small = length.isdecimal() and int(length) <= LARGE_BYTES
        return self._small if small else self._large


class _Delivery(Response):
    """An answer with outputs: they return to the buffer where the connection breaks before it is read."""

    def __init__(
        self, content: bytes, request: Request, call: Call, batch_id: str, pulled: Pulled
    ) -> None:
        assert pulled.delivery is not None
        super().__init__(
            content,
            media_type="application/json",
            headers={DELIVERY_HEADER: pulled.delivery},
        )
        self._request = request
        self._call = call
        self._batch_id = batch_id
        self._delivery = pulled.delivery
        self._settled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, unless nobody is there to read it."""
        ask_for_receipt = scope.get("state", {}).get("receipt")
        try:
            if await has_left(self._request):
                self._settle(False)
                return
            if ask_for_receipt is not None:
                ask_for_receipt(self._settle)
            await super().__call__(scope, receive, send)
        except BaseException:
            self._settle(False)
            raise

    def _settle(self, read: bool) -> None:
        if self._settled:
            return
        self._settled = True
        if not read:
            task = asyncio.get_running_loop().create_task(self._give_back())
            _returning.add(task)
            task.add_done_callback(_returning.discard)

    async def _give_back(self) -> None:
        try:
            await self._call.context.database.write(
                pulling.give_back, self._batch_id, self._delivery
            )
        except LongshoreError as error:
            # They can still be had again, by `again=true`.
            _log.warning("outputs that nobody has read were not put back: %s", error)


_returning: set[asyncio.Task[None]] = set()
"""Held so that none is collected before it is done."""


async def _confirmed(call: Call, batch_id: str, wanted: Wanted) -> None:
    nothing = Wanted(max_chunks=0, confirm=wanted.confirm)
    organisation_id = call.principal.organisation_id
    await call.context.database.write(pulling.pull, organisation_id, batch_id, nothing)


async def _wait(request: Request, call: Call, batch_id: str, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    # The bell is there before the look, so that no output slips in between look and wait.
    with call.context.wakeups.listen_to([f"{PIPELINE}{batch_id}"]) as bell:
        while not await call.read(pulling.ready, call.principal.organisation_id, batch_id):
            call.context.refuse_when_stopping()
            rest_s = until_s - time.monotonic()
            if rest_s <= 0 or await has_left(request):
                return
            await bell.wait(rest_s)


def _max_chunks(request: Request) -> int:
    for name in ("max", "max_chunks"):
        text = request.query_params.get(name)
        if text is not None:
            break
    else:
        return _MAX_CHUNKS
    if not text.isdecimal() or len(text) > 9:
        raise InvalidRequest(f"`{name}` is {text[:80]!r}; give how many chunks to pull at most.")
    return min(max(int(text), 1), limits.CHUNKS_PER_PUSH)


def _request_id(request: Request) -> str | None:
    """Return the client's id of the request, the same for each time that it sends it."""
    return request.headers.get("x-request-id", "").strip()[:200] or None


def _origin(request: Request, call: Call) -> str | None:
    request_id = _request_id(request)
    return None if request_id is None else f"{call.principal.key_id}\n{request_id}"


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
