"""Being known to the server: registration, and again when the server has forgotten."""

from __future__ import annotations

import asyncio
import platform
import secrets
from typing import Any

import longshore
from longshore.errors import LongshoreError
from longshore.wire.scripts import HostOffer
from longshore.wire.worker import BucketOffer, Registered, Registration
from longshore.worker.backoff import Backoff
from longshore.worker.channel import Identity, Loaded
from longshore.worker.leases import Leases
from longshore.worker.options import WorkerOptions
from longshore.worker.tasks_programs import Programs
from longshore.worker.transport import Transport, may_try_again

_TIMEOUT_S = 10.0


class Membership:
    """Who this worker is to the server."""

    def __init__(
        self,
        options: WorkerOptions,
        programs: Programs,
        transport: Transport,
        leases: Leases,
        log: Any,
    ) -> None:
        """Be nobody yet; the incarnation is new, so no earlier worker is mistaken for this one."""
        self._options = options
        self._programs = programs
        self._transport = transport
        self._leases = leases
        self._log = log
        self._incarnation = secrets.token_hex(16)
        self._offers = Loaded()
        self._registered: Registered | None = None
        self._joining = asyncio.Lock()

    @property
    def worker_id(self) -> str:
        """The id that the server gave; empty before the first registration."""
        return "" if self._registered is None else self._registered.worker_id

    @property
    def queues(self) -> list[int]:
        """The queues that hold work for the offers."""
        return [] if self._registered is None else self._registered.queues

    async def join(self, offers: Loaded) -> None:
        """Register what this worker offers; waits for a server that is away.

        Raises:
            LongshoreError: the server refuses, because of the key or of an offer.
        """
        buckets = {bucket.name: bucket for bucket in offers.buckets}
        for name in self._options.buckets:
            buckets.setdefault(name, BucketOffer(name=name))
        self._offers = Loaded(offers.apps, list(buckets.values()), offers.services)
        async with self._joining:
            await self._register()

    async def rejoin(self, unknown_id: str) -> None:
        """Register again if `unknown_id`, which the server does not know, is still the id."""
        async with self._joining:
            if unknown_id == self.worker_id:
                self._log.warning("the server does not know this worker; it registers again")
                await self._register()

    async def _register(self) -> None:
        request = Registration(
            name=self._options.name,
            slots=self._options.slots,
            apps=self._offers.apps,
            buckets=self._offers.buckets,
            services=self._offers.services,
            workers=self._programs.offers(),
            workbooks=self._options.workbooks,
            host=None if self._options.host is None else HostOffer(name=self._options.host),
            incarnation=self._incarnation,
            version=f"longshore {longshore.__version__}, Python {platform.python_version()}",
        )
        backoff, told = Backoff(), False
        while True:
            try:
                self._registered = await self._transport.post(
                    "worker/register", request, Registered, timeout_s=_TIMEOUT_S
                )
                break
            except LongshoreError as error:
                if not may_try_again(error):
                    raise
                if not told:
                    self._log.warning("waiting for the server", why=str(error))
                    told = True
            await backoff.wait()
        self._leases.identify(
            Identity(
                self._options.url,
                self._options.key,
                self.worker_id,
                self._registered.lease_s,
            )
        )
