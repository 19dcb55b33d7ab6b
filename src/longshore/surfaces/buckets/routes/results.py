"""Routes of the results service; a published client's base URL for it ends in /results."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore import __version__, limits
from longshore.edge import body
from longshore.edge.callers import Operator, Reader
from longshore.surfaces.buckets import query, results_rules, results_store
from longshore.surfaces.buckets.routes.shared import Reporter, answer
from longshore.surfaces.buckets.viewing import View

router = APIRouter(prefix="/results", tags=["results"])


@router.head("/version", include_in_schema=False)
@router.get("/version")
async def version() -> Response:
    """Say what answers here; the published client looks for this without a key."""
    return answer({"service": "results", "version": __version__})


@router.post("/results")
async def deposit(request: Request, call: Reporter) -> Response:
    """Store finished works, all of them or none; the answer is {pipeline: true, ...}."""
    documents = await body.json_body(request, limit_bytes=limits.BUCKETS_BODY_BYTES)
    new = await asyncio.to_thread(results_rules.read_deposit, documents)
    if not new:
        # The transfer daemon sends none every few seconds: nothing is done, nothing is audited.
        return answer({})
    return await call.change(
        "results.deposit",
        results_store.deposit,
        call.principal,
        new,
        target=",".join,
        render=lambda deposited: deposited,
        detail={"works": len(new)},
    )


@router.put("/results")
async def update(request: Request, call: Reporter) -> Response:
    """Lay documents over the results with the same ids; the answer is true."""
    documents = await body.json_body(request, limit_bytes=limits.BUCKETS_BODY_BYTES)
    given = await asyncio.to_thread(results_rules.read_update, documents)
    if given:
        await call.write(
            "results.update",
            results_store.update,
            call.principal,
            given,
            target=",".join(sorted({document["pipeline"] for document in given.values()})),
            detail={"works": len(given)},
        )
    return answer(True)


@router.delete("/results")
async def delete(request: Request, call: Operator) -> Response:
    """Delete results: the query has ids under their pipeline's name, `?{pipeline}=id1&...`."""
    wanted: dict[str, list[str]] = {}
    for pipeline, one in request.query_params.multi_items():
        wanted.setdefault(pipeline, []).append(one)
    return answer(
        await call.write(
            "results.delete",
            results_store.delete_ids,
            call.principal,
            wanted,
            target=",".join(wanted),
            detail={"ids": sum(map(len, wanted.values()))},
        )
    )


@router.post("/view")
async def view(request: Request, call: Reader) -> Response:
    """Show the documents that match a filter; a limit of 0 shows all of them."""
    wanted = View.parse(await body.json_object(request))
    # Encoded where it is read: a long answer would keep other requests waiting here.
    text = await call.read(results_store.view_encoded, call.principal, wanted)
    return Response(text, media_type="application/json")


@router.post("/view/count")
async def count(request: Request, call: Reader) -> Response:
    """Count the documents that match a filter."""
    where = query.parse((await body.json_object(request)).get("query") or {})
    return answer(await call.read(results_store.count, call.principal, where))


@router.get("/status")
async def status(call: Reader) -> Response:
    """Count the results of each pipeline."""
    return answer(await call.read(results_store.status, call.principal))
