"""The keystore: values by name that programs may read and nobody is shown, such as passwords.

Each value is a version of an entry; an entry has a scope, which says who it is for:

- `ORGANISATION`: steps of any workflow whose definition lists it, and, where it is marked so,
  programs outside with a key of the role ingress;
- `of_workflow(NAME)`: steps of one workflow that list it; it hides one of the organisation;
- `CORPUS`: worker programs of the corpus;
- `APPS`: runs of apps that name it (`details` says in which workspaces);
- `of_run(ID)`: passwords that one run of an app was given; they go with its end.

Reading is written down in the audit log, whichever way it is done: one entry for each call.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import ids, limits
from longshore.access import keystore_sealing as sealing
from longshore.access import masking
from longshore.access.keystore_names import check_listable, check_name, check_value
from longshore.access.keystore_tables import keystore_entries, keystore_keys, keystore_versions
from longshore.access.tables import audit
from longshore.errors import Conflict, NotFound, TooLarge
from longshore.storage import after_commit, now_us, tally_of

ORGANISATION: Final = "organisation"
CORPUS: Final = "corpus"
APPS: Final = "apps"
_WORKFLOW: Final = "workflow:"
_RUN: Final = "run:"
_OWN: Final = keystore_entries.c.scope.not_like(f"{_RUN}%")


@dataclass(frozen=True, slots=True)
class Entry:
    """What may be told of an entry."""

    id: str
    scope: str
    name: str
    version: int
    ingress: bool
    description: str
    details: dict[str, Any]
    created_us: int
    created_by: str
    updated_us: int
    updated_by: str

    @property
    def workflow(self) -> str | None:
        """The folded name of the workflow that it is for, if it is for one."""
        return self.scope.removeprefix(_WORKFLOW) if self.scope.startswith(_WORKFLOW) else None


@dataclass(frozen=True, slots=True)
class Version:
    """When a version was set, and by whom."""

    version: int
    created_us: int
    created_by: str


@dataclass(frozen=True, slots=True)
class About:
    """What is said of an entry besides its value; what is None stays as it is.

    Attributes:
        ingress: whether programs outside may read it.
        description: for people.
        details: what else a surface keeps of it; JSON-ready.
        new: whether to refuse where there is an entry already.
    """

    ingress: bool | None = None
    description: str | None = None
    details: Mapping[str, Any] | None = None
    new: bool = False

    def columns(self) -> dict[str, Any]:
        """Return what is to be written."""
        details = None if self.details is None else json.dumps(dict(self.details))
        return {"ingress": self.ingress, "description": self.description, "details": details}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: a key, or an attempt by its token or its worker."""

    organisation_id: str
    key_id: str
    key_name: str
    request_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def of_workflow(name: str) -> str:
    """Return the scope of a workflow."""
    return f"{_WORKFLOW}{name.casefold()}"


def of_run(run_id: str) -> str:
    """Return the scope of a run of an app."""
    return f"{_RUN}{run_id}"


def put(
    connection: Connection,
    organisation_id: str,
    name: str,
    value: str,
    *,
    actor: str,
    scope: str = ORGANISATION,
    about: About | None = None,
) -> Entry:
    """Set an entry: a new one, or a new version of what is there.

    Raises:
        InvalidRequest: name or value cannot be one.
        TooLarge: name or value is too long, or there are `limits.SECRETS` entries.
        Conflict: it is to be new, and is not.
        ConfigurationError: the master key cannot be had.
    """
    check_name(name)
    if scope == ORGANISATION or scope.startswith(_WORKFLOW):
        check_listable(name)
    check_value(value)
    about = about or About()
    made = _ensure(connection, organisation_id, name, scope, actor)
    if about.new and not made:
        raise Conflict(f"There is a secret {name!a} already. Change it, or choose another name.")
    row = connection.execute(_one(organisation_id, scope, name).with_for_update()).one_or_none()
    if row is None:
        # Removed by another since we saw it.
        _ensure(connection, organisation_id, name, scope, actor)
        row = connection.execute(_one(organisation_id, scope, name).with_for_update()).one()
    version = row.version + 1
    sealing.insert_version(connection, row, version, value, actor=actor)
    connection.execute(
        delete(keystore_versions).where(
            keystore_versions.c.entry_id == row.id,
            keystore_versions.c.version <= version - limits.KEYSTORE_VERSIONS,
        )
    )
    _change(connection, row.id, {**about.columns(), "version": version}, actor)
    if not scope.startswith(_RUN):
        _check_count(connection, organisation_id)
    masking.changed(connection, organisation_id)
    return get(connection, organisation_id, name, scope=scope)


