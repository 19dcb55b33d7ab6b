"""`longshore buckets rm`, `retry` and `cancel`: act on works by id, or on all that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from longshore.cli.buckets_filters import (
    Choice,
    EventOption,
    JsonOption,
    ParentOption,
    QueryOption,
    SiteOption,
    StatusOption,
    TagOption,
    UserOption,
    both,
    targets,
)
from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import ask, bytes_text, can_ask, emit_json, note, out, printable
from longshore.cli.exit_codes import ExitCode
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk import ActionInfo
    from longshore.sdk.buckets import BucketAction

TargetsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="WORK|BUCKET", help="Ids of works, or names of buckets."),
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, max=10_000, help="Only the oldest so many."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="End when the job is accepted; print its id.")
]

_SAMPLE: Final = 5
_OPEN: Final = {"status": {"$in": ["queued", "running"]}}
_FAILED: Final = {"status": "failure"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asks for, and how."""

    action: BucketAction
    words: Sequence[str] | None
    choice: Choice
    fitting: Mapping[str, Any]
    limit: int | None
    yes: bool
    no_wait: bool
    as_json: bool


def remove(
    which: TargetsArgument = None,
    status: StatusOption = None,
    site: SiteOption = None,
    user: UserOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    query: QueryOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Delete works, in whatever state they are: those named, or all that match.

    It shows how many and a few of them, and asks. Without a terminal it needs --yes.
    """
    choice = Choice(status, site, user, event, tag, parent, query)
    _act(_Asked("delete", which, choice, {}, limit, yes, no_wait, as_json), server)


def retry(
    which: TargetsArgument = None,
    site: SiteOption = None,
    user: UserOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    query: QueryOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Queue works again that failed or were cancelled, though their attempts are used up.

    It shows how many and a few of them, and asks. Without a terminal it needs --yes.
    """
    choice = Choice(None, site, user, event, tag, parent, query)
    _act(_Asked("retry", which, choice, _FAILED, limit, yes, no_wait, as_json), server)


def cancel(
    which: TargetsArgument = None,
    status: StatusOption = None,
    site: SiteOption = None,
    user: UserOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    query: QueryOption = None,
    limit: LimitOption = None,
    yes: YesOption = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Cancel works that are queued, and stop those that run: those named, or all that match.

    It shows how many and a few of them, and asks. Without a terminal it needs --yes.
    """
    choice = Choice(status, site, user, event, tag, parent, query)
    _act(_Asked("cancel", which, choice, _OPEN, limit, yes, no_wait, as_json), server)


def _act(asked: _Asked, server: str | None) -> None:
    query = _query(asked)
    with open_client(server) as client:
        count, sample = _look(client, asked, query)
        if not count:
            note("No work matches." if asked.choice.query or not asked.words else _nothing(asked))
            if asked.as_json:
                emit_json({"action": asked.action, "changed": 0, "left": 0})
            return
        if not asked.yes:
            _ask(asked.action, count, sample)
        if asked.limit is None:
            job = client.buckets.act(asked.action, query)
        else:
            oldest = client.buckets.view(query, {"id": True}, limit=asked.limit, sort={"id": 1})
            job = client.buckets.act(asked.action, ids=[str(work["id"]) for work in oldest])
        if asked.no_wait:
            _print_accepted(job.id, as_json=asked.as_json)
            return
        info = job.wait().info
    if asked.as_json:
        emit_json(info.model_dump(mode="json"))
    else:
        out(_summary(asked.action, info))


def _query(asked: _Asked) -> dict[str, Any]:
    """Return the query for what the command line chooses.

    Raises:
        InvalidRequest: it chooses nothing, or names works and filters them as well.
    """
    ids, buckets = targets(asked.words)
    if ids:
        if not asked.choice.empty:
            raise InvalidRequest("Ids of works name them exactly; leave the filters out.")
        chosen: dict[str, Any] = {"id": {"$in": ids}}
    elif not buckets and asked.choice.empty:
        raise InvalidRequest(
            "Say which works: their ids, a bucket, or a filter such as --tag night. For all works "
            "of all buckets give --query '{}'."
        )
    else:
        chosen = asked.choice.of(buckets)
    return both(chosen, dict(asked.fitting))


def _look(client: Client, asked: _Asked, query: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Return how many works it is about, and some of them."""
    count = client.buckets.count(query)
    count = count if asked.limit is None else min(count, asked.limit)
    shown = {"id": True, "pipeline": True, "status": True}
    # Nobody looks at a sample when nobody is asked.
    sample_rows = 0 if asked.yes else min(_SAMPLE, count)
    return count, client.buckets.view(query, shown, limit=sample_rows, sort={"id": 1})


def _ask(action: BucketAction, count: int, sample: Sequence[Mapping[str, Any]]) -> None:
    """Show what would be done, and end the command unless the answer is yes.

    Raises:
        InvalidRequest: there is no terminal to ask on.
    """
    if not can_ask():
        raise InvalidRequest(
            f"{_works(count)} {'matches' if count == 1 else 'match'}, and there is no terminal to "
            f"ask on. Give --yes to {action} {'it' if count == 1 else 'them'}; nothing was changed."
        )
    note(f"{action} {_works(count)}:")
    for work in sample:
        note(
            f"  {printable(work.get('id'))} {printable(work.get('pipeline'))} {work.get('status')}"
        )
    if count > len(sample):
        note(f"  and {count - len(sample)} more")
    if not ask("Go on?"):
        note("Nothing was changed.")
        raise typer.Exit(int(ExitCode.FAILED))


def _works(count: int) -> str:
    return f"{count} {'work' if count == 1 else 'works'}"


def _nothing(asked: _Asked) -> str:
    fitting = {"retry": " that failed", "cancel": " that is queued or runs"}
    return f"There is no such work{fitting.get(asked.action, '')}."


def _print_accepted(job_id: str, *, as_json: bool) -> None:
    if as_json:
        emit_json({"id": job_id})
    else:
        out(job_id)
        note(f"next: longshore why {job_id}")


def _summary(action: BucketAction, info: ActionInfo) -> str:
    changed = _works(info.changed)
    if action == "delete":
        files = f"{info.objects} {'object' if info.objects == 1 else 'objects'}"
        return f"deleted {changed}: {info.rows} rows, {files}, {bytes_text(info.size_bytes)}"
    left = f", {info.left} left as they were" if info.left else ""
    return f"{'retried' if action == 'retry' else 'cancelled'} {changed}{left}"
