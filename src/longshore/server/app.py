"""The HTTP application: all routers, middleware and error forms, put together here."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from longshore import __version__, tracing
from longshore.access import Permission
from longshore.dashboard.assets import PREFIX as ASSETS
from longshore.dashboard.router import router as dashboard_router
from longshore.dashboard.signing import SIGN_IN
from longshore.edge.call import Call, allow
from longshore.edge.context import Context
from longshore.edge.responses import json_response
from longshore.server import metrics, pages, problems
from longshore.server.health import Health
from longshore.server.lifespan import lifespan
from longshore.server.middleware import PathGuard, RequestLog, UnreadBody
from longshore.server.native import (
    NATIVE,
    about,
    doctor,
    keys,
    keystore,
    queues,
    sessions,
    webhooks,
    worker,
    works,
    works_acting,
    works_finding,
)
from longshore.server.quick import QuickRoutes
from longshore.surfaces.apps.routes import native as apps_native
from longshore.surfaces.apps.routes import router as apps_router
from longshore.surfaces.buckets.routes import router as buckets_router
from longshore.surfaces.buckets.routes import works as bucket_works
from longshore.surfaces.corpus.routes import OPEN_PATHS as CORPUS_OPEN_PATHS
from longshore.surfaces.corpus.routes import native as corpus_native
from longshore.surfaces.corpus.routes import router as corpus_router
from longshore.surfaces.pipelines.routes import native as services
from longshore.surfaces.pipelines.routes import router as pipelines_router
from longshore.surfaces.pipelines.routes import workbooks
from longshore.surfaces.pipelines.routes.open import OPEN_PATHS as PIPELINES_OPEN_PATHS
from longshore.surfaces.scripts.routes import OPEN_PATHS as SCRIPTS_OPEN_PATHS
from longshore.surfaces.scripts.routes import native as scripts_native
from longshore.surfaces.scripts.routes import router as scripts_router
from longshore.wire.preparing import prepare

OPEN_PATHS: Final = PIPELINES_OPEN_PATHS | CORPUS_OPEN_PATHS | SCRIPTS_OPEN_PATHS | {
    "/healthz", "/readyz", "/docs", "/openapi.json", "/buckets/version", "/results/version",
}  # fmt: skip
"""What answers without a key; a test calls everything else without one."""
OPEN_PAGES: Final = frozenset({SIGN_IN, f"{ASSETS}/{{checksum}}/{{name:path}}"})
"""Addresses of the dashboard that answer without a session; all others show the form to sign in."""
QUICK_PATHS: Final = ("/buckets/work", "/buckets/work/withdraw")
"""Routes of works that programs call thousands of times a second."""
_DESCRIPTION: Final = (
    "Self-hosted batch work. Paths under /api/v2 (also /v2) speak the apps protocol, paths under "
    "/buckets and /results that of work buckets, those under /{tenant}/api that of record pipelines, "
    "those under /api/v1 that of corpora, those under /coreauto/v1 that of script workflows, and paths under /longshore/v1 are Longshore's own. Every request carries an API key, as "
    "the header Authorization: Bearer KEY."
)
_root = APIRouter(tags=["server"])


def create_app(context: Context) -> FastAPI:
    """Return the application over the stores of `context`.

    It is closed together with its lifespan; the stores stay open, whoever opened them closes them.
    """
    prepare()
    app = FastAPI(
        title="Longshore",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Nobody listens to it, and to find that out takes longer than to look a key up.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.context = context
    app.state.health = Health(context)
    app.state.metrics = metrics.Metrics()
    context.database.tally = app.state.metrics.tally
    app.router.routes.extend(_routes().routes)
    problems.install(app)
    app.add_middleware(QuickRoutes, router=bucket_works.router, paths=QUICK_PATHS)
    app.add_middleware(UnreadBody)
    app.add_middleware(PathGuard)
    app.add_middleware(RequestLog, count=app.state.metrics.request)
    _trace(app, context)
    return app


@cache
def _routes() -> APIRouter:
    """Return all routes, put together once: what FastAPI works out for a route stays with it.

    That takes some tenths of a second for all of them, which each application would pay anew.
    """
    all_routes = APIRouter()
    all_routes.include_router(_root)
    all_routes.include_router(dashboard_router)
    all_routes.include_router(buckets_router)
    for part in (
        # Before works, whose addresses end in any id.
        works_finding,
        works_acting,
        works,
        queues,
        keys,
        sessions,
        keystore,
        about,
        doctor,
        worker,
        webhooks,
        services,
        workbooks,
    ):
        all_routes.include_router(part.router, prefix=NATIVE)
    all_routes.include_router(pipelines_router)
    all_routes.include_router(corpus_router)
    all_routes.include_router(corpus_native)
    all_routes.include_router(scripts_router)
    all_routes.include_router(scripts_native)
    all_routes.include_router(apps_native)
    all_routes.include_router(apps_router, prefix="/api")
    # The same without /api, for clients whose root has none; the reference shows them once.
    all_routes.include_router(apps_router, include_in_schema=False)
    return all_routes


def _trace(app: FastAPI, context: Context) -> None:
    """Put what makes spans around everything else, where that is wanted."""
    spans = tracing.start("longshore-server", wanted=context.settings.tracing)
    if spans is not None:
        # Loaded only when it is wanted, with its extra.
        from longshore.server.traced import Traced  # noqa: PLC0415

        app.add_middleware(Traced, spans=spans)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the key that all but the open paths need."""
    document = app.openapi()
    if "security" in document:
        return document
    document["components"] = {
        **document.get("components", {}),
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"key": []}]
    for path in OPEN_PATHS & set(document["paths"]):
        for operation in document["paths"][path].values():
            operation["security"] = []
    return document


@_root.get("/docs")
async def docs(request: Request) -> Response:
    """Show this reference."""
    return pages.reference(describe(request.app))


@_root.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Give this reference as an OpenAPI document."""
    return json_response(describe(request.app))


@_root.get("/healthz")
async def healthz() -> Response:
    """Say that the process is alive."""
    return json_response({"status": "alive"})


@_root.get("/readyz")
async def readyz(request: Request) -> Response:
    """Say whether database, blob store and janitor work; 503 when one does not."""
    found = await request.app.state.health.readiness()
    ready = all(value == "ok" for value in found.values())
    return json_response({"ready": ready, "checks": found}, 200 if ready else 503)


@_root.get("/metrics")
async def prometheus(call: Annotated[Call, Depends(allow(Permission.READ))]) -> Response:
    """Give the metrics of this server and of the key's organisation, for Prometheus."""
    seen: metrics.Metrics = call.request.app.state.metrics
    content = await seen.render(call.context, call.principal.organisation_id)
    return Response(content, media_type=metrics.CONTENT_TYPE)
