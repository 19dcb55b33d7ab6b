"""Doing something to works: to one, to those that are ticked, or to all that a filter finds."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.forms import read_form
from longshore.dashboard.pages.works.listing import PATH, address
from longshore.engine import filtering, searching
from longshore.errors import InvalidRequest
from longshore.surfaces.works import acting, changing, editing
from longshore.surfaces.works.possible import Action
from longshore.surfaces.works.reaching import reachable

router = APIRouter(include_in_schema=False)


_DIGITS: Final = 9
"""Of a number that a form sends; far more than works are counted."""
_DONE: Final = {
    Action.RETRY: "It is queued again.",
    Action.CANCEL: "It is cancelled, or told to stop where it runs.",
    Action.HOLD: "It is held: nobody claims it until it is released.",
    Action.RELEASE: "It is released.",
    Action.DELETE: "It is deleted.",
}


@router.get("/ui/works/count")
async def count(
    call: Viewer, q: str = "", chosen: Annotated[list[str] | None, Query()] = None
) -> Response:
    """Say how many works an action would be about; the dialog sends the number along."""
    text = _meant(q, chosen or [])
    problem, counted = None, None
    try:
        counted = await call.read(
            searching.count,
            call.principal.organisation_id,
            reachable(call.principal, filtering.parse(text)),
            at_us=call.context.clock.now_us(),
        )
    except InvalidRequest as error:
        problem = error.message
    if not text:
        problem = "Give a filter, or tick works: this would be all works there are."
    return templating.fragment(
        call, "works/count.html", "count", counted=counted, text=text, problem=problem
    )


@router.post("/ui/works/actions")
async def start(request: Request, call: Operator) -> Response:
    """Start the job that does something to all that match."""
    form = await read_form(request)
    if not form.text("counted"):
        raise InvalidRequest("The works are not counted yet. Wait a moment and try again.")
    wish = acting.wished(
        {
            "action": form.text("action"),
            "q": _meant(form.text("q"), list(form.texts("chosen"))),
            "reason": form.reason(),
            "expected": _number(form.text("expected")),
        }
    )
    await call.read(acting.check_expected, call.principal, wish)
    started = await call.write(
        f"works.{wish.action}_matching",
        acting.start,
        call.principal,
        wish,
        target=lambda made: str(made["id"]),
        detail={"filter": wish.wanted.text, "reason": wish.reason, "expected": wish.expected},
    )
    return templating.done("The action has begun.", to=f"{PATH}/actions/{started['id']}")


@router.get("/ui/works/actions/{job_id}")
async def follow(job_id: str, call: Viewer) -> Response:
    """Show how far an action is."""
    status = await call.read(acting.status, call.principal, job_id)
    return templating.render(call, "works/action.html", progress=status, to=address(status["q"]))


@router.post("/ui/works/{work_id}/edit")
async def edit(work_id: str, request: Request, call: Operator) -> Response:
    """Store another document for a work, and let it run again."""
    form = await read_form(request)
    text = form.raw("document")
    await call.write(
        "works.edit",
        editing.edit,
        call.principal,
        work_id,
        text,
        seen=form.text("seen"),
        actor=call.principal.key_id,
        target=work_id,
        detail={
            "reason": form.reason(),
            "before_sha256": form.text("seen"),
            "after_sha256": editing.checksum(text),
        },
    )
    return templating.done("It is changed, and queued with that.")


@router.post("/ui/works/{work_id}/{action}")
async def change(work_id: str, action: str, request: Request, call: Operator) -> Response:
    """Do something to one work."""
    if action not in [*Action]:
        raise InvalidRequest(f"Choose what to do: {', '.join(Action)}.")
    form = await read_form(request)
    wanted, reason = Action(action), form.reason()
    done = changing.delete_one if wanted is Action.DELETE else changing.one
    await call.write(
        f"works.{wanted}",
        done,
        call.principal,
        work_id,
        wanted,
        actor=call.principal.key_id,
        why=reason,
        target=work_id,
        detail={"reason": reason},
    )
    return templating.done(_DONE[wanted], to=PATH if wanted is Action.DELETE else None)


def _number(text: str) -> int | None:
    """Return how many works the form was confirmed for; None where no exact number was shown."""
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        raise InvalidRequest(
            "The number of works is none that was counted. Load the page again and repeat it."
        )
    return int(text)


def _meant(q: str, chosen: list[str]) -> str:
    """Return the filter of an action: of the works that are ticked, or what is in the box."""
    return f"id:{','.join(chosen)}" if chosen else q.strip()
