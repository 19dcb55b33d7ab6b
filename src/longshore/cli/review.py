"""`longshore review`: results that wait for a person, and what a person says to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, listing, out, printable, table
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore import Client
    from longshore.wire.reviews import ReviewedDocument

app = typer.Typer(
    help="Look at results that wait for a person, correct and accept them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = (
    Column("run_id", "RUN"),
    Column("document", "DOCUMENT"),
    Column("file_name", "FILE"),
    Column("app_name", "APP"),
    Column("state", "STATE"),
    Column("reviewer", "BY"),
    Column("why", "WHY"),
)
_FIELDS = (
    Column("index", "", "number"),
    Column("name", "FIELD"),
    Column("value", "VALUE"),
    Column("read", "READ"),
    Column("confidence", "CONFIDENCE", "number"),
    Column("note", ""),
)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run (rn_...).")]
Document = Annotated[
    str,
    typer.Argument(
        metavar="DOCUMENT", help="Index of the file and of the document in it, such as 3-0."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FIELD=VALUE]...",
        help="New values; the field by its name, or by its index where several share a name.",
    ),
]
ClassOption = Annotated[
    str | None, typer.Option("--class", help="The right class of the document.")
]
WhyOption = Annotated[str | None, typer.Option("--why", help="Reason, kept with the change.")]
VersionOption = Annotated[
    int | None,
    typer.Option("--version", help="Only if the document is at this version, as `show` told."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_reviews(
    state: Annotated[
        str | None,
        typer.Option(
            "--state", help="needs_review, in_review or accepted; all that wait unless given."
        ),
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    app_name: Annotated[str | None, typer.Option("--app", help="Only of this app.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List documents that wait for a person, those first that wait longest."""
    with open_client(server) as client:
        found = client.reviews.list(state=state, run=run, app=app_name, limit=limit)
    rows = [each.model_dump(mode="json") for each in found]
    if not as_json:
        rows = [{**row, "why": (row["reasons"] or [""])[0][:60]} for row in rows]
    listing(rows, _COLUMNS, as_json=as_json, empty="Nothing waits for a person.")


@app.command("show")
def show(
    run: RunId, document: Document, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Show a document: its fields, why it needs a person, and what reviewers did."""
    with open_client(server) as client:
        found = client.reviews.get(run, document)
    _print(found, as_json=as_json)


@app.command("correct")
def correct(
    run: RunId,
    document: Document,
    values: Values = None,
    class_name: ClassOption = None,
    why: WhyOption = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Give fields of a document other values; what the app read is kept beside them."""
    wanted = _values(values)
    with open_client(server) as client:
        seen = _seen(client, run, document, version)
        found = client.reviews.correct(seen, wanted, class_name=class_name, reason=why)
    _print(found, as_json=as_json)


@app.command("accept")
def accept(
    run: RunId,
    document: Document,
    values: Values = None,
    class_name: ClassOption = None,
    why: WhyOption = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Correct what is to be corrected, and close the review of a document."""
    wanted = _values(values)
    with open_client(server) as client:
        seen = _seen(client, run, document, version)
        found = client.reviews.accept(seen, wanted, class_name=class_name, reason=why)
    _print(found, as_json=as_json)


@app.command("reopen")
def reopen(
    run: RunId,
    document: Document,
    why: Annotated[str, typer.Option("--why", help="Reason, kept with the document.")],
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Let a document need a review again, or one that never did."""
    with open_client(server) as client:
        found = client.reviews.reopen(client.reviews.get(run, document), why)
    _print(found, as_json=as_json)


def _seen(client: Client, run: str, document: str, version: int | None) -> ReviewedDocument:
    found = client.reviews.get(run, document)
    return found if version is None else found.model_copy(update={"version": version})


def _values(given: list[str] | None) -> dict[str | int, str | None]:
    found: dict[str | int, str | None] = {}
    for each in given or []:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise InvalidRequest(
                f"{each[:80]!r} is not FIELD=VALUE. Write for example total=12.50."
            )
        found[int(name) if name.isdecimal() else name] = value
    return found


def _print(found: ReviewedDocument, *, as_json: bool) -> None:
    if as_json:
        emit_json(found.model_dump(mode="json"))
        return
    by = found.accepted_by or found.reviewer
    out(
        f"{found.run_id} {found.document} of {printable(found.file_name)}: {found.state.value}"
        f"{f' by {printable(by)}' if by else ''}, version {found.version}"
    )
    for reason in found.reasons:
        out(f"  {printable(reason)}")
    table([_row(field.model_dump()) for field in found.fields], _FIELDS, empty="No fields.")


def _row(field: dict[str, Any]) -> dict[str, Any]:
    sure = field["confidence"]
    notes = [*field["alerts"], *([field["error"]] if field["error"] else [])]
    return {
        **field,
        "read": field["original"] if field["corrected"] else None,
        "confidence": None if sure is None else f"{sure:.0%}",
        "note": "; ".join(notes)[:80],
    }
