"""Routes of works: deposit, withdraw, renew, update, delete, view, count."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from longshore import limits, tracing
from longshore.edge import body
from longshore.edge.call import Call
from longshore.edge.callers import Reader
from longshore.edge.gathering import Gatherer
from longshore.edge.presence import has_left
from longshore.edge.wakeups import QUEUES
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage import Database
from longshore.surfaces.buckets import (
    deleting,
    depositing,
    documents,
    query,
    retries,
    updating,
    viewing,
    withdrawing,
)
from longshore.surfaces.buckets.retries import Answers, Note
from longshore.surfaces.buckets.routes.shared import Reporter, answer
from longshore.surfaces.buckets.viewing import View
from longshore.surfaces.buckets.withdrawing import Wanted, Withdrawn

router = APIRouter(prefix="/buckets", tags=["buckets"])
T = TypeVar("T")
_TRUE: Final = ("true", "1")


@router.post("/work")
async def deposit(request: Request, call: Reporter) -> Response:
    """Queue works: a JSON list of them. The answer is true, or their ids with `?return_ids=True`.

    Sent again with the same Idempotency-Key, it answers as before and queues nothing.
    """
    data = await body.raw_body(request, limit_bytes=limits.BUCKETS_BODY_BYTES)
    new = await _aside(data, depositing.read_deposits, data, call.context.clock.now_us() / 1e6)
    gatherer = call.context.shared(_deposits)
    answers = call.context.shared(Answers)
    wants_ids = any(flag.lower() in _TRUE for flag in request.query_params.getlist("return_ids"))
    principal = call.principal
    key = call.idempotency_key()
    if key is not None:
        named = depositing.Request(
            principal.organisation_id,
            principal.key_id,
            new,
            None,
            (key, call.fingerprint()),
            tracing.carried(),
        )
        made = await gatherer.write(named)
        return answer(made.ids if wants_ids else True)
    parts = (
        request.scope["query_string"],
        request.headers.get("date", "").encode(),
        data,
    )
    note = answers.begin(retries.digest_of(principal.key_id, *parts))
    try:
        made = await gatherer.write(
            depositing.Request(
                principal.organisation_id,
                principal.key_id,
                new,
                note,
                traceparent=tracing.carried(),
            )
        )
    except BaseException:
        answers.abandoned(note)
        raise
    content = bytes(answer(made.ids if wants_ids else True).body)
    return _Noted(content, request, answers, note, made.notes)


class _Noted(Response):
    """An answer to a deposit, which notes whether it was read."""

    def __init__(
        self, content: bytes, request: Request, answers: Answers, note: Note, names: Sequence[str]
    ) -> None:
        super().__init__(content, media_type="application/json")
        self._request = request
        self._answers = answers
        self._note = note
        self._names = names
        self._settled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, unless nobody is there to read it."""
        # The connection knows more than that the answer was sent: whether it broke after that.
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
        if ask_for_receipt is None:
            self._settle(True)

    def _settle(self, read: bool) -> None:
        if self._settled:
            return
        self._settled = True
        if read:
            self._answers.delivered(self._note, self._names)
        else:
            self._answers.abandoned(self._note)


@router.post("/work/withdraw")
async def withdraw(
    request: Request,
    call: Reporter,
    limit: int | None = None,
    wait_s: float = 0.0,
    lease_s: float | None = None,
) -> Response:
    """Lease the next work that a filter matches; `null` when there is none.

    With `limit` the answer is a list of up to so many; with `wait_s` it waits so long for some.
    A lease lasts for the work's `timeout`, or for `lease_s` and is then to be renewed.
    """
    most = 1 if limit is None else limit
    if not 1 <= most <= limits.CLAIM_WORKS:
        raise InvalidRequest(f"limit is {most}; withdraw 1 to {limits.CLAIM_WORKS} at once.")
    if math.isnan(wait_s):
        raise InvalidRequest("wait_s is no number; give the seconds to wait for works.")
    if lease_s is not None and not 0 < lease_s <= limits.LEASE_S:
        raise InvalidRequest(f"lease_s is {lease_s}; give up to {limits.LEASE_S:.0f} seconds.")
    data = await body.raw_body(request, limit_bytes=limits.JSON_BODY_BYTES)
    asked = documents.decoded(data)
    until_s = time.monotonic() + min(max(wait_s, 0.0), limits.CLAIM_WAIT_S)
    found: list[Withdrawn] | None = None
    while found is None:
        found = await _withdraw_until(request, call, asked, most, lease_s, until_s)
    shown = [each.document for each in found]
    if limit is None:
        return answer(shown[0] if shown else None)
    return answer(shown)


async def _withdraw_until(
    request: Request, call: Call, asked: Any, limit: int, lease_s: float | None, until_s: float
) -> list[Withdrawn] | None:
    """Withdraw as soon as something is there; None when a bucket that is asked for may be new."""
    organisation_id = call.principal.organisation_id
    wanted = await call.read(withdrawing.understand, organisation_id, asked)
    made = () if wanted.complete else (QUEUES,)
    with call.context.wakeups.listen(wanted.queue_ids, *made) as bell:
        if made:
            # The bucket could have been made before the bell was there.
            now = await call.read(withdrawing.understand, organisation_id, asked)
            if now.queue_ids != wanted.queue_ids:
                return None
        while True:
            call.context.refuse_when_stopping()
            found = await _withdraw_now(request, call, wanted, limit, lease_s)
            rest_s = until_s - time.monotonic()
            if found or rest_s <= 0 or await has_left(request):
                return found
            if await bell.wait(rest_s) and made:
                return None


