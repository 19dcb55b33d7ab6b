"""Secrets of apps: entries of the keystore that runs name by alias, and passwords of their PDFs.

A run keeps aliases only. The values are put into what a worker is handed when it claims a file, and
are stored nowhere else. Passwords that a run brings along are sealed until the run has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from longshore import limits
from longshore.access import Permission, Principal, keystore, workspaces
from longshore.access.keystore import About, Entry, Reader
from longshore.engine import works
from longshore.engine.works import Lease
from longshore.errors import ConfigurationError, CorruptData, InvalidRequest, TooLarge
from longshore.surfaces.apps import scopes
from longshore.surfaces.apps.tables import app_runs
from longshore.wire.payloads import AppPayload

Allowed = Literal["ALL", "SOME", "NONE"]
_TYPE: Final = "allowed_workspaces_type"
_WORKSPACES: Final = "allowed_workspaces"
_MARKS: Final = (b'"secret_aliases":{"', b'"password_entry":"')


class NewSecret(BaseModel):
    """A secret to be made (protocol: POST /v2/aihub/secrets)."""

    model_config = ConfigDict(extra="forbid")

    alias: str
    value: str = Field(repr=False)
    allowed_workspaces_type: Allowed = "NONE"
    allowed_workspaces: list[str] | None = None
    description: str | None = Field(default=None, max_length=limits.NAME_CHARACTERS)


class SecretChange(BaseModel):
    """What is to change of a secret (protocol: PATCH); what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    alias: str
    value: str | None = Field(default=None, repr=False)
    allowed_workspaces_type: Allowed | None = None
    allowed_workspaces: list[str] | None = None
    description: str | None = Field(default=None, max_length=limits.NAME_CHARACTERS)


class SecretAlias(BaseModel):
    """Which secret is to go (protocol: DELETE)."""

    model_config = ConfigDict(extra="forbid")

    alias: str


def create(connection: Connection, principal: Principal, wanted: NewSecret) -> Entry:
    """Make a secret.

    Raises:
        Conflict: there is one of that alias.
        InvalidRequest, TooLarge: alias or value cannot be one, or SOME names no workspace.
        NotFound: a workspace is not there.
    """
    details = _details(connection, principal, wanted.allowed_workspaces_type, wanted)
    return keystore.put(
        connection,
        principal.organisation_id,
        wanted.alias,
        wanted.value,
        scope=keystore.APPS,
        actor=principal.key_name,
        about=About(description=wanted.description, details=details, new=True),
    )


def change(connection: Connection, principal: Principal, wanted: SecretChange) -> Entry:
    """Change a secret; NotFound if there is none, else see `create` for what is refused."""
    organisation_id = principal.organisation_id
    present = keystore.get(connection, organisation_id, wanted.alias, scope=keystore.APPS)
    kind = wanted.allowed_workspaces_type or present.details.get(_TYPE, "ALL")
    details = None
    if wanted.allowed_workspaces_type is not None or wanted.allowed_workspaces is not None:
        details = _details(connection, principal, kind, wanted)
    about = About(description=wanted.description, details=details)
    actor = principal.key_name
    if wanted.value is None:
        return keystore.amend(
            connection, organisation_id, wanted.alias, scope=keystore.APPS, actor=actor, about=about
        )
    return keystore.put(
        connection,
        organisation_id,
        wanted.alias,
        wanted.value,
        scope=keystore.APPS,
        actor=actor,
        about=about,
    )


def remove(connection: Connection, principal: Principal, alias: str) -> None:
    """Remove a secret; NotFound if there is none."""
    keystore.remove(connection, principal.organisation_id, alias, scope=keystore.APPS)


def listing(
    connection: Connection, principal: Principal, *, alias: str | None, workspace: str | None
) -> dict[str, Any]:
    """Return secrets without their values, those that a workspace may use where one is named.

    Raises:
        InvalidRequest: the key is not an admin's and no workspace is named.
        NotFound, PermissionDenied: there is no such workspace, or the key does not reach it.
    """
    if workspace is None and not principal.allows(Permission.ADMIN):
        raise InvalidRequest(
            "Only admins list the secrets of all workspaces. Send workspace, the name of one."
        )
    if workspace is not None:
        workspace = _reached(connection, principal, workspace)
    found = keystore.listing(connection, principal.organisation_id, scope=keystore.APPS)
    return {
        "secrets": [
            shown(entry, principal)
            for entry in found
            if alias in (None, entry.name) and (workspace is None or usable(entry, workspace))
        ]
    }


