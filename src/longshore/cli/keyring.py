"""The keys of an organisation, reached through its running server or in its database."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from longshore.access import keys, organisations
from longshore.access.roles import Role
from longshore.cli.configuring import settings_of
from longshore.clock import iso
from longshore.errors import ConfigurationError, ServerUnreachable
from longshore.sdk import Client
from longshore.sdk.operations import Key
from longshore.server import credentials
from longshore.settings import ClientSettings, Settings
from longshore.storage import Database, open_database

Shown = dict[str, Any]


class Keyring(Protocol):
    """What `longshore key` needs; the keys are shown as the native API shows them."""

    def create(
        self, name: str, role: str, *, workspace: str | None, lifetime_s: float | None
    ) -> Shown:
        """Make a key; `key` in the answer is its token."""
        ...

    def list(self) -> builtins.list[Shown]:
        """Return all keys, revoked ones too."""
        ...

    def revoke(self, key_id: str) -> Shown:
        """End a key."""
        ...


@contextmanager
def open_keyring(server: str | None, data: Path | None, database: str | None) -> Iterator[Keyring]:
    """Open the keys of a running server, or of a stopped one on this machine.

    Raises:
        ConfigurationError: there is neither, or the options contradict each other.
    """
    if server is not None and (data is not None or database is not None):
        raise ConfigurationError(
            "Give either --server, for a running server, or --data (and --database), for one on "
            "this machine."
        )
    remote_only = data is None and database is None and (server or ClientSettings().url)
    with ExitStack() as stack:
        if remote_only:
            yield _Remote(stack.enter_context(Client(url=server)))
            return
        settings = settings_of(data=data, database=database)
        client = _running(settings.data)
        if client is not None:
            yield _Remote(stack.enter_context(client))
        else:
            yield _Direct(stack.enter_context(_opened(settings, may_make=data is not None)))


def _running(data: Path) -> Client | None:
    """Return a client of the server that keeps its data there, or None when it does not answer."""
    stored = credentials.read(data) if data.is_dir() else {}
    if not stored.get("url") or not stored.get("key"):
        return None
    client = Client(stored["url"], stored["key"], retries=0, timeout_s=5.0)
    try:
        client.whoami()
    except ServerUnreachable:
        client.close()
        return None
    except BaseException:
        client.close()
        raise
    return client


@contextmanager
def _opened(settings: Settings, *, may_make: bool) -> Iterator[Database]:
    if not settings.data.is_dir() and not may_make:
        raise ConfigurationError(
            f"There is no server here: no data directory {settings.data}, and no LONGSHORE_URL. "
            "Start one with `longshore up`, or name its directory with --data."
        )
    credentials.make_data_directory(settings.data)
    with credentials.exclusive(settings):
        database = open_database(settings.database_url)
        try:
            yield database
        finally:
            database.close()


class _Remote:
    """Keys by way of the server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self, name: str, role: str, *, workspace: str | None, lifetime_s: float | None
    ) -> Shown:
        made = self._client.keys.create(name, role, workspace=workspace, lifetime_s=lifetime_s)
        return {"key": made.key, **_of_record(made)}

    def list(self) -> builtins.list[Shown]:
        return [_of_record(key) for key in self._client.keys.list()]

    def revoke(self, key_id: str) -> Shown:
        return _of_record(self._client.keys.revoke(key_id))


class _Direct:
    """Keys in the database of a server that does not run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._organisation_id = database.write_blocking(organisations.ensure_first).id

    def create(
        self, name: str, role: str, *, workspace: str | None, lifetime_s: float | None
    ) -> Shown:
        key, token = self._database.write_blocking(
            keys.create,
            self._organisation_id,
            name=name,
            role=Role(role),
            workspace=workspace,
            lifetime_s=lifetime_s,
        )
        return {"key": token, **_of_row(key)}

    def list(self) -> builtins.list[Shown]:
        found = self._database.read_blocking(keys.listing, self._organisation_id)
        return [_of_row(key) for key in found]

    def revoke(self, key_id: str) -> Shown:
        ended = self._database.write_blocking(keys.revoke, self._organisation_id, key_id)
        return _of_row(ended)


def _of_record(key: Key) -> Shown:
    shown = key.model_dump(mode="json")
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "workspace": key.workspace,
        "created": shown["created_at"],
        "expires": shown["expires_at"],
        "last_used": shown["last_used_at"],
        "revoked": shown["revoked_at"],
    }


def _of_row(key: keys.Key) -> Shown:
    return {
        "id": key.id,
        "name": key.name,
        "role": str(key.role),
        "workspace": key.workspace_name,
        "created": iso(key.created_us),
        "expires": iso(key.expires_us),
        "last_used": iso(key.last_used_us),
        "revoked": iso(key.revoked_us),
    }
