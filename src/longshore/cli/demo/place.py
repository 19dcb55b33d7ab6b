"""Where a demo runs: on the server that runs here already, or on one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from longshore.cli.demo.names import DEMO_WORKER_KEY
from longshore.cli.demo.processes import LEASE_S, DemoServer
from longshore.cli.demo.screen import Screen
from longshore.errors import ConfigurationError, LongshoreError, ServerUnreachable
from longshore.sdk import Client

_PATIENCE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Place:
    """A server that a demo may use.

    Attributes:
        client: with an admin's key.
        worker_key: what the demo's workers use.
        own: the server that was started for the demo; None for one that ran already.
    """

    client: Client
    worker_key: str
    own: DemoServer | None


@contextmanager
def a_place(directory: Path, screen: Screen, *, own: bool) -> Iterator[Place]:
    """Find the running server, unless `own`, or else start one in `directory`; and say which.

    Raises:
        ConfigurationError: a server of the demo's own does not start.
    """
    with ExitStack() as stack:
        client = None if own else _running(screen)
        if client is None:
            server = stack.enter_context(DemoServer(directory))
            client = stack.enter_context(Client(server.url, server.key))
            screen.step(f"started a server of its own at {server.url}, leases of {LEASE_S} s")
            yield Place(client, server.worker_key, server)
            return
        stack.enter_context(client)
        screen.step(f"using the server that runs at {client.url}")
        key = client.keys.create(DEMO_WORKER_KEY, "worker")
        stack.callback(client.keys.revoke, key.id)
        yield Place(client, key.key, None)


def _running(screen: Screen) -> Client | None:
    """Return a client of the server that is found here and answers; None where there is none."""
    try:
        client = Client(retries=0, timeout_s=_PATIENCE_S)
    except ConfigurationError:
        return None
    try:
        role = client.whoami().role
    except ServerUnreachable:
        client.close()
        return None
    except LongshoreError as error:
        screen.step(f"the server at {client.url} cannot be used: {error}")
        client.close()
        return None
    if role != "admin":
        screen.step(f"the key for {client.url} is of role {role}; a demo needs an admin's")
        client.close()
        return None
    client.close()
    # This one is patient.
    return Client()
