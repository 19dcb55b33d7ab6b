"""What a reviewer does on the page of a document."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator
from longshore.dashboard.forms import Form, read_form
from longshore.dashboard.pages.runs.shared import REVIEWS, RUNS, document_address, run_address
from longshore.edge.body import parse
from longshore.edge.call import Call
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import review_acting, reviews
from longshore.surfaces.apps.routes.reviews import masked
from longshore.wire.reviews import CorrectionRequest, ReopenRequest, ReviewedDocument

router = APIRouter(include_in_schema=False)

_VALUE: Final = "value-"
_ONE: Final = f"{RUNS}/{{run_id}}/documents/{{document}}"


@router.post(f"{REVIEWS}/next")
async def take_next(request: Request, call: Operator) -> Response:
    """Take the document that waits longest, and show it."""
    form = await read_form(request)
    run_id = form.text("run") or None
    found = await call.read(reviews.next_waiting, call.principal, run_id=run_id)
    if found is None:
        return templating.done("Nothing waits for a person now.")
    await call.write(
        "reviews.begin",
        review_acting.begin,
        call.principal,
        *found,
        target="/".join(found),
    )
    return templating.done("It is left to you for ten minutes.", to=document_address(*found))


@router.post(_ONE)
async def review(run_id: str, document: str, request: Request, call: Operator) -> Response:
    """Keep what was corrected, or accept the document with it."""
    form = await read_form(request)
    seen = await call.read(reviews.get, call.principal, run_id, document)
    wish = masked(_wish(form, seen), await call.masker())
    if form.text("what") == "accept":
        return await _accept(call, run_id, document, wish)
    if not wish.corrections and wish.class_name is None:
        return templating.done("Nothing was changed.")
    await call.write(
        "reviews.correct",
        review_acting.correct,
        call.principal,
        run_id,
        document,
        wish,
        target=f"{run_id}/{document}",
        detail=wish.audited(),
    )
    return templating.done("The corrections are kept.", to=document_address(run_id, document))


@router.post(f"{_ONE}/begin")
async def begin(run_id: str, document: str, call: Operator) -> Response:
    """Take a document."""
    target = f"{run_id}/{document}"
    await call.write(
        "reviews.begin", review_acting.begin, call.principal, run_id, document, target=target
    )
    return templating.done("It is left to you for ten minutes.")


@router.post(f"{_ONE}/release")
async def release(run_id: str, document: str, call: Operator) -> Response:
    """Put a document back."""
    target = f"{run_id}/{document}"
    await call.write(
        "reviews.release", review_acting.release, call.principal, run_id, document, target=target
    )
    return templating.done("Others may take it now.")


@router.post(f"{_ONE}/reopen")
async def reopen(run_id: str, document: str, request: Request, call: Operator) -> Response:
    """Let a document need a review again."""
    form = await read_form(request)
    if not form.text("reason"):
        raise InvalidRequest("Say why it needs a review again.")
    masker = await call.masker()
    wish = parse(
        ReopenRequest,
        {"version": _version(form), "reason": masker.text(form.reason())},
    )
    await call.write(
        "reviews.reopen",
        review_acting.reopen,
        call.principal,
        run_id,
        document,
        wish,
        target=f"{run_id}/{document}",
        detail={"reason": wish.reason},
    )
    return templating.done("It waits for a review again.", to=document_address(run_id, document))


async def _accept(call: Call, run_id: str, document: str, wish: CorrectionRequest) -> Response:
    def accept(connection: Connection) -> tuple[str, str] | None:
        review_acting.accept(connection, call.principal, run_id, document, wish)
        return reviews.next_waiting(
            connection, call.principal, run_id=run_id, after=(run_id, document)
        )

    following = await call.write(
        "reviews.accept",
        accept,
        target=f"{run_id}/{document}",
        detail=wish.audited(),
    )
    if following is None:
        told = "Accepted. Nothing more of this run waits for you."
        return templating.done(told, to=run_address(run_id))
    return templating.done("Accepted. This is the next one.", to=document_address(*following))


def _wish(form: Form, seen: ReviewedDocument) -> CorrectionRequest:
    """Return what a form changes of the document that it was made from."""
    corrections: list[dict[str, Any]] = []
    for field in seen.fields:
        name = f"{_VALUE}{field.index}"
        if name not in form.fields:
            continue
        value = _lines(form.raw(name))
        if value != _lines(field.value or ""):
            corrections.append({"field": field.index, "value": value or None})
    sent: dict[str, Any] = {"version": _version(form), "corrections": corrections}
    named = form.text("class_name")
    if named and named != _one_line(seen.class_name or ""):
        sent["class_name"] = named
    if form.text("reason"):
        sent["reason"] = form.reason()
    return parse(CorrectionRequest, sent)


def _version(form: Form) -> int:
    text = form.text("version")
    if not text.isdecimal() or not text.isascii() or len(text) > 9:
        raise InvalidRequest("The form does not say which version it shows. Load the page again.")
    return int(text)


def _lines(text: str) -> str:
    """Return a text as a form gives it back: with its own ends of lines, and no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")


def _one_line(text: str) -> str:
    """Return a text as a field of one line gives it back."""
    return _lines(text).replace("\n", "").strip()
