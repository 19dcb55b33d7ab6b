"""Buckets: what waits in them, what failed, and what a person can do about it."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission
from longshore.clock import SECOND_US
from longshore.dashboard import templating
from longshore.dashboard.access import Admin, Developer, Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import Form, read_form
from longshore.edge.call import Call
from longshore.engine import queues
from longshore.errors import InvalidRequest, LongshoreError
from longshore.surfaces.buckets import (
    actions,
    auditing,
    browsing,
    depositing,
    query,
    results_store,
    settings,
    webhooks,
)

router = APIRouter(include_in_schema=False)

BUCKETS: Final = 25
COUNTED: Final = 1_000
"""Most works of a state that the list of buckets counts."""
COUNTED_ONE: Final = 10_000
"""Most works of a state that the page of one bucket counts."""
ROWS: Final = 50
ACTIONS: Final = ("retry", "cancel", "delete")
_LAST_US: Final = 253_402_300_799 * SECOND_US
"""The end of the year 9999, after which no time can be written."""


@router.get("/ui/buckets")
async def list_buckets(call: Viewer, after: str | None = None) -> Response:
    """List the buckets with their counts."""
    found = await call.read(
        browsing.buckets,
        call.principal.organisation_id,
        after=after,
        limit=BUCKETS + 1,
        most=COUNTED,
    )
    older = None
    if len(found) > BUCKETS:
        older = addressed("/ui/buckets", after=found[BUCKETS - 1].queue.name)
    return templating.render(
        call,
        "buckets/list.html",
        buckets=found[:BUCKETS],
        counted=COUNTED,
        states=browsing.STATES,
        newest="/ui/buckets" if after is not None else None,
        older=older,
    )


@router.post("/ui/buckets/audit")
async def audit(request: Request, call: Operator) -> Response:
    """Do now what the server does by itself a little later, and tell how many works it was about."""
    form = await read_form(request)
    what = form.text("what")
    organisation_id = call.principal.organisation_id
    if what == "stale":
        count = await call.read(auditing.stale, organisation_id, _number(form, "days"))
        return templating.done(f"{count:,} works are older than {form.text('days')} days.")
    passes = {"failed": auditing.failed, "expired": auditing.expired}
    if what not in passes:
        raise InvalidRequest("Choose what to look for: failed, expired or stale works.")
    count = await call.write(
        f"buckets.audit_{what}",
        passes[what],
        organisation_id,
        actor=call.principal.key_id,
        target="buckets",
        detail={"reason": form.reason()},
    )
    told = {
        "failed": "failed works were queued again",
        "expired": "works whose time was over have failed",
    }
    return templating.done(f"{count:,} {told[what]}.")


@router.post("/ui/buckets/deposit")
async def deposit(request: Request, call: Operator) -> Response:
    """Queue works that a person has written as JSON."""
    form = await read_form(request)
    text = form.raw("works").strip()
    # One work is what people have at hand; its text is not read and written again.
    data = (f"[{text}]" if text.startswith("{") else text).encode()
    new = depositing.read_deposits(data, call.context.clock.now_us() / SECOND_US)
    if not new:
        raise InvalidRequest("There is no work in it. Write one as a JSON object, {...}.")
    made = await call.write(
        "buckets.deposit",
        depositing.deposit,
        call.principal.organisation_id,
        new,
        actor=call.principal.key_id,
        target=lambda work_ids: str(work_ids[0]),
        detail={"works": len(new), "reason": form.reason()},
    )
    bucket = f"/ui/buckets/{quote(new[0].payload.pipeline, safe='')}"
    to = f"/ui/works/{made[0]}" if len(made) == 1 else bucket
    return templating.done(
        f"Deposited {made[0] if len(made) == 1 else f'{len(made)} works'}.", to=to
    )


@router.get("/ui/buckets/{name}")
async def show_bucket(
    name: str,
    call: Viewer,
    state: str = "",
    filter: str = "",  # noqa: A002 - the word in the address
    before: str | None = None,
) -> Response:
    """Show a bucket and its works."""
    organisation_id = call.principal.organisation_id
    bucket = await call.read(browsing.bucket, organisation_id, name, most=COUNTED_ONE)
    where, problem = _filter(filter)
    shown: browsing.Page | None = None
    if problem is None:
        try:
            shown = await call.read(
                browsing.works,
                bucket.queue,
                state=_state(state),
                where=where,
                before=before,
                limit=ROWS,
            )
        except LongshoreError as error:
            problem = str(error)
    address = f"/ui/buckets/{quote(name, safe='')}"
    older = None
    if shown is not None and shown.older is not None:
        older = addressed(address, state=state, filter=filter, before=shown.older)
    hooks: list[webhooks.Webhook] = []
    if call.principal.allows(Permission.ADMIN):
        hooks = [
            hook
            for hook in await call.read(webhooks.listing, organisation_id)
            if hook.queue_id in (None, bucket.queue.id)
        ]
    return templating.render(
        call,
        "buckets/one.html",
        bucket=bucket,
        address=address,
        counted=COUNTED_ONE,
        states=browsing.STATES,
        state=state,
        filter=filter,
        problem=problem,
        works=[] if shown is None else shown.works,
        looked_at=0 if shown is None else shown.looked_at,
        moment=_moment,
        newest=addressed(address, state=state, filter=filter) if before is not None else None,
        older=older,
        settings=await call.read(settings.get, call.principal, name),
        webhooks=hooks,
        actions=() if state == "cancelled" else ACTIONS,
        example=_example(name, call),
    )


@router.get("/ui/buckets/{name}/results")
async def show_results(name: str, call: Viewer, before: str | None = None) -> Response:
    """Show the results store's documents of a bucket, the newest first."""
    found = await call.read(
        browsing.results,
        call.principal.organisation_id,
        name,
        before=before,
        limit=ROWS + 1,
    )
    address = f"/ui/buckets/{quote(name, safe='')}"
    older = None
    if len(found) > ROWS:
        older = addressed(f"{address}/results", before=found[ROWS - 1].place)
    return templating.render(
        call,
        "buckets/results.html",
        name=name,
        address=address,
        results=found[:ROWS],
        newest=f"{address}/results" if before is not None else None,
        older=older,
    )


