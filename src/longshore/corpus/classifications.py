"""Giving classes to elements, and the classes of the worker's corpus."""

from __future__ import annotations

from typing import Any, Final

from longshore.corpus import checks
from longshore.corpus.cache import CachedClassification, CachedElement
from longshore.corpus.client import ErrorResponse
from longshore.corpus.mixin import WorkerMixin, logger
from longshore.corpus.models import Element
from longshore.corpus.utils import (
    DEFAULT_BATCH_SIZE,
    batch_publication,
    make_batches,
    pluralize,
)

DUPLICATE: Final = "The fields element, worker_run, ml_class must make a unique set."
"""How the API refuses a class that the worker run has given to the element before."""


class ClassificationMixin(WorkerMixin):
    """Helpers for classes; `self.classes` has the ids of those of the corpus, by name."""

    def load_corpus_classes(self) -> None:
        """Read the classes of the corpus into `self.classes`."""
        found = self.api_client.paginate("ListCorpusMLClasses", id=self.corpus_id)
        self.classes = {one["name"]: one["id"] for one in found}
        count = len(self.classes)
        logger.info(
            "Loaded %d ML %s in corpus (%s)", count, pluralize("class", count), self.corpus_id
        )

    def get_ml_class_id(self, ml_class: str) -> str | None:
        """Return the id of a class by its name; it is made where the corpus does not have it.

        In read-only mode it is not made, and None is returned.

        Raises:
            ErrorResponse: the API refused the class, and it is not there.
        """
        if not self.classes:
            self.load_corpus_classes()
        if ml_class in self.classes:
            return self.classes[ml_class]
        if not self.may_write("create ML class"):
            return None
        logger.info("Creating ML class %s on corpus %s", ml_class, self.corpus_id)
        try:
            made = self.api_client.request(
                "CreateMLClass", id=self.corpus_id, body={"name": ml_class}
            )
        except ErrorResponse as error:
            if error.status_code != 400:
                raise
            logger.info("Class %s was refused; looking whether it exists", ml_class)
            self.load_corpus_classes()
            if ml_class not in self.classes:
                raise
            return self.classes[ml_class]
        self.classes[ml_class] = str(made["id"])
        return self.classes[ml_class]

    def retrieve_ml_class(self, ml_class_id: str) -> str:
        """Return the name of a class by its id.

        Raises:
            AssertionError: the corpus does not have it.
        """
        if not self.classes:
            self.load_corpus_classes()
        for name, known_id in self.classes.items():
            if known_id == ml_class_id:
                return name
        raise AssertionError(f"There is no class {ml_class_id} in corpus {self.corpus_id}.")

    def create_classification(
        self,
        element: Element | CachedElement,
        ml_class: str,
        confidence: float,
        high_confidence: bool = False,
    ) -> dict[str, Any] | None:
        """Give a class to an element.

        Args:
            element: the element.
            ml_class: name of the class; it is made where the corpus does not have it.
            confidence: from 0.0 to 1.0.
            high_confidence: whether it is as good as certain.

        Returns:
            The classification; None in read-only mode, and where this worker run has given the
            class to the element before.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        _check({"ml_class": ml_class, "confidence": confidence, "high_confidence": high_confidence})
        if not self.may_write("create classification"):
            return None
        body = {
            "element": str(element.id),
            "ml_class": self.get_ml_class_id(ml_class),
            "worker_run_id": self.worker_run_id,
            "confidence": confidence,
            "high_confidence": high_confidence,
        }
        try:
            made: dict[str, Any] = self.api_client.request("CreateClassification", body=body)
        except ErrorResponse as error:
            if not _is_duplicate(error):
                raise
            logger.warning("This worker run has already set %s on element %s", ml_class, element.id)
            return None
        self._keep_classifications(element, [made], [ml_class], "created classification")
        return made

    @batch_publication
    def create_classifications(
        self,
        element: Element | CachedElement,
        classifications: list[dict[str, Any]],
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> list[dict[str, Any]] | None:
        """Give several classes to an element.

        Args:
            element: the element.
            classifications: dictionaries with `ml_class` (name), `confidence` and, where it is
                so, `high_confidence`.
            batch_size: how many one request carries. After a failed one, those before it stay.

        Returns:
            The classifications, in order, with the name of the class as `class_name`; None in
            read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(element, "element", Element, CachedElement)
        checks.items(classifications, "classifications")
        for index, classification in enumerate(classifications):
            checks.mapping(classification, f"classifications[{index}]")
            _check(classification, f"classifications[{index}]: ")
        if not self.may_write("create classifications"):
            return None
        made: list[dict[str, Any]] = []
        for batch in make_batches(classifications, "classification", batch_size):
            body = {
                "parent": str(element.id),
                "worker_run_id": self.worker_run_id,
                "classifications": [
                    {**one, "ml_class": self.get_ml_class_id(one["ml_class"])} for one in batch
                ],
            }
            answer = self.api_client.request("CreateClassifications", body=body)
            made += answer["classifications"]
        for one in made:
            one["class_name"] = self.retrieve_ml_class(one["ml_class"])
        names = [one["class_name"] for one in made]
        self._keep_classifications(element, made, names, "created classifications")
        return made

    def _keep_classifications(
        self,
        element: Element | CachedElement,
        made: list[dict[str, Any]],
        names: list[str],
        what: str,
    ) -> None:
        def rows() -> list[dict[str, Any]]:
            return [
                {
                    "id": one["id"],
                    "element_id": element.id,
                    "class_name": name,
                    "confidence": one["confidence"],
                    "state": one["state"],
                    "worker_run_id": self.worker_run_id,
                }
                for one, name in zip(made, names, strict=True)
            ]

        self.keep_in_cache(CachedClassification, rows, what)


def _check(classification: dict[str, Any], where: str = "") -> None:
    checks.text(classification.get("ml_class"), f"{where}ml_class")
    checks.confidence(classification.get("confidence"), f"{where}confidence")
    if classification.get("high_confidence") is not None:
        checks.flag(classification["high_confidence"], f"{where}high_confidence")


def _is_duplicate(error: ErrorResponse) -> bool:
    content = error.content
    return (
        error.status_code == 400
        and isinstance(content, dict)
        and DUPLICATE in (content.get("non_field_errors") or ())
    )
