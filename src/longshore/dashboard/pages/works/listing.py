"""The list of works that fit a filter, with the filter in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.clock import SECOND_US
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.pages.works import copying
from longshore.dashboard.pages.works.buttons import BUTTONS
from longshore.engine import filtering, searching, suggesting, works
from longshore.engine.filtering import Filter
from longshore.engine.states import State
from longshore.errors import InvalidRequest
from longshore.surfaces.works.reaching import reachable

router = APIRouter(include_in_schema=False)

PATH: Final = "/ui/works"
ROWS: Final = 50
SURFACES: Final = (
    "apps", "buckets", "pipelines", "corpus", "activities", "scripts", "system",
)  # fmt: skip
QUICK: Final = (
    ("failed today", "state:failure final:yes finished_since:1d"),
    ("to be retried", "state:failure final:no"),
    ("tried more than once", "attempt:>1"),
    ("held", "held:yes"),
    ("stuck: queued for a day", "state:queued until:1d"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A work in the list, with where its queue leads and how long its last attempt ran."""

    found: searching.Found
    queue_address: str
    ran_s: float | None


@router.get(PATH)
async def list_works(
    request: Request, call: Viewer, q: str = "", before: str | None = None
) -> Response:
    """Show the works that fit; what is wrong with a filter stands beside it."""
    problem, wanted, found = None, filtering.parse(""), None
    try:
        wanted = filtering.parse(q)
        found = await call.read(
            searching.page,
            call.principal.organisation_id,
            reachable(call.principal, wanted),
            at_us=call.context.clock.now_us(),
            before=before or None,
            limit=ROWS,
        )
    except InvalidRequest as error:
        problem = error.message
    return templating.render(
        call,
        "works/list.html",
        q=q.strip(),
        problem=problem,
        rows=[_row(each, call.context.clock.now_us()) for each in found.found] if found else None,
        searched_to_us=None if found is None else found.searched_to_us,
        names=filtering.NAMES,
        states=_facets(wanted, "state", [*State]),
        surfaces=_facets(wanted, "surface", list(SURFACES)),
        quick=[(label, text, address(text)) for label, text in QUICK],
        newest=address(q.strip()) if before else None,
        older=address(q.strip(), found.next) if found is not None and found.next else None,
        buttons=BUTTONS,
        copies=copying.of_filter(request, wanted.text),
    )


@router.get("/ui/works/suggestions")
async def suggest(call: Viewer, q: str = "") -> Response:
    """Give what the text in the search box may become, as options of its list."""
    found = await call.read(suggesting.suggest, call.principal.organisation_id, q)
    return templating.fragment(call, "works/suggestions.html", "options", found=found)


def address(text: str, before: str | None = None) -> str:
    """Return the address of the works that fit a filter."""
    return addressed(PATH, q=text, before=before)


def ran_s(work: works.Work, now_us: int) -> float | None:
    """Return how long the last attempt of a work ran, or runs already, in seconds."""
    if work.started_us is None or work.attempt == 0:
        return None
    until_us = work.finished_us if work.finished_us is not None else now_us
    return max(until_us - work.started_us, 0) / SECOND_US


def _row(found: searching.Found, now_us: int) -> Row:
    queue = f"queue:{filtering.quote(found.queue)}"
    return Row(found, address(queue), ran_s(found.work, now_us))


def _facets(wanted: Filter, name: str, values: list[str]) -> list[tuple[str, str, bool]]:
    """Return (value, address, chosen) of each value that a click adds or takes away."""
    chosen = {value.text for term in wanted.named(name) for value in term.values}
    rest = wanted.without(name)
    facets = []
    for value in values:
        after = [each for each in values if (each in chosen) != (each == value)]
        text = f"{name}:{','.join(after)}" if after else ""
        facets.append((str(value), address(f"{rest} {text}".strip()), value in chosen))
    return facets