def shown(entry: Entry, principal: Principal) -> dict[str, Any]:
    """Return a secret as the protocol words it, without its value; times are milliseconds."""
    return {
        "alias": entry.name,
        "description": entry.description,
        _TYPE: entry.details.get(_TYPE, "ALL"),
        _WORKSPACES: entry.details.get(_WORKSPACES, []),
        "org": principal.organisation_name,
        "created_at": entry.created_us // 1_000,
        "created_by": entry.created_by,
        "updated_at": entry.updated_us // 1_000,
        "last_updated_by": entry.updated_by,
    }


def usable(entry: Entry, workspace: str) -> bool:
    """Return whether runs of a workspace may use a secret."""
    kind = entry.details.get(_TYPE, "ALL")
    named = {name.casefold() for name in entry.details.get(_WORKSPACES, [])}
    return kind == "ALL" or (kind == "SOME" and workspace.casefold() in named)


def check(
    connection: Connection, organisation_id: str, aliases: Mapping[str, str], workspace: str
) -> None:
    """Raise InvalidRequest unless a run of a workspace may use all of these secrets."""
    if not aliases:
        return
    allowed = _allowed(connection, organisation_id, workspace, list(aliases.values()))
    for key, alias in aliases.items():
        if alias not in allowed:
            raise InvalidRequest(
                f"settings.keys.secret.{key[:80]} names {alias[:80]!a}, and there is no such secret "
                f"for the workspace {workspace!r}. An admin makes it with `longshore keystore set "
                "--apps`, or lets the workspace use it."
            )


def check_known(connection: Connection, organisation_id: str, aliases: Mapping[str, str]) -> None:
    """Raise InvalidRequest unless there are all of these secrets, whoever may use them."""
    wanted = list(aliases.values())
    found = keystore.listing(connection, organisation_id, scope=keystore.APPS, names=wanted)
    known = {entry.name for entry in found}
    for key, alias in aliases.items():
        if alias not in known:
            raise InvalidRequest(
                f"settings.keys.secret.{key[:80]} names {alias[:80]!a}, and there is no such secret. "
                "An admin makes it with `longshore keystore set --apps`."
            )


def seal_passwords(
    connection: Connection,
    principal: Principal,
    run_id: str,
    passwords: Mapping[str, str],
    names: Sequence[str],
) -> list[str | None]:
    """Seal the passwords of a run's PDFs; return for each of its files the entry with its own.

    Raises:
        InvalidRequest: a password is empty, or for a file that the run has not.
        TooLarge: there are more than `limits.PDF_PASSWORDS`, one is too long, or the
            organisation's runs have `limits.RUN_PASSWORDS`.
    """
    _check_passwords(passwords)
    entries: list[str | None] = [None] * len(names)
    for number, (title, password) in enumerate(passwords.items(), 1):
        places = [place for place, name in enumerate(names) if title in _titles(name)]
        if not places:
            raise InvalidRequest(
                f"settings.runtime_config.instabase.pdf.passwords has a password for {title[:80]!a}, "
                "and the run has no file of that name. Name files as the batch does."
            )
        # Aliases of secrets cannot be mistaken for it: nobody knows the id of a run to come.
        entry = f"{run_id}/password-{number}"
        scope = keystore.of_run(run_id)
        keystore.put(
            connection,
            principal.organisation_id,
            entry,
            password,
            scope=scope,
            actor=principal.key_name,
        )
        for place in places:
            entries[place] = entry
    if passwords:
        keystore.check_runs(connection, principal.organisation_id)
    return entries


def forget(connection: Connection, organisation_id: str, run_id: str) -> None:
    """Remove the passwords of a run that has ended."""
    keystore.forget_run(connection, organisation_id, run_id)


