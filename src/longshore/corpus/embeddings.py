"""Writing and listing embeddings of elements."""

from __future__ import annotations

from typing import Any

from longshore.corpus import checks
from longshore.corpus.cache import CachedElement
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Element


class EmbeddingMixin(WorkerMixin):
    """Helpers for embeddings."""

    def create_embedding(
        self, element: Element | CachedElement, value: list[float]
    ) -> dict[str, Any] | None:
        """Write an embedding onto an element.

        Args:
            element: the element.
            value: the vector, a list of floats.

        Returns:
            The embedding; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.items(value, "value")
        for index, number in enumerate(value):
            checks.check(
                isinstance(number, float),
                f"value[{index}] must be a float, not {checks.shown(number)}",
            )
        if not self.may_write("create embedding"):
            return None
        made: dict[str, Any] = self.api_client.request(
            "CreateEmbedding",
            id=str(element.id),
            body={"worker_run_id": self.worker_run_id, "value": value},
        )
        return made

    def list_embeddings(self, element: Element | CachedElement) -> Any:
        """List the embeddings of an element, from the API.

        Raises:
            AssertionError: the element is none.
        """
        checks.instance(element, "element", Element, CachedElement)
        return self.api_client.paginate("ListEmbeddings", id=str(element.id))
