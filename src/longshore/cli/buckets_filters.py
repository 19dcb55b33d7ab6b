"""The options that choose works of buckets, and the query that they stand for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from longshore.errors import InvalidRequest
from longshore.ids import WORK

STATUSES: Final = ("queued", "running", "success", "failure")

StatusOption = Annotated[
    list[str] | None,
    typer.Option("--status", "-s", help="Only queued, running, success or failure; repeatable."),
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Only works for this site.")]
UserOption = Annotated[str | None, typer.Option("--user", help="Only works of this user.")]
EventOption = Annotated[
    list[int] | None, typer.Option("--event", "-e", help="Only works about this; repeatable.")
]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", "-t", help="Only works with this tag; repeatable.")
]
ParentOption = Annotated[
    str | None, typer.Option("--parent", "-p", help="Only works of this parent pipeline.")
]
QueryOption = Annotated[
    str | None,
    typer.Option(
        "--query",
        "-q",
        metavar="JSON",
        help="Only works that match this filter in MongoDB's form as well.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options say; all of it must hold of a work."""

    status: Sequence[str] | None = None
    site: str | None = None
    user: str | None = None
    event: Sequence[int] | None = None
    tag: Sequence[str] | None = None
    parent: str | None = None
    query: str | None = None

    @property
    def empty(self) -> bool:
        """Whether no option was given."""
        return self == Choice() or not any(
            (self.status, self.site, self.user, self.event, self.tag, self.parent, self.query)
        )

    def of(self, buckets: Sequence[str]) -> dict[str, Any]:
        """Return the query for these works of some buckets; no bucket named means all.

        Raises:
            InvalidRequest: a status is unknown, or --query is not a JSON object.
        """
        unknown = [word for word in self.status or () if word not in STATUSES]
        if unknown:
            raise InvalidRequest(
                f"{unknown[0]!r} is no status of a work; give {', '.join(STATUSES)}."
            )
        query: dict[str, Any] = {}
        for name, values in (("pipeline", buckets), ("status", self.status)):
            if values:
                query[name] = values[0] if len(values) == 1 else {"$in": list(values)}
        for name, value in (("site", self.site), ("user", self.user)):
            query.update({} if value is None else {name: value})
        query.update({"event": {"$in": list(self.event)}} if self.event else {})
        query.update({"tags": {"$in": list(self.tag)}} if self.tag else {})
        query.update({} if self.parent is None else {"config.parent": self.parent})
        return both(query, {} if self.query is None else _parsed(self.query))


def both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the query that matches what both match."""
    if not one or not other:
        return one or other
    return {"$and": [one, other]}


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(
            f"--query is not valid JSON: {error}. Write it as "
            """'{"attempt": {"$gte": 2}}', quoted for the shell."""
        ) from error
    if not isinstance(value, dict):
        raise InvalidRequest('--query is not a JSON object; write it as \'{"site": "local"}\'.')
    return value


def targets(words: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Tell ids of works (wk_...) from names of buckets, which have no underscore.

    Raises:
        InvalidRequest: both are given.
    """
    ids = [word for word in words or () if word.startswith(f"{WORK}_")]
    buckets = [word for word in words or () if word not in ids]
    if ids and buckets:
        raise InvalidRequest(
            f"{buckets[0]!r} is a bucket and {ids[0]!r} a work. Name works by their ids, or give "
            "buckets and options that choose among their works; not both at once."
        )
    return ids, buckets