@router.post("/ui/buckets/{name}/results/delete")
async def delete_result(name: str, request: Request, call: Operator) -> Response:
    """Delete one result; a locked one stays."""
    form = await read_form(request)
    await call.write(
        "results.delete",
        results_store.delete_ids,
        call.principal,
        {name: [form.text("id")]},
        target=form.text("id"),
        detail={"pipeline": name, "reason": form.reason()},
    )
    return templating.done("The result is deleted.")


@router.post("/ui/buckets/{name}/results/lock")
async def lock_result(name: str, request: Request, call: Operator) -> Response:
    """Lock one result, so that nobody changes or deletes it, or unlock it."""
    form = await read_form(request)
    locked = form.text("locked") == "yes"
    await call.write(
        "results.update",
        browsing.lock_result,
        call.principal,
        name,
        form.text("id"),
        locked=locked,
        target=form.text("id"),
        detail={"pipeline": name, "locked": locked, "reason": form.reason()},
    )
    return templating.done(f"The result is {'locked' if locked else 'unlocked'}.")


@router.post("/ui/buckets/{name}/lock")
async def lock(name: str, request: Request, call: Operator) -> Response:
    """Let nothing be withdrawn from a bucket, or let it be again."""
    form = await read_form(request)
    held = form.text("held") == "yes"
    organisation_id, actor = call.principal.organisation_id, call.principal.key_id

    def change(connection: Connection) -> None:
        found = browsing.bucket(connection, organisation_id, name, most=1)
        if held:
            queues.hold(connection, found.queue.id, actor=actor, why=form.reason())
        else:
            queues.release(connection, found.queue.id)

    await call.write(
        "queues.hold" if held else "queues.release",
        change,
        target=name,
        detail={"surface": depositing.SURFACE, "reason": form.reason()},
    )
    return templating.done(
        f"{name} is locked: nothing is withdrawn until it is unlocked."
        if held
        else f"{name} is unlocked."
    )


