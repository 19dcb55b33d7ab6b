"""Listing the elements of the worker's process."""

from __future__ import annotations

from typing import Any, Final

from longshore.corpus import checks
from longshore.corpus.cache import unsupported_cache
from longshore.corpus.mixin import WorkerMixin

PROCESS_ELEMENTS_PAGE_SIZE: Final = 500
"""Elements of a process are many, and little is said of each, so that pages may be long."""


class ProcessMixin(WorkerMixin):
    """Helpers for the process."""

    @unsupported_cache
    def list_process_elements(self, with_image: bool = False) -> Any:
        """List the elements of the process.

        Args:
            with_image: also their zones and images.

        Raises:
            AssertionError: there is no process, since this is read-only mode.
        """
        process = self.process_information
        checks.check(process, "there is no process in read-only mode")
        return self.api_client.paginate(
            "ListProcessElements",
            id=(process or {})["id"],
            with_image=with_image,
            allow_missing_data=True,
            page_size=PROCESS_ELEMENTS_PAGE_SIZE,
        )
