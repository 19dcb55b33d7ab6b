"""What clients and the server say to each other about works in buckets, under /buckets.

The names, types and ranges of a work are those of the published client (`workflow.core` 1.12);
this module is the only place that knows them, for the server and for the SDK. Times are seconds
since 1970-01-01 UTC, as that client writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from longshore.errors import InvalidRequest

PIPELINE_CHARACTERS: Final = 128
"""Longest name of a bucket."""
TIMEOUT_MAX_S: Final = 72 * 3600
"""Longest time limit of a work, in seconds."""
RETRIES_MAX: Final = 5
"""Most attempts that the retry of a failed work may use."""
ATTEMPT_MAX: Final = 1_000_000_000
"""Highest number of an attempt; the published client has no bound, and databases have."""
START_MAX_S: Final = 100_000_000_000
"""Furthest from 1970 that an attempt may have begun, in seconds: some 3,000 years."""

Pipeline = Annotated[
    str, Meta(min_length=1, max_length=PIPELINE_CHARACTERS, pattern=r"\A(?:[^\W_]|-)+\Z")
]
"""Name of a bucket: letters and digits of any script, and hyphens."""
Name = Annotated[str, Meta(pattern=r"\A[^\x00]*\Z")]
"""Text without the character NUL, which no database can look for."""
Status = Literal["created", "queued", "running", "success", "failure"]
Keeping = Literal["bypass", "copy", "delete", "move"]
"""What becomes of the files of a work that is done."""


class WorkArchive(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a work that is done."""

    results: bool = True
    """Whether the finished work goes to the results store."""
    products: Keeping = "copy"
    plots: Keeping = "copy"
    logs: Keeping = "move"


class WorkConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a work is treated before and after it runs."""

    archive: WorkArchive = field(default_factory=WorkArchive)
    metrics: bool = False
    parent: str | None = None
    """Id of the pipeline that it belongs to."""
    orgs: list[str] = field(default_factory=lambda: ["chimefrb"])
    teams: list[str] | None = None


class WorkSlack(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is told in Slack that the work is done, and what; unknown names are refused."""

    channel_id: str | None = None
    member_ids: list[str] | None = None
    message: str | None = None
    results: bool | None = None
    products: bool | None = None
    plots: bool | None = None
    blocks: dict[str, Any] | None = None
    reply: dict[str, Any] | None = None
    """How telling went; written by the server."""


class WorkNotify(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is told that the work is done."""

    slack: WorkSlack = field(default_factory=WorkSlack)


class WorkPayload(Struct, kw_only=True, forbid_unknown_fields=True):
    """A work as it is deposited, stored and updated; the order is that of the published client.

    Make one of foreign data with `read_work`, which checks it and leaves names aside that the
    protocol does not know. `exact_works` reads many at once that have none.
    """

    pipeline: Pipeline
    """The bucket."""
    site: str
    user: str
    function: str | None = None
    """Dotted path, called with the parameters; not together with a command."""
    parameters: dict[str, Any] | None = None
    command: list[str] | None = None
    results: dict[str, Any] | None = None
    products: list[Name] | None = None
    """Names or paths of data files that the work made."""
    plots: list[Name] | None = None
    """Names or paths of pictures that the work made."""
    tags: list[str] | None = None
    event: list[int] | None = None
    """Numbers of what the work is about."""
    id: Name | None = None
    """Given by the server."""
    creation: float | None = None
    """When it was made; the maker's clock."""
    start: Annotated[float, Meta(ge=-START_MAX_S, le=START_MAX_S)] | None = None
    """When the present attempt began; the server's clock."""
    stop: float | None = None
    """When the work was done; the worker's clock."""
    attempt: Annotated[int, Meta(ge=0, le=ATTEMPT_MAX)] = 0
    """Counted up by each withdrawal; with `start` the fence of an update."""
    status: Status = "created"
    timeout: Annotated[int, Meta(ge=1, le=TIMEOUT_MAX_S)] = 3600
    """Time limit of one attempt, in seconds."""
    retries: Annotated[int, Meta(le=RETRIES_MAX)] = 2
    """Attempts in all; a failed work with fewer is queued again."""
    priority: Annotated[int, Meta(ge=1, le=5)] = 3
    """5 is withdrawn first."""
    config: WorkConfig = field(default_factory=WorkConfig)
    notify: WorkNotify = field(default_factory=WorkNotify)

    def __post_init__(self) -> None:
        """Refuse a work with two things to run."""
        if self.function and self.command:
            raise ValueError("has a function and a command; a work has one of the two")


FIELDS: Final = frozenset(WorkPayload.__struct_fields__)
"""The names that the protocol knows; clients may deposit others beside them."""
_WHOLE: Final = ("attempt", "timeout", "retries", "priority")


def read_work(document: Any) -> WorkPayload:
    """Check a work in its JSON form and return it with the defaults filled in.

    As the published client does, a whole number may be written 3600.0, and an event as "123".
    Names that the protocol does not know are ignored.

    Raises:
        InvalidRequest: it is not an object, or a field has the wrong type or is out of range;
            the message names the field.
    """
    if not isinstance(document, Mapping):
        raise InvalidRequest("A work is a JSON object with at least pipeline, site and user.")
    try:
        return msgspec.convert(_coerced(document), WorkPayload)
    except msgspec.ValidationError as error:
        raise _refused(document, error) from error


def exact_works(data: bytes) -> list[WorkPayload] | None:
    """Return the works in a JSON list, or None unless each is exactly of the published form.

    The quick way for what the published client sends; whatever is said about the others is for
    `read_work` to say.
    """
    try:
        return _EXACT.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_EXACT: Final = msgspec.json.Decoder(list[WorkPayload])


def _coerced(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known part of the document, with its whole numbers as such."""
    changed = _known(document, WorkPayload)
    for name, form in (("config", WorkConfig), ("notify", WorkNotify)):
        part = changed.get(name)
        if isinstance(part, Mapping):
            changed[name] = _known(part, form)
    if isinstance(changed.get("config"), dict):
        archive = changed["config"].get("archive")
        if isinstance(archive, Mapping):
            changed["config"]["archive"] = _known(archive, WorkArchive)
    for name in _WHOLE:
        value = changed.get(name)
        if isinstance(value, float) and value.is_integer():
            changed[name] = int(value)
    event = changed.get("event")
    if isinstance(event, list | tuple):
        changed["event"] = [_whole(number) for number in event]
    return changed


def _known(given: Mapping[str, Any], form: type[Struct]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in form.__struct_fields__}


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        return int(value)
    return value


def _refused(document: Mapping[str, Any], error: msgspec.ValidationError) -> InvalidRequest:
    """Say which field is wrong and how, in the words of the protocol."""
    problem, _, place = str(error).partition(" - at `$.")
    name = place.rstrip("`")
    if name == "pipeline" and "matching regex" in problem:
        problem = "it may hold letters, digits and hyphens only"
    elif "matching regex" in problem:
        problem = "it holds the character NUL"
    elif problem.startswith("Object missing required field"):
        problem, name = "it is missing", problem.partition("`")[2].rstrip("`")
    known = isinstance(document.get("id"), str)
    of = f" of work {document['id']}" if known else ""
    if not name:
        who = f"Work {document['id']}" if known else "The work"
        return InvalidRequest(f"{who} {problem}. Correct it and send it again.")
    return InvalidRequest(
        f"Field {name}{of} cannot be used: {problem}. Correct it and send it again.",
        details={"field": name},
    )
