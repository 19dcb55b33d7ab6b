"""What-if: the rest of a run, or a workflow from its beginning, with one throttle after the other."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from longshore import limits
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.edge.call import Call
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import outlooks, simulations
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.simulations import Prepared
from longshore.surfaces.scripts.simulations import Request as Wish

router = APIRouter(include_in_schema=False)
_USUAL: Final = "1, 2, 4, 8"
_SAMPLES: Final = 100
_BAR: Final = 260
_THROTTLES: Final = 40


@router.get("/ui/workflows/{name}/simulate")
async def simulate_workflow(
    name: str,
    call: Viewer,
    throttles: str = _USUAL,
    holds: str = "ignored",
    samples: str = "",
    step: str = "",
) -> Response:
    """Play a workflow through from its beginning."""
    wish = _wish(throttles, holds, samples, step)
    organisation_id = call.principal.organisation_id
    prepared = await call.read(simulations.of_workflow, organisation_id, name, wish)
    now = await call.read(outlooks.of_workflow, organisation_id, name)
    title = f"Simulate {prepared.about['workflow']}"
    about = {"title": title, "back": f"/ui/workflows/{name}", "workflow": name, "run_id": None}
    return await _answer(call, prepared, wish, now=now, about=about, throttles=throttles)


@router.get("/ui/workflow-runs/{run_id}/simulate")
async def simulate_run(
    run_id: str,
    call: Viewer,
    throttles: str = _USUAL,
    holds: str = "ignored",
    samples: str = "",
    step: str = "",
) -> Response:
    """Play the rest of a run through."""
    wish = _wish(throttles, holds, samples, step)
    organisation_id = call.principal.organisation_id
    prepared = await call.read(simulations.of_run, organisation_id, run_id, wish)
    now = await call.read(outlooks.of_run, organisation_id, run_id)
    name = prepared.about["workflow"]
    about = {
        "title": f"Simulate the rest of run {run_id}",
        "back": f"/ui/workflow-runs/{run_id}",
        "workflow": name,
        "run_id": run_id,
    }
    return await _answer(call, prepared, wish, now=now, about=about, throttles=throttles)


async def _answer(
    call: Call,
    prepared: Prepared,
    wish: Wish,
    *,
    now: outlooks.Outlook,
    about: dict[str, Any],
    throttles: str,
) -> Response:
    told = await asyncio.to_thread(simulations.play, prepared, wish)
    chains = await asyncio.to_thread(outlooks.chains, prepared, told["trials"])
    longest = max((trial["high_s"] for trial in told["trials"]), default=0.0) or 1.0
    trials = [
        {
            **trial,
            "chain": chain,
            "bar": round(_BAR * trial["makespan_s"] / longest, 1),
            "high": round(_BAR * trial["high_s"] / longest, 1),
        }
        for trial, chain in zip(told["trials"], chains, strict=True)
    ]
    return templating.render(
        call,
        "workflows/simulate.html",
        about=about,
        told=told,
        trials=trials,
        now_outlook=now,
        throttles=throttles,
        holds=wish.holds,
        samples=wish.samples,
        step=wish.order.step if wish.order is not None else "",
        steps=list(prepared.shown.values()),
    )


def _wish(throttles: str, holds: str, samples: str, step: str) -> Wish:
    if holds not in ("ignored", "honoured"):
        raise InvalidRequest("holds is ignored or honoured.")
    return Wish(
        throttles=_numbers(throttles),
        holds="honoured" if holds == "honoured" else "ignored",
        samples=_SAMPLES if samples else 0,
        order=Order(path="local", step=step) if step else None,
    )


def _numbers(text: str) -> list[int]:
    """Return the numbers of a text such as "1, 2, 4-8".

    Raises:
        InvalidRequest: it names none, too many, or something else.
    """
    found: set[int] = set()
    for part in text.replace(",", " ").split():
        low, _, high = part.partition("-")
        ends = [low, high or low]
        if not all(each.isascii() and each.isdigit() and len(each) <= 5 for each in ends):
            raise InvalidRequest(f"{part[:40]!r} is no throttle. Give numbers such as 1, 2, 4-8.")
        first, last = int(ends[0]), int(ends[1])
        if not 1 <= first <= last <= 10_000 or last - first >= limits.SIMULATED_THROTTLES:
            raise InvalidRequest(f"{part[:40]!r}: throttles are 1 to 10000, the smaller one first.")
        found |= set(range(first, last + 1))
    if not 1 <= len(found) <= _THROTTLES:
        raise InvalidRequest(f"Give 1 to {_THROTTLES} throttles; these are {len(found)}.")
    return sorted(found)
