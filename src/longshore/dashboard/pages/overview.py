"""The first page: what goes on, and what needs a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import signing, templating
from longshore.dashboard.access import page
from longshore.dashboard.addresses import addressed
from longshore.dashboard.pages import overview_needs
from longshore.edge.call import Call
from longshore.engine import activity, activity_attention, queues
from longshore.engine.activity import Series, SurfaceActivity, Totals
from longshore.engine.activity_attention import Crew

router = APIRouter(include_in_schema=False)
FIRST_WINDOW: Final = "1h"
WINDOW_LABELS: Final = {
    "15m": "15 min", "1h": "1 hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days",
    "90d": "90 days",
}  # fmt: skip
_enter: Final = page()


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows, read in one transaction."""

    totals: Totals
    surfaces: list[SurfaceActivity]
    series: Series
    crew: Crew
    needs: overview_needs.Found
    is_new: bool


@router.get("/")
async def overview(request: Request) -> Response:
    """Show what goes on; with a one-time code in the address, sign in first."""
    code = request.query_params.get("code")
    if code is not None:
        return await signing.enter_by_link(request, code)
    call: Call = await _enter(request)
    window = request.query_params.get("window", FIRST_WINDOW)
    if window not in activity.WINDOWS_S:
        window = FIRST_WINDOW
    surface = request.query_params.get("surface", "")
    found = await call.read(_read, call, window, surface)
    needs, more = overview_needs.listed(
        found.needs,
        call.principal,
        now_us=call.context.clock.now_us(),
        data=call.context.settings.data,
        failing=request.app.state.health.failing,
        totals=found.totals,
    )
    return templating.render(
        call,
        "overview.html",
        found=found,
        states=found.totals.by_state,
        needs=needs,
        more_needs=more,
        charts=_charts(found.series),
        window=window,
        surface=surface,
        windows=[(name, label, _address(name, surface)) for name, label in WINDOW_LABELS.items()],
        of_surface={one.surface: _address(window, one.surface) for one in found.surfaces},
    )


def _read(connection: Connection, call: Call, window: str, surface: str) -> Overview:
    organisation_id = call.principal.organisation_id
    known = queues.surfaces(connection, organisation_id)
    return Overview(
        activity.totals(connection, organisation_id),
        activity.per_surface(connection, organisation_id),
        activity.series(
            connection,
            organisation_id,
            activity.WINDOWS_S[window],
            # One that is not there has nothing to show, whatever it is called.
            surface if surface in known else ("-" if surface else None),
        ),
        activity_attention.crew(connection, organisation_id),
        overview_needs.find(connection, call.principal),
        activity_attention.is_new(connection, organisation_id),
    )


def _address(window: str, surface: str) -> str:
    return addressed("/", window=window, surface=surface)


def _charts(series: Series) -> list[dict[str, Any]]:
    """Return what the charts show: title, unit, and lines with their values."""
    rates, depth = series.rates, series.depth
    return [
        _chart(
            "throughput", "Throughput", "works/s",
            submitted=(rates["submitted"], "accent"), succeeded=(rates["succeeded"], "good"),
        ),
        _chart(
            "failures", "Failures", "works/s",
            failed=(rates["failed"], "bad"), lost=(rates["lost"], "warn"),
            cancelled=(rates["cancelled"], "off"), retried=(rates["retried"], "busy"),
        ),
        _chart(
            "run-times", "How long attempts take", "s",
            median=(series.run_p50_s, "accent"), p95=(series.run_p95_s, "warn"),
        ),
        _chart(
            "waits", "How long works wait for a worker", "s",
            median=(series.wait_p50_s, "accent"), p95=(series.wait_p95_s, "warn"),
        ),
        _chart(
            "depth", "Works at hand", "works",
            queued=(depth["queued"], "wait"), running=(depth["running"], "busy"),
            waiting=(depth["waiting"], "off"),
        ),
    ]  # fmt: skip


def _chart(name: str, title: str, unit: str, **lines: tuple[list[Any], str]) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "unit": unit,
        "series": [
            {"label": label, "values": [_rounded(value) for value in values], "tone": tone}
            for label, (values, tone) in lines.items()
        ],
    }


def _rounded(value: float | None) -> float | None:
    # More digits than a chart can show would only make the page longer.
    return None if value is None else float(f"{value:.4g}")
