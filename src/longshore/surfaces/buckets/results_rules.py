"""What may be a result, and what a lock keeps from it: the rules, apart from the rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from longshore import ids, limits
from longshore.errors import Conflict, InvalidRequest, TooLarge
from longshore.surfaces.buckets.documents import encode
from longshore.wire.buckets import Pipeline

FINAL: Final = ("success", "failure")
"""The only states that a result can have."""
ASIDE: Final = "longshore"
"""What we add to a document of our own; shown only where a projection names it."""
SHOWN_IDS: Final = 20
"""Ids that an error names."""


@dataclass(frozen=True, slots=True)
class NewResult:
    """A finished work, checked, and the text to store of it."""

    document: dict[str, Any]
    text: str


def read_deposit(documents: Any) -> list[NewResult]:
    """Check what a client deposits; one without an id gets one.

    Raises:
        InvalidRequest: something is no finished work, or an id is given twice.
        TooLarge: there are more than `limits.DEPOSIT_WORKS`.
    """
    new = [accepted(document, place) for place, document in enumerate(listed(documents))]
    for document in new:
        document.pop(ASIDE, None)
    twice = [one for one, count in Counter(each["id"] for each in new).items() if count > 1]
    if twice:
        raise duplicates_error(twice, "is given twice in this request")
    return [NewResult(document, encode(document)) for document in new]


def read_update(documents: Any) -> dict[str, dict[str, Any]]:
    """Check what a client updates, and return it by id; of two with one id the last counts.

    Raises:
        InvalidRequest: something is no finished work, or has no id.
        TooLarge: there are more than `limits.DEPOSIT_WORKS`.
    """
    given = [
        accepted(document, place, new=False) for place, document in enumerate(listed(documents))
    ]
    return {document["id"]: document for document in given}


def listed(documents: Any) -> list[Any]:
    if not isinstance(documents, list):
        raise InvalidRequest("The body is not a list. Send a list of works: [{...}, ...].")
    refuse_many(len(documents))
    return documents


def refuse_many(number: int) -> None:
    if number > limits.DEPOSIT_WORKS:
        raise TooLarge(
            f"One request may name {limits.DEPOSIT_WORKS} results, not {number}. Send several.",
            details={"limit": limits.DEPOSIT_WORKS},
        )


def accepted(document: Any, place: int, *, new: bool = True) -> dict[str, Any]:
    """Return a document that can be a result; a new one gets an id if it has none.

    Raises:
        InvalidRequest: it cannot; the message says which one, by its place in the list.
    """
    if not isinstance(document, dict):
        raise InvalidRequest(f"Item {place} of the list is no work. Send JSON objects.")
    try:
        msgspec.convert(document.get("pipeline"), Pipeline)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"Work {place} of the list has no usable pipeline: {str(document.get('pipeline'))[:80]!a}. "
            "Give the name of its bucket: letters, digits and hyphens."
        ) from error
    if document.get("status") not in FINAL:
        raise InvalidRequest(
            f"Work {place} of the list has the status {str(document.get('status'))[:40]!a}, and only "
            "finished works are results: success or failure. Deposit it when it is over."
        )
    one = document.get("id")
    if one is None and new:
        document["id"] = ids.new(ids.WORK)
    elif not isinstance(one, str) or not 1 <= len(one) <= limits.NAME_CHARACTERS:
        raise InvalidRequest(
            f"Work {place} of the list has no usable id: {str(one)[:40]!a}. Give the text that the "
            "deposit of the work returned."
        )
    document.pop("_id", None)
    return document


def changes(
    given: Mapping[str, dict[str, Any]], stored: Mapping[str, str], closed: Collection[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the documents that an update leads to, and the ids that a lock keeps from it.

    `given` are the new documents by id, `stored` the texts of those that are there, and `closed`
    the ids of those that are locked.
    """
    changed, refused = [], []
    for one, document in given.items():
        before = msgspec.json.decode(stored[one])
        after = {**before, **document}
        if ASIDE in before:
            after[ASIDE] = before[ASIDE]
        else:
            after.pop(ASIDE, None)
        if _same(after, before):
            continue
        if one in closed and not _only_unlocks(before, after):
            refused.append(one)
        changed.append(after)
    return changed, refused


def _only_unlocks(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether nothing differs but the lock, which is open afterwards."""
    results = after.get("results")
    if not isinstance(results, dict) or is_locked(after):
        return False
    return _same({**after, "results": {**results, "locked": True}}, before)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two documents are the same JSON; to Python, 1 and true would be equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def is_locked(document: Mapping[str, Any]) -> bool:
    results = document.get("results")
    return isinstance(results, dict) and results.get("locked") is True


def locked_error(result_ids: Sequence[str], what: str) -> Conflict:
    return Conflict(
        f"{naming(result_ids)} locked, so nothing was {what}. Unlock first: update the result "
        "with results.locked false and everything else as it is.",
        details={"ids": list(result_ids[:SHOWN_IDS]), "locked": len(result_ids)},
    )


def duplicates_error(result_ids: Sequence[str], what: str) -> Conflict:
    more = f", as are {len(result_ids) - 1} more" if len(result_ids) > 1 else ""
    return Conflict(
        f"The id {result_ids[0][:80]!a} {what}{more}. Nothing was stored; leave out what is there, "
        "or update it.",
        details={"ids": list(result_ids[:SHOWN_IDS])},
    )


def naming(result_ids: Sequence[str]) -> str:
    first = f"The result {result_ids[0][:80]!a}"
    return f"{first} is" if len(result_ids) == 1 else f"{first} and {len(result_ids) - 1} more are"
