"""The catalogue: which apps there are, in which versions, and which worker queue serves each.

An app enters it when a worker first offers a version. A run pins its version, and a version that
no worker offers any more keeps its queue, so that its runs wait instead of going astray.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids
from longshore.access import Principal
from longshore.access.names import checked_name
from longshore.engine import queues, workers
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import naming
from longshore.surfaces.apps.tables import app_versions, apps
from longshore.wire import apps as wire

SURFACE: Final = "apps"
LOCAL_OWNER: Final = "local"
"""Owner of an app whose code names none."""

Offer = tuple[str, str, str, str, float | None, int]
"""Name, owner, version, description, time limit of a file in seconds, attempts of a file."""


@dataclass(frozen=True, slots=True)
class App:
    """An app; look-ups compare name and owner without regard to case."""

    id: str
    organisation_id: str
    owner: str
    name: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an app and the engine's queue for its files."""

    app_id: str
    version: str
    queue_id: int
    description: str
    timeout_s: float | None
    attempts_max: int


_APP_COLUMNS = [apps.c[name] for name in App.__dataclass_fields__]
_VERSION_COLUMNS = [app_versions.c[name] for name in Version.__dataclass_fields__]


def offer(connection: Connection, organisation_id: str, offers: Sequence[Offer]) -> list[int]:
    """Enter what a worker offers into the catalogue; return the queue of each offer, in order.

    Raises:
        InvalidRequest: a name, owner or version cannot be one.
    """
    return [_offer(connection, organisation_id, each) for each in offers]


def find_app(
    connection: Connection,
    principal: Principal,
    *,
    app_id: str | None,
    name: str | None,
    owner: str | None,
) -> App:
    """Return the app that a request means by its id, or by name and owner.

    Without an owner, a name that only one owner uses is enough; among several, the one of the
    caller's own key, organisation or `local` is taken, in this order.

    Raises:
        InvalidRequest: neither id nor name is given, or the owner must be.
        NotFound: there is no such app; the message lists near names.
    """
    known = _apps(connection, principal.organisation_id)
    if app_id is not None and name is None:
        for app in known:
            if app.id == app_id:
                return app
        raise NotFound(f"There is no app with the id {app_id[:80]!a}. {_offered(known)}")
    if name is None:
        raise InvalidRequest("The request names no app. Send app_name (and owner), or app_id.")
    same = [app for app in known if app.name.casefold() == name.strip().casefold()]
    if owner is not None:
        for app in same:
            if app.owner.casefold() == owner.strip().casefold():
                return app
    elif same:
        return _of_own(same, principal, name)
    raise NotFound(_unknown(name, owner, same, known), details={"near": _near(name, known)})


def get_app(connection: Connection, app_id: str) -> App:
    """Return an app by its id, whoever it belongs to."""
    row = connection.execute(select(*_APP_COLUMNS).where(apps.c.id == app_id)).one()
    return App(**row._asdict())


def find_version(connection: Connection, app: App, wanted: str | None) -> Version:
    """Return a version of an app: the one that is wanted, or the highest production version.

    Raises:
        NotFound: there is none; the message lists the versions that there are.
    """
    known = versions(connection, app)
    if wanted is not None:
        for version in known:
            if version.version == wanted.strip():
                return version
    listed = ", ".join(version.version for version in known)
    if wanted is not None:
        raise NotFound(
            f"{app.owner}/{app.name} has no version {wanted[:80]!a}. There are: {listed}.",
            details={"versions": [version.version for version in known]},
        )
    for version in known:
        if naming.is_production(version.version):
            return version
    raise NotFound(
        f"{app.owner}/{app.name} has only pre-releases ({listed}), and none of them is taken "
        "unasked. Name the version in the request.",
        details={"versions": [version.version for version in known]},
    )


def versions(connection: Connection, app: App) -> list[Version]:
    """Return the versions of an app, highest first."""
    rows = connection.execute(select(*_VERSION_COLUMNS).where(app_versions.c.app_id == app.id))
    known = [_version(row) for row in rows]
    return sorted(
        known, key=lambda each: (naming.version_order(each.version), each.version), reverse=True
    )


def listing(connection: Connection, principal: Principal) -> wire.AppList:
    """Return the organisation's apps by owner and name."""
    return wire.AppList(
        apps=[_shown(connection, app) for app in _apps(connection, principal.organisation_id)]
    )