def resolved(connection: Connection, lease: Lease, *, holder: str) -> bytes:
    """Return what a worker is handed for a file: its payload, with the values that it names.

    Where a value cannot be had, the payload says why, and the worker ends the attempt with that.
    """
    if not any(mark in lease.payload for mark in _MARKS):
        return lease.payload
    payload = msgspec.json.decode(lease.payload, type=AppPayload)
    if not payload.secret_aliases and payload.password_entry is None:
        return lease.payload
    organisation_id = works.organisation_of(connection, lease.id)
    detail = {"run": payload.run_id, "work": lease.id, "attempt": lease.attempt}
    reader = Reader(organisation_id, holder, f"worker {holder}", detail=detail)
    try:
        handed = _with_values(connection, reader, payload)
    except (ConfigurationError, CorruptData) as error:
        handed = replace(payload, secrets_error=error.message)
    return msgspec.json.encode(handed)


def _with_values(connection: Connection, reader: Reader, payload: AppPayload) -> AppPayload:
    workspace = connection.scalar(
        select(app_runs.c.output_workspace).where(app_runs.c.id == payload.run_id)
    )
    aliases = list(payload.secret_aliases.values())
    wanted = [*aliases, payload.password_entry] if payload.password_entry else aliases
    allowed = _allowed(connection, reader.organisation_id, workspace or "", aliases)
    if payload.password_entry is not None:
        allowed.add(payload.password_entry)
    found = keystore.read(
        connection,
        reader,
        wanted,
        scopes=[keystore.of_run(payload.run_id), keystore.APPS],
        allowed=allowed,
    )
    missing = [alias for alias in wanted if alias not in found]
    if missing:
        return replace(
            payload,
            secrets_error=f"The secret {missing[0]!a} that the run names was removed, or is not for "
            f"the workspace {workspace!r} any more. Set it again and start a new run.",
        )
    values = {key: found[alias] for key, alias in payload.secret_aliases.items()}
    password = None if payload.password_entry is None else found[payload.password_entry]
    return replace(payload, secrets=values, password=password)


def _allowed(
    connection: Connection, organisation_id: str, workspace: str, aliases: Sequence[str]
) -> set[str]:
    """Return those of `aliases` that runs of a workspace may use."""
    found = keystore.listing(connection, organisation_id, scope=keystore.APPS, names=aliases)
    return {entry.name for entry in found if usable(entry, workspace)}


def _details(
    connection: Connection, principal: Principal, kind: str, wanted: NewSecret | SecretChange
) -> dict[str, Any]:
    names = wanted.allowed_workspaces or []
    if kind == "SOME" and not names:
        raise InvalidRequest(
            "allowed_workspaces_type is SOME, and allowed_workspaces names none. Name at least one, "
            "or send NONE."
        )
    if kind != "SOME" and names:
        raise InvalidRequest(
            f"allowed_workspaces_type is {kind}, so allowed_workspaces cannot be given. Leave it "
            "out, or send SOME."
        )
    return {_TYPE: kind, _WORKSPACES: [_reached(connection, principal, name) for name in names]}


def _reached(connection: Connection, principal: Principal, name: str) -> str:
    if not scopes.reaches(principal, name):
        return scopes.workspace_for(connection, principal, name).name
    return workspaces.named(connection, principal.organisation_id, name).name


def _check_passwords(passwords: Mapping[str, str]) -> None:
    if len(passwords) > limits.PDF_PASSWORDS:
        raise TooLarge(
            f"There are {len(passwords)} passwords; a run takes at most {limits.PDF_PASSWORDS}."
        )
    for title, password in passwords.items():
        if len(password) > limits.PDF_PASSWORD_CHARACTERS:
            raise TooLarge(
                f"The password for {title[:80]!a} has {len(password)} characters; one of a PDF has "
                f"at most {limits.PDF_PASSWORD_CHARACTERS}. Send the password of the file itself."
            )


def _titles(name: str) -> set[str]:
    """Return what a file may be called: its name, without its folders, and without its ending."""
    last = name.rpartition("/")[2]
    return {name, last, last.rpartition(".")[0] or last}
