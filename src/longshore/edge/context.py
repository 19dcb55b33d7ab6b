"""What every request and every background job of a server shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from longshore.access import keystore_master, masking
from longshore.clock import Clock
from longshore.edge.authentication import Authenticator
from longshore.edge.outbound import Outbound
from longshore.edge.wakeups import Wakeups
from longshore.errors import Unavailable
from longshore.settings import Settings
from longshore.storage import Database
from longshore.storage.blobs import Blobs

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """One per server process; routes find it as `request.app.state.context`."""

    database: Database
    blobs: Blobs
    settings: Settings
    starting: bool = False
    """Set while the worker beside the server has not offered its apps yet."""
    stopping: bool = False
    """Set when the server has been told to stop: nothing new is begun."""
    authenticator: Authenticator = field(init=False)
    wakeups: Wakeups = field(init=False)
    outbound: Outbound = field(init=False)
    keyring: keystore_master.Keyring = field(init=False)
    _shared: dict[Any, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Make what listens to the database, calls other servers, and opens secrets."""
        self.authenticator = Authenticator(self.database)
        self.wakeups = Wakeups(self.database)
        self.outbound = Outbound(self.settings.webhook_networks)
        self.keyring = keystore_master.install(self.database, self.settings)
        masking.install(self.database)

    def shared(self, make: Callable[[Database], T]) -> T:
        """Return what `make(database)` gave at the first call: one for all requests."""
        if make not in self._shared:
            self._shared[make] = make(self.database)
        return self._shared[make]  # type: ignore[no-any-return]

    @property
    def clock(self) -> Clock:
        """The server's clock, which is the database's."""
        return self.database.clock

    def refuse_when_stopping(self) -> None:
        """Raise Unavailable once the server has been told to stop."""
        if self.stopping:
            raise Unavailable(
                "The server is stopping, so it hands out no more work. Ask again in a moment.",
                details={"retry_after_s": 1},
            )

    def stop(self) -> None:
        """Begin nothing new, and let waiting requests go."""
        self.stopping = True
        self.wakeups.release()

    def close(self) -> None:
        """End the subscriptions to the database."""
        self.authenticator.close()
        self.wakeups.close()