@router.post("/ui/buckets/{name}/settings")
async def change_settings(name: str, request: Request, call: Developer) -> Response:
    """Change how a bucket is kept."""
    form = await read_form(request)
    changes: dict[str, Any] = {
        one: _number(form, one) if form.text(one) else None
        for one in ("archive_after_s", "results_retention_s", "retry_pause_s", "concurrency_max")
    }
    if changes["concurrency_max"] is not None:
        changes["concurrency_max"] = _whole(changes["concurrency_max"])
    await call.write(
        "buckets.configure",
        settings.put,
        call.principal,
        name,
        changes,
        target=name,
        detail={**changes, "reason": form.reason()},
    )
    return templating.done(f"The settings of {name} are changed.")


@router.post("/ui/buckets/{name}/act")
async def act(name: str, request: Request, call: Operator) -> Response:
    """Retry, cancel or delete everything that the page shows, on all its pages."""
    form = await read_form(request)
    await call.read(browsing.bucket, call.principal.organisation_id, name, most=1)
    parts: list[Any] = [{"pipeline": name}]
    state = _state(form.text("state"))
    if state == "cancelled":
        raise InvalidRequest("Cancelled works cannot be told from failed ones here; name them.")
    if state is not None:
        parts.append({"status": state})
    if form.text("filter"):
        parts.append(_json(form.text("filter")))
    wanted = actions.requested({"action": form.text("action"), "query": {"$and": parts}})
    started = await call.write(
        f"buckets.{wanted.action}",
        actions.start,
        call.principal,
        wanted,
        target=lambda made: str(made["id"]),
        detail={"query": wanted.query, "reason": form.reason()},
    )
    return templating.done(f"It is being done: {wanted.action}, job {started['id']}.")


@router.post("/ui/buckets/{name}/webhooks/remove")
async def remove_webhook(name: str, request: Request, call: Admin) -> Response:
    """Tell a webhook nothing more."""
    form = await read_form(request)
    webhook_id = form.text("id")
    await call.write(
        "buckets.delete_webhook",
        webhooks.remove,
        call.principal.organisation_id,
        webhook_id,
        target=webhook_id,
        detail={"bucket": name, "reason": form.reason()},
    )
    return templating.done("The webhook is removed; what was still to be delivered is given up.")


def _state(text: str) -> str | None:
    if text in ("", *browsing.STATES):
        return text or None
    raise InvalidRequest(f"{text[:80]!a} is no state. Known: {', '.join(browsing.STATES)}.")


def _filter(text: str) -> tuple[query.Filter | None, str | None]:
    """Return a filter, or why it is none, to be shown beside the field it stands in."""
    if not text.strip():
        return None, None
    try:
        return query.parse(_json(text)), None
    except LongshoreError as error:
        return None, str(error)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The filter is no JSON: {str(error)[:200]}. Write one such as "
            '{"site": "north", "tags": "urgent"}.'
        ) from error


def _number(form: Form, name: str) -> float:
    text = form.text(name)
    try:
        return float(text)
    except ValueError as error:
        raise InvalidRequest(f"{name} is {text[:40]!a}, which is no number.") from error


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _moment(seconds: Any) -> int | None:
    """Return a time that a client has written as microseconds, where it is one."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return round(seconds * SECOND_US) if 0 <= seconds * SECOND_US <= _LAST_US else None


def _example(name: str, call: Call) -> str:
    """Return a work to begin with, for who deposits one by hand."""
    return json.dumps(
        {
            "pipeline": name,
            "site": "local",
            "user": call.principal.key_name,
            "parameters": {},
            "tags": ["by-hand"],
        },
        indent=2,
        ensure_ascii=False,
    )
