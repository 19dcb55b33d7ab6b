"""What the client of buckets does without the network: filters, pieces of a size, refusals."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from longshore import limits
from longshore.errors import (
    Conflict,
    InvalidRequest,
    LeaseLost,
    LongshoreError,
    NotFound,
    ServerFault,
    TooLarge,
)
from longshore.sdk._work import WorkModel
from longshore.wire.buckets import read_work

Document = dict[str, Any]
"""A work as the server stores it: the published fields, and what else was deposited."""
Payload = Mapping[str, Any] | WorkModel
"""A work that goes to the server: its document, or a Work."""
Sorting = Mapping[str, int] | Sequence[tuple[str, int]]
Confirm = Callable[[str], bool]
"""Shows a question and says whether the answer is yes."""


@dataclass(frozen=True, slots=True)
class View:
    """Which documents to return, and what of them; see `Buckets.view`."""

    query: Mapping[str, Any]
    projection: Mapping[str, Any] | None = None
    skip: int = 0
    limit: int | None = None
    sort: Sorting | None = None

    def page(self, seen: int, rows: int) -> dict[str, Any]:
        """Return the body that asks for `rows` documents behind the `seen` first ones."""
        body = {
            "query": self.query,
            "projection": self.projection or {},
            "skip": self.skip + seen,
            "limit": rows,
        }
        order = sorting(self.sort)
        return body if order is None else {**body, "sort": order}


IDS_PER_CALL: Final = 500
"""Ids in the address of one request; each takes 34 bytes there."""
_SHOWN: Final = 5
_REFUSALS: Final[dict[str, type[LongshoreError]]] = {
    LeaseLost.code: LeaseLost,
    NotFound.code: NotFound,
    InvalidRequest.code: InvalidRequest,
    Conflict.code: Conflict,
}


class Piece(NamedTuple):
    """Some of the works of one call, from `start` up to `end`, as one request takes them."""

    body: bytes
    start: int
    end: int


def documents(works: Iterable[Payload]) -> list[Document]:
    """Return the documents of works, checked.

    Raises:
        InvalidRequest: a work breaks a rule; the message says which, and where.
    """
    return [_checked(number, work) for number, work in enumerate(works)]


def as_given(works: Iterable[Payload]) -> list[Document]:
    """Return the documents of works, of which only the server knows what it takes."""
    return [work.payload if isinstance(work, WorkModel) else dict(work) for work in works]


def pieces(works: Sequence[Document]) -> list[Piece]:
    """Encode works and cut them into requests that keep to the server's limits.

    All are checked before the first is sent, so that a mistake in the last changes nothing.

    Raises:
        InvalidRequest: a work cannot be written as JSON; the message says which.
        TooLarge: one work alone is larger than a request may be.
    """
    encoded = [_encoded(number, work) for number, work in enumerate(works)]
    for number, work in enumerate(encoded):
        if len(work) > limits.DOCUMENT_BYTES:
            raise TooLarge(
                f"Work {number} of the list takes {len(work):,} bytes as JSON, and may take "
                f"{limits.DOCUMENT_BYTES:,}. Write large results to a file and name it in products.",
                details={"position": number, "limit_bytes": limits.DOCUMENT_BYTES},
            )
    return list(_grouped(encoded))


def _checked(number: int, work: Payload) -> Document:
    try:
        if isinstance(work, WorkModel):
            return work.payload
        read_work(work)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"Work {number} of the list: {error.message}",
            details={**error.details, "position": number},
        ) from error
    return dict(work)


def _encoded(number: int, work: Document) -> bytes:
    try:
        text = json.dumps(work, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"Work {number} of the list cannot be written as JSON: {error}. Results and parameters "
            "may hold text, finite numbers, booleans, None, lists and dicts with text as keys.",
            details={"position": number},
        ) from error


def _grouped(works: Sequence[bytes]) -> Iterator[Piece]:
    start, size = 0, 1  # the first bracket; each work is followed by a comma or the last one
    for end, work in enumerate(works):
        if end - start == limits.DEPOSIT_WORKS or size + len(work) + 1 > limits.BUCKETS_BODY_BYTES:
            yield _piece(works, start, end)
            start, size = end, 1
        size += len(work) + 1
    if start < len(works):
        yield _piece(works, start, len(works))


def _piece(works: Sequence[bytes], start: int, end: int) -> Piece:
    return Piece(b"[" + b",".join(works[start:end]) + b"]", start, end)


def chunks(ids: Sequence[str], size: int = IDS_PER_CALL) -> Iterator[list[str]]:
    """Cut a list of ids into lists of at most `size`."""
    for start in range(0, len(ids), size):
        yield list(ids[start : start + size])


def withdrawal(
    pipeline: str | Sequence[str],
    event: Sequence[int] | None,
    site: str | None,
    priority: int | None,
    user: str | None,
    tags: Sequence[str] | None,
    parent: str | Sequence[str] | None,
) -> dict[str, Any]:
    """Return the filter of a withdrawal; what is None or empty does not restrict it."""
    chosen: dict[str, Any] = {"pipeline": {"$in": _list(pipeline)}}
    chosen.update({"site": site} if site else {})
    chosen.update({"priority": priority} if priority else {})
    chosen.update({"user": user} if user else {})
    chosen.update({"event": {"$in": list(event)}} if event else {})
    chosen.update({"tags": {"$in": _list(tags)}} if tags else {})
    chosen.update({"config.parent": {"$in": _list(parent)}} if parent else {})
    return chosen


def selection(
    pipeline: str,
    status: str | Sequence[str] | None = None,
    events: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
    parent: str | None = None,
) -> dict[str, Any]:
    """Return the query for works of a bucket; what is None or empty does not restrict it."""
    query: dict[str, Any] = {"pipeline": pipeline}
    if status:
        query["status"] = status if isinstance(status, str) else {"$in": list(status)}
    query.update({"event": {"$in": list(events)}} if events else {})
    query.update({"tags": {"$in": _list(tags)}} if tags else {})
    query.update({"config.parent": parent} if parent else {})
    return query


def _list(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def sorting(sort: Sorting | None) -> Any:
    """Return a sort order in the JSON form that the server reads, or None."""
    if sort is None or isinstance(sort, Mapping):
        return dict(sort) if sort else None
    return [list(pair) for pair in sort] or None


def question(ids: Sequence[str], query: Mapping[str, Any]) -> str:
    """Return what to ask before works are deleted: how many, which filter, and a sample."""
    more = ", ..." if len(ids) > _SHOWN else ""
    noun = "work" if len(ids) == 1 else "works"
    return (
        f"Delete {len(ids)} {noun} that match {json.dumps(dict(query), ensure_ascii=False)}?\n"
        f"    {', '.join(ids[:_SHOWN])}{more}\n"
    )


def ask(text: str) -> bool:
    """Ask a question on the terminal; yes is "y" or "yes".

    Raises:
        InvalidRequest: there is no terminal to ask on.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidRequest(
            "This asks before it deletes, and there is no terminal to ask on. Give force=True, or "
            "confirm= a function that decides. Nothing was deleted."
        )
    return input(f"{text}[y/N] ").strip().lower() in {"y", "yes"}


