"""Routes of the human review of results; not part of the published protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access.masking import Masker
from longshore.edge import body
from longshore.edge.call import Call
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.surfaces.apps import review_acting, reviews
from longshore.surfaces.apps.review_finding import Filter
from longshore.wire.reviews import CorrectionRequest, ReopenRequest, ReviewedDocument

router = APIRouter(prefix="/longshore/v1/apps", tags=["reviews"])
_ONE = "/reviews/{run_id}/{document}"


@router.get("/reviews")
async def list_reviews(
    call: Reader,
    state: str | None = None,
    run_id: str | None = None,
    app: str | None = None,
    workspace: str | None = None,
    after: int = Query(0, ge=0, le=2**63 - 1),
    limit: int = Query(100, ge=1, le=limits.PAGE_ROWS),
) -> Response:
    """List documents that wait for a person, the longest wait first; or those in another state."""
    wanted = Filter(state, run_id, app, workspace)
    return json_response(
        await call.read(reviews.listing, call.principal, wanted, after=after, limit=limit)
    )


@router.get(_ONE)
async def get_review(run_id: str, document: str, call: Reader) -> Response:
    """Show a document of a run: fields, sources, and what reviewers did."""
    return json_response(await call.read(reviews.get, call.principal, run_id, document))


@router.post(f"{_ONE}/begin")
async def begin_review(run_id: str, document: str, call: Operator) -> Response:
    """Take a document, so that nobody else changes it for some minutes."""
    return await _done(call, "begin", review_acting.begin, run_id, document)


@router.post(f"{_ONE}/release")
async def release_review(run_id: str, document: str, call: Operator) -> Response:
    """Put a document back that one has taken."""
    return await _done(call, "release", review_acting.release, run_id, document)


@router.post(f"{_ONE}/correct", openapi_extra=body.described(CorrectionRequest))
async def correct_document(
    run_id: str, document: str, request: Request, call: Operator
) -> Response:
    """Give fields of a document other values; what the app returned is kept."""
    wish = body.parse(CorrectionRequest, await body.json_body(request))
    wish = masked(wish, await call.masker())
    return await _done(
        call, "correct", review_acting.correct, run_id, document, wish, detail=wish.audited()
    )


@router.post(f"{_ONE}/accept", openapi_extra=body.described(CorrectionRequest))
async def accept_document(run_id: str, document: str, request: Request, call: Operator) -> Response:
    """Correct what is to be corrected, and close the review."""
    wish = body.parse(CorrectionRequest, await body.json_body(request))
    wish = masked(wish, await call.masker())
    return await _done(
        call, "accept", review_acting.accept, run_id, document, wish, detail=wish.audited()
    )


@router.post(f"{_ONE}/reopen", openapi_extra=body.described(ReopenRequest))
async def reopen_document(run_id: str, document: str, request: Request, call: Operator) -> Response:
    """Let a document need a review again, for a reason."""
    wish = body.parse(ReopenRequest, await body.json_body(request))
    masker = await call.masker()
    wish = wish.model_copy(update={"reason": masker.text(wish.reason)})
    detail = {"reason": wish.reason}
    return await _done(call, "reopen", review_acting.reopen, run_id, document, wish, detail=detail)


def masked(wish: CorrectionRequest, masker: Masker) -> CorrectionRequest:
    """Return a wish without the secrets of the organisation, as all that is stored."""
    if not masker:
        return wish
    corrections = [
        each if each.value is None else each.model_copy(update={"value": masker.text(each.value)})
        for each in wish.corrections
    ]
    told = {
        name: masker.text(value)
        for name in ("class_name", "reason")
        if (value := getattr(wish, name)) is not None
    }
    return wish.model_copy(update={"corrections": corrections, **told})


async def _done(
    call: Call,
    action: str,
    service: Callable[..., ReviewedDocument],
    run_id: str,
    document: str,
    *more: object,
    detail: Mapping[str, Any] | None = None,
) -> Response:
    return await call.change(
        f"reviews.{action}",
        service,
        call.principal,
        run_id,
        document,
        *more,
        target=f"{run_id}/{document}",
        detail=detail,
        render=lambda found: found,
    )
