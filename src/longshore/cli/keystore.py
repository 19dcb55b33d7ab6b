"""`longshore keystore`: what programs read by name, set, listed, changed and removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, can_ask, emit_json, listing, note, out, printable
from longshore.errors import ConfigurationError

app = typer.Typer(
    help="Set, list, change and remove secrets, which programs read by name.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = (
    Column("name", "NAME"),
    Column("for", "FOR"),
    Column("version", "VERSION", "number"),
    Column("updated_at", "UPDATED", "time"),
    Column("updated_by", "BY"),
    Column("description", "DESCRIPTION"),
)
_VERSIONS = (
    Column("version", "VERSION", "number"),
    Column("created_at", "SET", "time"),
    Column("created_by", "BY"),
)
_KEYS = (
    Column("number", "DATA KEY", "number"),
    Column("master", "MASTER KEY"),
    Column("values", "VALUES", "number"),
    Column("created_at", "CREATED", "time"),
    Column("retired_at", "RETIRED", "time"),
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help='Name, such as "db_password" or "services/ocr.json".'),
]
WorkflowOption = Annotated[
    str | None,
    typer.Option("--workflow", metavar="WORKFLOW", help="For steps of this workflow only."),
]
CorpusOption = Annotated[
    bool, typer.Option("--corpus", help="For worker programs of the corpus, in place of steps.")
]
AppsOption = Annotated[bool, typer.Option("--apps", help="For runs of apps, in place of steps.")]
FileOption = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="Take the value from this file, as it is."),
]


@app.command("set")
def set_entry(
    name: Name,
    file: FileOption = None,
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    ingress: Annotated[
        bool | None,
        typer.Option(
            "--ingress/--no-ingress", help="Let keys of the role ingress read it, or not any more."
        ),
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="What it is, for people.")
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Set a secret; its value is asked for, or read from standard input or a file.

    It is never taken from the command line, where other users of the machine can see it. What is
    set again gets a new version, which counts at once.
    """
    scope = _scope(workflow, corpus=corpus, apps=apps)
    value = _value(file)
    with open_client(server) as client:
        stored = client.keystore.set(
            name, value, workflow=workflow, scope=scope, ingress=ingress, description=description
        )
    _told(stored.model_dump(mode="json"), as_json=as_json)


@app.command("list")
def list_entries(
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the secrets of all kinds, or of one; their values are not shown."""
    scope = _scope(workflow, corpus=corpus, apps=apps)
    with open_client(server) as client:
        entries = client.keystore.list(workflow=workflow, scope=scope)
    found = [_shown(entry.model_dump(mode="json", exclude={"versions"})) for entry in entries]
    listing(found, _COLUMNS, as_json=as_json, empty="There are no secrets.")


@app.command("show")
def show(
    name: Name,
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show what is known of a secret besides its value."""
    scope = _scope(workflow, corpus=corpus, apps=apps)
    with open_client(server) as client:
        found = client.keystore.show(name, workflow=workflow, scope=scope)
    shown = _shown(found.model_dump(mode="json"))
    if as_json:
        emit_json(shown)
        return
    out(f"{printable(shown['name'])}, for {printable(shown['for'])}")
    if shown["description"]:
        out(printable(shown["description"]))
    out(
        f"version {shown['version']}, set {shown['updated_at']} by {printable(shown['updated_by'])}"
    )
    if shown["ingress"]:
        out("Keys of the role ingress may read it.")


@app.command("history")
def history(
    name: Name,
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the versions of a secret that are kept; who read it is in the audit log."""
    scope = _scope(workflow, corpus=corpus, apps=apps)
    with open_client(server) as client:
        found = client.keystore.show(name, workflow=workflow, scope=scope)
    versions = [version.model_dump(mode="json") for version in found.versions or ()]
    listing(versions, _VERSIONS, as_json=as_json, empty="There are no versions.")


@app.command("rotate")
def rotate(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Secret that gets a new value.", show_default=False),
    ] = None,
    file: FileOption = None,
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    data_key: Annotated[
        bool, typer.Option("--data-key", help="Change the key that all values are sealed with.")
    ] = False,
    master: Annotated[
        bool,
        typer.Option("--master", help="Change the server's master key, which wraps data keys."),
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Change a secret that is there, or a key; whatever is changed can be read throughout."""
    if [name is not None, data_key, master].count(True) != 1:
        raise ConfigurationError("Give the NAME of a secret, --data-key or --master.")
    if name is not None:
        scope = _scope(workflow, corpus=corpus, apps=apps)
        with open_client(server) as client:
            client.keystore.show(name, workflow=workflow, scope=scope)
            stored = client.keystore.set(name, _value(file), workflow=workflow, scope=scope)
        _told(stored.model_dump(mode="json"), as_json=as_json)
        return
    with open_client(server) as client:
        changed = client.keystore.rotate(master=master)
    if as_json:
        emit_json(changed.model_dump(mode="json", exclude_none=True))
    elif master:
        out(f"master key {changed.master}: wraps all data keys, {changed.data_keys} of them anew")
        note(
            "Keep a copy of it apart from copies of the database, and the old one as long as those."
        )
    else:
        out(f"data key {changed.data_key}: seals from now on")
        note(f"Job {changed.job_id} seals all values with it; see `longshore keystore keys`.")


@app.command("keys")
def keys(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the data keys of the organisation, and how many values each seals."""
    with open_client(server) as client:
        found = client.keystore.keys().model_dump(mode="json")
    if as_json:
        emit_json(found)
    else:
        listing(found["data_keys"], _KEYS, as_json=False, empty="There are no secrets, so no keys.")


@app.command("rm")
def remove(
    name: Name,
    workflow: WorkflowOption = None,
    corpus: CorpusOption = False,
    apps: AppsOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Remove a secret with all of its versions."""
    scope = _scope(workflow, corpus=corpus, apps=apps)
    with open_client(server) as client:
        client.keystore.remove(name, workflow=workflow, scope=scope)
    if as_json:
        emit_json({"name": name, "removed": True})
    else:
        out(f"{printable(name)}: removed")


def _told(stored: dict[str, Any], *, as_json: bool) -> None:
    stored = _shown(stored)
    if as_json:
        stored.pop("versions", None)
        emit_json(stored)
    else:
        out(f"{printable(stored['name'])}: set, version {stored['version']}")


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    words = {
        "organisation": "steps and ingress" if entry["ingress"] else "steps",
        "workflow": f"workflow {entry['workflow']}",
    }
    return {**entry, "for": words.get(entry["scope"], entry["scope"])}


def _scope(workflow: str | None, *, corpus: bool, apps: bool) -> str | None:
    if [workflow is not None, corpus, apps].count(True) > 1:
        raise ConfigurationError("Give one of --workflow, --corpus and --apps, or none of them.")
    return "corpus" if corpus else "apps" if apps else None


def _value(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{file} cannot be read as text ({error}). A secret is a text in UTF-8."
            ) from error
    if can_ask():
        value: str = typer.prompt("Value", hide_input=True, err=True)
        return value
    # One line end at the end belongs to `echo`, not to the secret.
    return sys.stdin.read().removesuffix("\n")