def amend(
    connection: Connection,
    organisation_id: str,
    name: str,
    *,
    actor: str,
    scope: str = ORGANISATION,
    about: About,
) -> Entry:
    """Change what is said of an entry, and leave its value; NotFound if there is none."""
    entry = get(connection, organisation_id, name, scope=scope)
    _change(connection, entry.id, about.columns(), actor)
    return get(connection, organisation_id, name, scope=scope)


def read(
    connection: Connection,
    reader: Reader,
    names: Sequence[str],
    *,
    scopes: Sequence[str],
    allowed: Collection[str] | None = None,
    ingress: bool = False,
) -> dict[str, str]:
    """Return the values of those of `names` that may be read, and write the reading down.

    What is absent and what is forbidden are left out alike.

    Args:
        connection: of a write transaction, for the audit log.
        reader: who reads.
        names: what is asked for.
        scopes: where to look, the first first.
        allowed: only these names; all unless given.
        ingress: only entries that programs outside may read.
    """
    wanted = [name for name in dict.fromkeys(names) if allowed is None or name in allowed]
    query = sealing.values_query().where(
        keystore_entries.c.organisation_id == reader.organisation_id,
        keystore_entries.c.scope.in_(scopes),
        keystore_entries.c.name.in_(wanted),
        keystore_versions.c.version == keystore_entries.c.version,
    )
    if ingress:
        query = query.where(keystore_entries.c.ingress)
    found: dict[str, Row[Any]] = {}
    for row in sorted(connection.execute(query), key=lambda row: scopes.index(row.scope)):
        found.setdefault(row.name, row)
    opened = sealing.opened(connection, found.values())
    values = {row.name: value for row, value in opened}
    _audit(connection, reader, names, found)
    return {name: values[name] for name in wanted if name in values}


def get(
    connection: Connection, organisation_id: str, name: str, *, scope: str = ORGANISATION
) -> Entry:
    """Return an entry without its value; NotFound if there is none of that name and scope."""
    row = connection.execute(_one(organisation_id, scope, name)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no secret {name[:80]!a}{_where(scope)}. Set it with `longshore keystore "
            "set`, or check its name with `longshore keystore list`."
        )
    return _entry(row)


def listing(
    connection: Connection,
    organisation_id: str,
    *,
    scope: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Entry]:
    """Return entries by scope and name, without values; those of runs are not told.

    With `scope` only those of it, with `names` only those with one of them.
    """
    query = select(keystore_entries).where(
        keystore_entries.c.organisation_id == organisation_id, _OWN
    )
    if scope is not None:
        query = query.where(keystore_entries.c.scope == scope)
    if names is not None:
        query = query.where(keystore_entries.c.name.in_(names))
    rows = connection.execute(query)
    return sorted(map(_entry, rows), key=lambda entry: (entry.scope, entry.name))


def history(connection: Connection, entry: Entry) -> list[Version]:
    """Return the versions of an entry that are kept, newest first."""
    rows = connection.execute(
        select(keystore_versions)
        .where(keystore_versions.c.entry_id == entry.id)
        .order_by(keystore_versions.c.version.desc())
    )
    return [Version(row.version, row.created_us, row.created_by) for row in rows]


def remove(
    connection: Connection, organisation_id: str, name: str, *, scope: str = ORGANISATION
) -> None:
    """Remove an entry with all of its versions; NotFound if there is none.

    It takes no key, so that an organisation that lost its key can begin anew: with the last entry
    the data keys go.
    """
    entry = get(connection, organisation_id, name, scope=scope)
    _remove(connection, organisation_id, [entry.id])


def forget_run(connection: Connection, organisation_id: str, run_id: str) -> int:
    """Remove what a run of an app was given; return how many entries went."""
    entry_ids = connection.scalars(
        select(keystore_entries.c.id).where(
            keystore_entries.c.organisation_id == organisation_id,
            keystore_entries.c.scope == of_run(run_id),
        )
    ).all()
    if entry_ids:
        _remove(connection, organisation_id, entry_ids)
    return len(entry_ids)


