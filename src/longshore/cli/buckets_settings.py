"""`longshore buckets settings` and `webhooks`: how a bucket is kept, and who is told of its works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from longshore.cli.buckets_filters import JsonOption
from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, listing, note, out, printable
from longshore.cli.keys import seconds
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore.sdk import BucketChanges, Webhook
    from longshore.sdk.buckets import WebhookKind

webhooks = typer.Typer(
    help="Tell addresses when works of buckets end.", no_args_is_help=True, rich_markup_mode=None
)

_NEVER: Final = "never"
_NONE: Final = "none"
_UNITS_S: Final = (("d", 86_400), ("h", 3600), ("m", 60))
_COLUMNS = (
    Column("id", "WEBHOOK"),
    Column("bucket", "BUCKET"),
    Column("kinds", "TELLS"),
    Column("url", "URL"),
    Column("created", "CREATED", "time"),
)
WebhookArgument = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Id of the webhook (hk_...).")
]


def settings(
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Name of the bucket.")],
    archive_after: Annotated[
        str | None,
        typer.Option(
            "--archive-after",
            metavar="TIME",
            help="Move finished works to the results after this, as 12h or 7d; or never.",
        ),
    ] = None,
    results_retention: Annotated[
        str | None,
        typer.Option(
            "--results-retention", metavar="TIME", help="Delete results after this; or never."
        ),
    ] = None,
    retry_pause: Annotated[
        str | None,
        typer.Option(
            "--retry-pause",
            metavar="TIME",
            help="Wait so long before the second attempt, and twice as long before each further.",
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            help="Let at most so many run at a time; or none: no limit.",
        ),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show the settings of a bucket, after changing those that are given."""
    changes: BucketChanges = {}
    if archive_after is not None:
        changes["archive_after_s"] = _time_or_never(archive_after)
    if results_retention is not None:
        changes["results_retention_s"] = _time_or_never(results_retention)
    if retry_pause is not None:
        changes["retry_pause_s"] = seconds(retry_pause)
    if concurrency is not None:
        changes["concurrency_max"] = _number_or_none(concurrency)
    with open_client(server) as client:
        if changes:
            now = client.buckets.configure(bucket, **changes)
        else:
            now = client.buckets.settings(bucket)
    if as_json:
        emit_json(now.model_dump(mode="json"))
        return
    out(f"archive after       {_length(now.archive_after_s)}")
    out(f"results retention   {_length(now.results_retention_s)}")
    out(f"retry pause         {_length(now.retry_pause_s)}")
    out(f"concurrency         {now.concurrency_max or 'no limit'}")


@webhooks.command("ls")
def list_webhooks(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the webhooks; their secrets are not shown again."""
    with open_client(server) as client:
        found = client.buckets.webhooks.list()
    if as_json:
        emit_json([webhook.model_dump(mode="json", exclude={"secret"}) for webhook in found])
        return
    rows = [
        {
            **webhook.model_dump(mode="json"),
            "bucket": webhook.pipeline or "(all)",
            "kinds": ", ".join(webhook.kinds),
            "created": webhook.created_at.isoformat() if webhook.created_at else None,
        }
        for webhook in found
    ]
    listing(rows, _COLUMNS, as_json=False, empty="There are no webhooks of buckets.")


@webhooks.command("add")
def add_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address that is told.")],
    bucket: Annotated[
        str | None, typer.Option("--bucket", help="Only works of this bucket; default is all.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="work.success, work.failure or work.exhausted; repeatable; default is all.",
        ),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Tell an address when works end, and print the secret that its messages are signed with."""
    # The server knows which kinds there are, and its message lists them.
    kinds = cast("list[WebhookKind] | None", kind or None)
    with open_client(server) as client:
        made = client.buckets.webhooks.create(url, pipeline=bucket, kinds=kinds)
    _print_secret(made, as_json=as_json)


@webhooks.command("rm")
def remove_webhook(
    webhook: WebhookArgument, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Tell an address no more."""
    with open_client(server) as client:
        client.buckets.webhooks.delete(webhook)
    if as_json:
        emit_json({"id": webhook, "deleted": True})
    else:
        out(f"{printable(webhook)}: removed")


@webhooks.command("rotate")
def rotate_webhook(
    webhook: WebhookArgument,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="TIME",
            help="Sign with the old secret, too, for so long, as 1d; default is until the next change.",
        ),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Give a webhook a new secret and print it."""
    keep_s = None if keep is None else seconds(keep)
    with open_client(server) as client:
        changed = client.buckets.webhooks.rotate(webhook, keep_s=keep_s)
    _print_secret(changed, as_json=as_json)


def _print_secret(webhook: Webhook, *, as_json: bool) -> None:
    if as_json:
        emit_json(webhook.model_dump(mode="json"))
        return
    out(str(webhook.secret))
    note(f"{webhook.id}. Give the secret to the receiver: it cannot be shown again.")


def _time_or_never(text: str) -> float | None:
    return None if text.casefold() == _NEVER else seconds(text)


def _number_or_none(text: str) -> int | None:
    if text.casefold() == _NONE:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequest(f"--concurrency {text!r} is not a whole number, nor {_NONE!r}.")
    return int(text)


def _length(length_s: float | None) -> str:
    """Return a time as it would be given, such as 7d, without rounding it."""
    if length_s is None:
        return _NEVER
    for unit, unit_s in _UNITS_S:
        if length_s and length_s % unit_s == 0:
            return f"{length_s / unit_s:.0f}{unit}"
    return f"{length_s:.15g}s"