def refusals(answer: Any) -> list[Document]:
    """Return the works that an update left unwritten: true means none of them.

    Raises:
        ServerFault: the answer is neither true nor names what was refused.
    """
    if answer is True:
        return []
    refused = answer.get("refused") if isinstance(answer, Mapping) else None
    if isinstance(refused, list) and all(isinstance(entry, dict) for entry in refused):
        return refused
    raise ServerFault(
        "The server answered an update with something that this client cannot read. Check that "
        "client and server are of the same version."
    )


def still_held(refused: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the ids of works that were refused for their content, and are held as before."""
    return {str(entry.get("id")) for entry in refused if entry.get("code") == InvalidRequest.code}


def polls_s(wait_s: float) -> Iterator[float]:
    """Cut a wait into what the server waits at a time; gives at least one, 0 for no wait.

    Raises:
        InvalidRequest: `wait_s` is negative.
    """
    if wait_s < 0:
        raise InvalidRequest(f"wait_s is {wait_s:g}; give 0 or more seconds.")
    ends = time.monotonic() + wait_s
    yield min(wait_s, limits.CLAIM_WAIT_S)
    while (left_s := ends - time.monotonic()) > 0:
        yield min(left_s, limits.CLAIM_WAIT_S)


def raise_refused(refused: Sequence[Mapping[str, Any]], updated: int) -> None:
    """Raise for works whose update was refused; nothing was written of these.

    Args:
        refused: from the server: id, code, message, and state, attempt and holder where known.
        updated: how many of the same call were written.

    Raises:
        LeaseLost: at least one is no longer held by who updated it.
        NotFound, InvalidRequest, Conflict: all were refused for other reasons.
    """
    if not refused:
        return
    codes = [str(entry.get("code")) for entry in refused]
    code = LeaseLost.code if LeaseLost.code in codes else codes[0]
    first = refused[codes.index(code)]
    others = len(refused) - 1
    more = f" ({others} more of {updated + len(refused)} refused, see details)" if others else ""
    raise _REFUSALS.get(code, Conflict)(
        f"{first.get('message') or 'The update was refused.'}{more}",
        details={
            **{name: value for name, value in first.items() if name not in {"code", "message"}},
            "refused": [dict(entry) for entry in refused],
            "updated": updated,
        },
    )