def _shown(connection: Connection, app: App) -> wire.App:
    known = versions(connection, app)
    production = [each.version for each in known if naming.is_production(each.version)]
    return wire.App(
        id=app.id,
        name=app.name,
        owner=app.owner,
        default_version=production[0] if production else None,
        versions=[
            wire.AppVersion(
                version=each.version,
                description=each.description,
                production=each.version in production,
                workers_online=workers.online(connection, each.queue_id),
                attempts_max=each.attempts_max,
                timeout_s=each.timeout_s,
            )
            for each in known
        ],
    )


def _offer(connection: Connection, organisation_id: str, offered: Offer) -> int:
    name, owner, version, description, timeout_s, attempts_max = offered
    name, owner = checked_name(name, "app"), checked_name(owner, "app's owner")
    version = checked_name(version, "app's version")
    if "/" in owner or "@" in version:
        # Otherwise two apps could share the name of a queue.
        raise InvalidRequest(
            f"The app {owner}/{name}@{version} cannot be offered: its owner may have no slash and "
            "its version no @. Rename it."
        )
    app = _ensure_app(connection, organisation_id, name, owner)
    queue_id = queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SURFACE,
        name=f"{app.owner}/{app.name}@{version}",
        attempts_max=attempts_max,
        timeout_s=timeout_s,
    )
    values = {
        "queue_id": queue_id,
        "description": description[:1_000],
        "timeout_s": timeout_s,
        "attempts_max": attempts_max,
        "offered_us": now_us(connection),
    }
    present = (app_versions.c.app_id == app.id) & (app_versions.c.version == version)
    if connection.execute(update(app_versions).where(present).values(**values)).rowcount:
        return queue_id
    try:
        with connection.begin_nested():
            connection.execute(
                insert(app_versions).values(
                    app_id=app.id, version=version, created_us=values["offered_us"], **values
                )
            )
    except IntegrityError:
        # Another server entered the same version meanwhile; its offer is as good as ours.
        connection.execute(update(app_versions).where(present).values(**values))
    return queue_id


def _ensure_app(connection: Connection, organisation_id: str, name: str, owner: str) -> App:
    query = select(*_APP_COLUMNS).where(
        apps.c.organisation_id == organisation_id,
        apps.c.owner_folded == owner.casefold(),
        apps.c.name_folded == name.casefold(),
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        return App(**row._asdict())
    made = App(ids.new(ids.APP), organisation_id, owner, name)
    try:
        with connection.begin_nested():
            connection.execute(
                insert(apps).values(
                    **asdict(made),
                    owner_folded=owner.casefold(),
                    name_folded=name.casefold(),
                    created_us=now_us(connection),
                )
            )
    except IntegrityError:
        # Another server entered the same app meanwhile.
        return App(**connection.execute(query).one()._asdict())
    return made


def _apps(connection: Connection, organisation_id: str) -> list[App]:
    rows = connection.execute(
        select(*_APP_COLUMNS)
        .where(apps.c.organisation_id == organisation_id)
        .order_by(apps.c.owner_folded, apps.c.name_folded)
    )
    return [App(**row._asdict()) for row in rows]


def _of_own(same: Sequence[App], principal: Principal, name: str) -> App:
    if len(same) == 1:
        return same[0]
    for own in (principal.key_name, principal.organisation_name, LOCAL_OWNER):
        for app in same:
            if app.owner.casefold() == own.casefold():
                return app
    owners = sorted(app.owner for app in same)
    raise InvalidRequest(
        f"Several owners have an app {name[:80]!a}: {', '.join(owners)}. Send owner as well.",
        details={"owners": owners},
    )


def _unknown(name: str, owner: str | None, same: Sequence[App], known: Sequence[App]) -> str:
    if same:
        owners = ", ".join(repr(app.owner) for app in same)
        return (
            f"The owner {owner[:80] if owner else None!r} has no app {name[:80]!a}, but there is one "
            f"of {owners}. Send that owner."
        )
    near = _near(name, known)
    hint = f"Did you mean {', '.join(repr(each) for each in near)}? " if near else ""
    return f"There is no app {name[:80]!a}. {hint}{_offered(known)}"


def _near(name: str, known: Sequence[App]) -> list[str]:
    by_folded = {app.name.casefold(): app.name for app in known}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=5, cutoff=0.5)
    return [by_folded[each] for each in close]


def _offered(known: Sequence[App]) -> str:
    if not known:
        return "No worker has offered any app yet: start one with `longshore worker FILE`."
    names = [f"{app.owner}/{app.name}" for app in known]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"There are: {', '.join(names[:10])}{more}."


def _version(row: Row[Any]) -> Version:
    return Version(**row._asdict())
