"""Routes of datasets and their sets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.callers import Operator
from longshore.surfaces.corpus import building, dataset_sets, datasets
from longshore.surfaces.corpus.datasets import Changes, NewDataset
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import root_of
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])
SetName = Annotated[str, Path(alias="set")]


class _Name(msgspec.Struct, frozen=True):
    name: str


@router.get("/corpus/{id}/datasets/", **operation("ListCorpusDatasets"))
async def list_datasets(corpus_id: Id, call: Reader, page: Numbered) -> Response:
    """List the datasets of a corpus."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(datasets.listing, organisation_id, corpus_id, page))


@router.post("/corpus/{id}/datasets/", **operation("CreateDataset", body=True))
async def create(corpus_id: Id, request: Request, call: Writer) -> Response:
    """Make a dataset with its sets."""
    new = await body_of(request, NewDataset)
    return await call.change(
        "datasets.create",
        datasets.create,
        call.principal,
        corpus_id,
        new,
        target=lambda made: str(made["id"]),
        render=lambda made: made,
        status=201,
    )


@router.get("/datasets/{id}/", **operation("RetrieveDataset"))
async def retrieve(dataset_id: Id, call: Reader) -> Response:
    """Show a dataset."""

    def show(connection: Any) -> dict[str, Any]:
        found = datasets.get(connection, call.principal.organisation_id, dataset_id)
        return datasets.show(connection, found)

    return answer(await call.read(show))


@router.patch("/datasets/{id}/", **operation("PartialUpdateDataset", body=True))
async def change(dataset_id: Id, request: Request, call: Writer) -> Response:
    """Change a dataset or its state; `complete` has its archive built, and nothing changes after."""
    changes = await body_of(request, Changes)

    def apply(connection: Any) -> dict[str, Any]:
        organisation_id = call.principal.organisation_id
        dataset = datasets.get(connection, organisation_id, dataset_id, alone=True)
        if isinstance(changes.state, datasets.State):
            state = changes.state
            if state is datasets.State.OPEN:
                # What is to be changed in it can be changed in the same request.
                building.change_state(connection, call.principal, dataset, state, root_of(call))
                dataset = datasets.get(connection, organisation_id, dataset_id)
        datasets.change(connection, call.principal, dataset, changes)
        if isinstance(changes.state, datasets.State):
            dataset = datasets.get(connection, organisation_id, dataset_id)
            building.change_state(connection, call.principal, dataset, changes.state, root_of(call))
        return datasets.show(connection, datasets.get(connection, organisation_id, dataset_id))

    state = changes.state.value if isinstance(changes.state, datasets.State) else None
    return await call.change(
        "datasets.update",
        apply,
        target=lambda made: str(made["id"]),
        detail=None if state is None else {"state": state},
        render=lambda made: made,
    )


@router.post("/datasets/{id}/build/", **operation("BuildDataset"))
async def build(dataset_id: Id, call: Operator) -> Response:
    """Complete a dataset: nothing of it changes any more, and the server archives it."""

    def apply(connection: Any) -> dict[str, Any]:
        organisation_id = call.principal.organisation_id
        dataset = datasets.get(connection, organisation_id, dataset_id, alone=True)
        state = datasets.State.COMPLETE
        building.change_state(connection, call.principal, dataset, state, root_of(call))
        return datasets.show(connection, datasets.get(connection, organisation_id, dataset_id))

    return await call.change(
        "datasets.build",
        apply,
        target=lambda made: str(made["id"]),
        render=lambda made: made,
    )


@router.delete("/datasets/{id}/", **operation("DestroyDataset"))
async def destroy(dataset_id: Id, call: Operator) -> Response:
    """Delete a dataset and its archive; the elements stay in the corpus."""

    def remove(connection: Any) -> None:
        organisation_id = call.principal.organisation_id
        dataset = datasets.get(connection, organisation_id, dataset_id, alone=True)
        building.remove(connection, call.principal, dataset)

    return await call.change(
        "datasets.delete", remove, target=dataset_id, render=lambda _: None, status=204
    )


@router.post("/datasets/{id}/sets/", **operation("CreateDatasetSet", body=True))
async def create_set(dataset_id: Id, request: Request, call: Writer) -> Response:
    """Add a set to a dataset."""
    wanted = await body_of(request, _Name)

    def make(connection: Any) -> dict[str, Any]:
        dataset = datasets.get(connection, call.principal.organisation_id, dataset_id, alone=True)
        return dataset_sets.show(dataset_sets.create(connection, dataset, wanted.name))

    return await call.change(
        "datasets.add_set", make, target=dataset_id, render=lambda made: made, status=201
    )


@router.get("/datasets/{dataset}/sets/{set}/", **operation("RetrieveDatasetSet"))
async def retrieve_set(dataset: str, set_name: SetName, call: Reader) -> Response:
    """Show a set of a dataset, by its name."""

    def show(connection: Any) -> dict[str, Any]:
        found = datasets.get(connection, call.principal.organisation_id, dataset)
        return dataset_sets.show(dataset_sets.get(connection, found, set_name))

    return answer(await call.read(show))


@router.patch("/datasets/{dataset}/sets/{set}/", **operation("PartialUpdateDatasetSet", body=True))
async def rename_set(dataset: str, set_name: SetName, request: Request, call: Writer) -> Response:
    """Give a set of a dataset another name."""
    wanted = await body_of(request, _Name)

    def rename(connection: Any) -> dict[str, Any]:
        found = datasets.get(connection, call.principal.organisation_id, dataset, alone=True)
        return dataset_sets.show(dataset_sets.rename(connection, found, set_name, wanted.name))

    return await call.change(
        "datasets.rename_set", rename, target=dataset, render=lambda made: made
    )


@router.delete("/datasets/{dataset}/sets/{set}/", **operation("DestroyDatasetSet"))
async def destroy_set(dataset: str, set_name: SetName, call: Writer) -> Response:
    """Remove a set of a dataset, with what is in it."""

    def remove(connection: Any) -> None:
        found = datasets.get(connection, call.principal.organisation_id, dataset, alone=True)
        dataset_sets.remove(connection, found, set_name)

    return await call.change(
        "datasets.remove_set", remove, target=dataset, render=lambda _: None, status=204
    )
