"""Datasets, their sets, and the elements in them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from enum import Enum
from typing import Any
from uuid import UUID

from longshore.corpus import checks
from longshore.corpus.cache import unsupported_cache
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Dataset, Element, Set


class DatasetState(Enum):
    """How far a dataset is."""

    Open = "open"
    """Elements can be put into its sets."""

    Building = "building"
    """Its archive is being built."""

    Complete = "complete"
    """Its archive is there, and it does not change any more."""

    Error = "error"
    """Building its archive has failed."""


class MissingDatasetArchive(Exception):
    """The task that built a dataset has no archive of it among its artifacts."""


def check_dataset_set(value: str) -> tuple[UUID, str]:
    """Read `--set DATASET_ID:SET_NAME` and return the two parts.

    Raises:
        ArgumentTypeError: there is not exactly one colon, or the first part is no UUID.
    """
    dataset_id, colon, name = value.partition(":")
    if not colon or ":" in name:
        raise ArgumentTypeError(f"'{value}' must have the form `<dataset_id>:<set_name>`")
    try:
        return UUID(dataset_id), name
    except ValueError:
        raise ArgumentTypeError(f"'{dataset_id}' must be a valid UUID") from None


class DatasetMixin(WorkerMixin):
    """Helpers for datasets."""

    def add_arguments(self) -> None:
        """Declare the argument that chooses sets."""
        self.parser.add_argument(
            "--set",
            help="Sets of datasets to process: <dataset_id>:<set_name>, such as "
            "12341234-1234-1234-1234-123412341234:train",
            type=check_dataset_set,
            nargs="+",
            default=[],
        )
        super().add_arguments()

    def list_process_sets(self) -> Iterator[Set]:
        """List the sets of the process.

        Raises:
            AssertionError: there is no process, since this is read-only mode.
        """
        process = self.process_information
        checks.check(
            not self.is_read_only and process, "there is no process in read-only mode: pass --set"
        )
        return map(
            _process_set, self.api_client.paginate("ListProcessSets", id=(process or {})["id"])
        )

    def list_set_elements(self, dataset_set: Set) -> Iterator[Element]:
        """List the elements of a set, with all that `RetrieveElement` says of them.

        Raises:
            AssertionError: this is no set.
        """
        checks.instance(dataset_set, "dataset_set", Set)
        found = self.api_client.paginate(
            "ListDatasetElements", id=str(dataset_set.dataset.id), set=dataset_set.name
        )
        return (Element(**one["element"]) for one in found)

    def list_sets(self) -> Iterator[Set]:
        """List the sets to work on: those of the process, and then those given with `--set`."""
        if not self.is_read_only:
            yield from self.list_process_sets()
        known: dict[UUID, Dataset] = {}
        for dataset_id, name in self.args.set:
            if dataset_id not in known:
                answer = self.api_client.request("RetrieveDataset", id=str(dataset_id))
                known[dataset_id] = Dataset(**answer)
            yield Set(name=name, dataset=known[dataset_id])

    @unsupported_cache
    def update_dataset_state(self, dataset: Dataset, state: DatasetState) -> Dataset | None:
        """Set the state of a dataset.

        Returns:
            The dataset, with what the API answered; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(dataset, "dataset", Dataset)
        checks.instance(state, "state", DatasetState)
        if not self.may_write("update dataset"):
            return None
        dataset.update(
            self.api_client.request(
                "PartialUpdateDataset", id=str(dataset.id), body={"state": state.value}
            )
        )
        return dataset

    def create_dataset(
        self, name: str, description: str, set_names: list[str], unique_elements: bool = True
    ) -> dict[str, Any] | None:
        """Make a dataset in the corpus.

        Args:
            name: of the dataset.
            description: what it is for.
            set_names: names of its sets.
            unique_elements: whether an element may only be in one of its sets.

        Returns:
            The dataset; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.text(name, "name")
        checks.text(description, "description")
        checks.items(set_names, "set_names")
        for index, set_name in enumerate(set_names):
            checks.text(set_name, f"set_names[{index}]")
        checks.flag(unique_elements, "unique_elements")
        if not self.may_write("create dataset"):
            return None
        made: dict[str, Any] = self.api_client.request(
            "CreateDataset",
            id=self.corpus_id,
            body={
                "name": name,
                "description": description,
                "set_names": set_names,
                "unique_elements": unique_elements,
            },
        )
        return made

    def create_dataset_element(self, dataset_set: Set, element: Element) -> dict[str, Any] | None:
        """Put an element into a set.

        Returns:
            The answer of the API; None in read-only mode.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(dataset_set, "dataset_set", Set)
        checks.instance(element, "element", Element)
        if not self.may_write("create dataset element"):
            return None
        made: dict[str, Any] = self.api_client.request(
            "CreateDatasetElement",
            id=str(dataset_set.dataset.id),
            body={"set": dataset_set.name, "element_id": str(element.id)},
        )
        return made

    def destroy_dataset_element(self, dataset_set: Set, element: Element) -> None:
        """Take an element out of a set; in read-only mode it stays.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(dataset_set, "dataset_set", Set)
        checks.instance(element, "element", Element)
        if not self.may_write("destroy dataset element"):
            return
        self.api_client.request(
            "DestroyDatasetElement",
            dataset=str(dataset_set.dataset.id),
            element=str(element.id),
            set=dataset_set.name,
        )


def _process_set(answer: dict[str, Any]) -> Set:
    made = Set(name=answer["set_name"], dataset=Dataset(**answer["dataset"]))
    if "id" in answer:
        made["id"] = answer["id"]
    return made
