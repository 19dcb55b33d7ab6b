"""Looking up versions of workers. Results refer to worker runs by now; this is for old workers."""

from __future__ import annotations

import warnings
from typing import Any

from longshore.corpus.mixin import WorkerMixin


class WorkerVersionMixin(WorkerMixin):
    """Helpers for versions of workers."""

    def get_worker_version(self, worker_version_id: str) -> dict[str, Any]:
        """Return a version of a worker; it is asked for once. Deprecated.

        Raises:
            ValueError: there is no id.
        """
        _warn()
        return self._worker_version(worker_version_id)

    def get_worker_version_slug(self, worker_version_id: str) -> str:
        """Return the slug of the worker that a version is of. Deprecated.

        Raises:
            ValueError: there is no id.
        """
        _warn()
        return str(self._worker_version(worker_version_id)["worker"]["slug"])

    def _worker_version(self, worker_version_id: str | None) -> dict[str, Any]:
        if worker_version_id is None:
            raise ValueError("There is no worker version without an id.")
        known: dict[str, dict[str, Any]] = self.__dict__.setdefault("_worker_version_cache", {})
        if worker_version_id not in known:
            known[worker_version_id] = self.api_client.request(
                "RetrieveWorkerVersion", id=worker_version_id
            )
        return known[worker_version_id]


def _warn() -> None:
    message = "WorkerVersion usage is deprecated: results refer to worker runs."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
