"""A slot without a process of its own, for a worker that only starts programs."""

from __future__ import annotations

import asyncio
from typing import Any

from longshore.errors import ConfigurationError
from longshore.worker.channel import Finished, Loaded, Run
from longshore.worker.slots import Attempt, OnLoaded


class BareSlot:
    """Always ready; what runs in it are processes that each attempt starts for itself."""

    def __init__(self, on_loaded: OnLoaded) -> None:
        """Prepare; `on_loaded` is told at the start that nothing is offered."""
        self._on_loaded = on_loaded
        self._ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ready = False

    async def start(self) -> None:
        """Be ready."""
        self._on_loaded(Loaded())
        self.ready = True

    def ended(self) -> asyncio.Future[Any]:
        """Return what is never done: there is nothing that could end."""
        return self._ended

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Refuse a work whose code would have to be loaded.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(
            f"Work {run.work_id} is of {run.surface}, and this worker runs the steps of a host "
            "only. Start a worker with the module that serves it."
        )

    async def close(self) -> None:
        """Free nothing."""

    def limit_grace(self, grace_s: float) -> None:
        """Change nothing: whoever starts programs stops them."""