async def _withdraw_now(
    request: Request, call: Call, wanted: Wanted, limit: int, lease_s: float | None
) -> list[Withdrawn]:
    among = None
    if wanted.where is not None:
        among = await call.read(withdrawing.candidates, wanted, limit=limit)
        if not among:
            return []
    elif not await call.read(withdrawing.waiting, wanted):
        return []
    holder = call.principal.key_id
    found = await call.context.database.write(
        withdrawing.claim, wanted, limit=limit, holder=holder, lease_s=lease_s, among=among
    )
    if found and await has_left(request):
        # Nobody heard of these leases; another may have the works now instead of after them.
        leases = [each.lease for each in found]
        await call.context.database.write(withdrawing.hand_back, leases, holder=holder)
        return []
    return found


@router.post("/work/renew")
async def renew(request: Request, call: Reporter) -> Response:
    """Lengthen leases: {"works": [{"id", "attempt"}, ...], "lease_s"}; the answer names the lost."""
    wanted = await body.json_object(request)
    held, lease_s = _held(wanted)
    lost = await call.context.database.write(
        withdrawing.renew, call.principal.organisation_id, held, lease_s=lease_s
    )
    return answer(
        {
            "lost": [
                {
                    "id": each.work_id,
                    "attempt": each.attempt,
                    "reason": each.reason,
                    "cancelled": each.cancelled,
                }
                for each in lost
            ]
        }
    )


@router.put("/work")
async def update(request: Request, call: Reporter) -> Response:
    """Replace the documents of works: a JSON list of them. The answer is true.

    Works that the sender does not hold (any more) are left as they are, and the answer is
    {"updated": n, "refused": [...]} with who holds or finished each.
    """
    data = await body.raw_body(request, limit_bytes=limits.BUCKETS_BODY_BYTES)
    masker = await call.masker()
    if masker:
        data = await _aside(data, masker.json, data)
    changes = await _aside(data, updating.read_changes, data, call.context.clock.now_us() / 1e6)
    refused = await call.context.shared(_updates).write(
        updating.Request(call.principal.organisation_id, call.principal.key_id, changes)
    )
    if not refused:
        return answer(True)
    return answer({"updated": len(changes) - len(refused), "refused": refused})


@router.delete("/work")
async def delete(request: Request, call: Reporter) -> Response:
    """Delete works by `?ids=`, in whatever state they are; the answer is true."""
    work_ids = request.query_params.getlist("ids")
    if len(work_ids) > limits.DEPOSIT_WORKS:
        raise TooLarge(f"{len(work_ids)} ids; delete at most {limits.DEPOSIT_WORKS} at a time.")
    if work_ids:
        await call.write(
            "works.delete",
            deleting.delete_works,
            call.principal.organisation_id,
            work_ids,
            actor=call.principal.key_id,
            target=work_ids[0],
            detail={"works": len(work_ids)},
        )
    return answer(True)


@router.post("/view")
async def view(request: Request, call: Reader) -> Response:
    """Show the works that a query matches: {"query", "projection", "sort", "skip", "limit"}."""
    wanted = View.parse(await body.json_object(request))
    return answer(await call.read(viewing.view, call.principal.organisation_id, wanted))


@router.post("/count")
async def count(request: Request, call: Reader) -> Response:
    """Count the works that a query matches: {"query": {...}}."""
    wanted = await body.json_object(request)
    where = query.parse(wanted.get("query") or {})
    return answer(await call.read(viewing.count, call.principal.organisation_id, where))


async def _aside(data: bytes, function: Callable[..., T], /, *arguments: Any) -> T:
    """Call a function that reads `data`, in a thread if there is much of it."""
    if len(data) > body.ASIDE_BYTES:
        return await asyncio.to_thread(function, *arguments)
    return function(*arguments)


def _deposits(database: Database) -> Gatherer[depositing.Request, depositing.Deposited]:
    return Gatherer(database, depositing.deposit_all)


def _updates(database: Database) -> Gatherer[updating.Request, list[updating.Refused]]:
    return Gatherer(database, updating.apply_all)


def _held(wanted: dict[str, Any]) -> tuple[list[tuple[str, int]], float]:
    lease_s = wanted.get("lease_s", 60.0)
    if isinstance(lease_s, bool) or not isinstance(lease_s, int | float):
        raise InvalidRequest("lease_s is no number; send the length of the leases in seconds.")
    if not 0 < lease_s <= limits.LEASE_S:
        raise InvalidRequest(f"lease_s is {lease_s}; give up to {limits.LEASE_S:.0f} seconds.")
    works = wanted.get("works")
    if not isinstance(works, list) or len(works) > limits.DEPOSIT_WORKS:
        raise InvalidRequest(f"works must be a list of at most {limits.DEPOSIT_WORKS} leases.")
    try:
        return [(str(each["id"]), int(each["attempt"])) for each in works], float(lease_s)
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidRequest('A lease is {"id": "...", "attempt": 1}.') from error
