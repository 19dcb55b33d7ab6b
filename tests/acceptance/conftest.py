"""Fixtures of the acceptance tests: servers and workers that are gone when the test is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pytest

from tests.acceptance.api import Holder, Patient, User
from tests.acceptance.harness import Command, Server, WorkerProcess, eventually, kill_marked

if TYPE_CHECKING:
    from tests.acceptance.tenancy import Worlds

QUICK = {"LONGSHORE_LEASE_S": "3", "LONGSHORE_JANITOR_INTERVAL_S": "0.1"}
"""Leases that end soon, so that a test sees them end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="run the acceptance tests at full size (10,000 files, 500 kills)",
    )


@dataclass
class Harbour:
    """All that one test has started."""

    directory: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(12))
    commands: list[Command] = field(default_factory=list)
    clients: list[Patient] = field(default_factory=list)

    def server(self, *, settings: dict[str, str] | None = None, **options: Any) -> Server:
        """Return a server that is not started yet, with short leases unless told otherwise."""
        data = self.directory / f"data{len(self.commands)}"
        server = Server(data, self.mark, settings={**QUICK, **(settings or {})}, **options)
        self.commands.append(server)
        return server

    def worker(self, server: Server, name: str = "one", **options: Any) -> WorkerProcess:
        worker = WorkerProcess(self.directory, name, self.mark, server, **options)
        self.commands.append(worker)
        return worker

    def user(self, server: Server, key: str | None = None) -> User:
        user = User(server.url, key or server.key)
        self.clients.append(user)
        return user

    def holder(self, server: Server, *apps: str, **options: Any) -> Holder:
        """Return a registered worker that the test plays itself."""
        holder = Holder(server, *apps, **options)
        self.clients.append(holder)
        holder.register()
        return holder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        servers = [command for command in self.commands if isinstance(command, Server)]
        unforeseen = [line for server in servers for line in server.unforeseen()]
        assert not unforeseen, "\n".join(unforeseen)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        for command in reversed(self.commands):
            command.close()
        kill_marked(self.mark)


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    """A place for servers and workers, cleared when the test ends."""
    with Harbour(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def module_harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """A place for what the tests of a module share."""
    with Harbour(tmp_path_factory.mktemp("harbour")) as made:
        yield made


@pytest.fixture(scope="module")
def server(module_harbour: Harbour) -> Server:
    """A running server on SQLite without a worker, which the tests of a module share."""
    made = module_harbour.server()
    made.start()
    return made


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Two organisations that have one of everything, anew for each test that asks."""
    # It is made of harbours, which are made here.
    from tests.acceptance.tenancy import Worlds  # noqa: PLC0415

    return Worlds(tmp_path_factory.mktemp("worlds"))


@pytest.fixture
def user(harbour: Harbour, server: Server) -> User:
    """A user of `server` with its admin key."""
    return harbour.user(server)


def wait_for_apps(user: User, names: Sequence[str], within_s: float = 30.0) -> None:
    """Wait until workers have offered apps of these names."""

    def offered() -> bool:
        listed = {app["name"] for app in user.get("/api/v2/apps")["apps"]}
        return set(names) <= listed

    eventually(offered, within_s, f"the apps {names} are offered")