def check_runs(connection: Connection, organisation_id: str) -> None:
    """Raise TooLarge if runs of apps have been given more than `limits.RUN_PASSWORDS` passwords."""
    count = connection.scalar(
        select(func.count()).where(
            keystore_entries.c.organisation_id == organisation_id,
            keystore_entries.c.scope.like(f"{_RUN}%"),
        )
    )
    if count is not None and count > limits.RUN_PASSWORDS:
        raise TooLarge(
            f"With these there would be {count} passwords of PDFs of runs that have not ended, and "
            f"there can be {limits.RUN_PASSWORDS}. Start the run when others have ended, or cancel "
            "runs that are not needed."
        )


def _one(organisation_id: str, scope: str, name: str) -> Select[Any]:
    return select(keystore_entries).where(
        keystore_entries.c.organisation_id == organisation_id,
        keystore_entries.c.scope == scope,
        keystore_entries.c.name == name,
    )


def _ensure(
    connection: Connection, organisation_id: str, name: str, scope: str, actor: str
) -> bool:
    """Make the row of an entry; return whether it is new."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    at_us = now_us(connection)
    made = connection.execute(
        make(keystore_entries)
        .values(
            id=ids.new("ks"),
            organisation_id=organisation_id,
            scope=scope,
            name=name,
            version=0,
            ingress=False,
            description="",
            details="{}",
            created_us=at_us,
            created_by=actor,
            updated_us=at_us,
            updated_by=actor,
        )
        .on_conflict_do_nothing()
        .returning(keystore_entries.c.id)
    )
    return made.one_or_none() is not None


def _change(connection: Connection, entry_id: str, changes: Mapping[str, Any], actor: str) -> None:
    given = {name: value for name, value in changes.items() if value is not None}
    connection.execute(
        update(keystore_entries)
        .where(keystore_entries.c.id == entry_id)
        .values(**given, updated_us=now_us(connection), updated_by=actor)
    )


def _check_count(connection: Connection, organisation_id: str) -> None:
    count = connection.scalar(
        select(func.count()).where(keystore_entries.c.organisation_id == organisation_id, _OWN)
    )
    if count is not None and count > limits.SECRETS:
        raise TooLarge(
            f"There are {limits.SECRETS} secrets, which is the most that there can be. Remove one "
            "that is not needed any more."
        )


def _remove(connection: Connection, organisation_id: str, entry_ids: Sequence[str]) -> None:
    connection.execute(delete(keystore_versions).where(keystore_versions.c.entry_id.in_(entry_ids)))
    connection.execute(delete(keystore_entries).where(keystore_entries.c.id.in_(entry_ids)))
    # Whoever sets a value now holds the data key; what they set is to be seen below.
    keys = select(keystore_keys.c.number).where(keystore_keys.c.organisation_id == organisation_id)
    connection.execute(keys.with_for_update()).all()
    left = connection.scalar(
        select(keystore_entries.c.id)
        .where(keystore_entries.c.organisation_id == organisation_id)
        .limit(1)
    )
    if left is None:
        connection.execute(
            delete(keystore_keys).where(keystore_keys.c.organisation_id == organisation_id)
        )
    masking.changed(connection, organisation_id)


def _audit(
    connection: Connection, reader: Reader, names: Sequence[str], found: Mapping[str, Row[Any]]
) -> None:
    detail = {
        "read": {name: row.version for name, row in sorted(found.items())},
        "not_read": sorted({name[: limits.NAME_CHARACTERS] for name in names} - found.keys()),
        **reader.detail,
    }
    connection.execute(
        insert(audit).values(
            organisation_id=reader.organisation_id,
            at_us=now_us(connection),
            key_id=reader.key_id,
            key_name=reader.key_name,
            action="keystore.read",
            target=",".join(names)[: limits.NAME_CHARACTERS],
            detail=json.dumps(detail),
            request_id=reader.request_id,
        )
    )
    if (tally := tally_of(connection)) is not None:
        for outcome, count in (("read", len(found)), ("missing", len(set(names) - found.keys()))):
            after_commit(connection, partial(tally.add, ("keystore_reads", "", outcome), count))


def _where(scope: str) -> str:
    if scope.startswith(_WORKFLOW):
        return f" of the workflow {scope.removeprefix(_WORKFLOW)!a}"
    return "" if scope == ORGANISATION else f" of the {scope.partition(':')[0]}"


def _entry(row: Row[Any]) -> Entry:
    kept = row._asdict()
    del kept["organisation_id"]
    return Entry(**{**kept, "details": json.loads(row.details)})
