"""The archive of a complete dataset: a tar in zstandard, with its images and a database.

    db.sqlite               elements, sets and what was found (see `cache_database`)
    images/<image id>.jpg   the whole images, upright; those that lie with us

Images of another service are not in it; the database has their addresses.
"""

from __future__ import annotations

import asyncio
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from longshore import limits
from longshore.edge import files
from longshore.edge.jobs import JobContext
from longshore.engine import artifacts as blobs
from longshore.errors import ConfigurationError, NotFound
from longshore.surfaces.corpus import building, datasets, gathering, iiif
from longshore.surfaces.corpus.cache_database import CacheDatabase
from longshore.surfaces.corpus.datasets import Dataset
from longshore.surfaces.corpus.exports import file_pieces, giving_up
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.rendering import Renderer

DATABASE: Final = "db.sqlite"
IMAGES: Final = "images"
_LEVEL: Final = 3


async def build(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Archive a dataset and make it complete; run again it starts from the beginning."""
    dataset_id, task_id = str(payload["dataset_id"]), str(payload["task_id"])
    dataset = await context.database.read(_wanted, context.organisation_id, dataset_id, task_id)
    if dataset is None:
        return {}
    failed = partial(context.database.write, building.fail, dataset_id, task_id)
    async with giving_up(failed, f"The archive of dataset {dataset_id}"):
        with tempfile.TemporaryDirectory(prefix="longshore-dataset-") as directory:
            archive = Path(directory, building.archive_path(dataset_id))
            counts = await _write(context, dataset, archive, str(payload["site"]))
            stored = await files.receive(
                context, context.organisation_id, file_pieces(archive), limits.ARTIFACT_BYTES
            )
        done = await context.database.write(
            building.complete, context.organisation_id, dataset_id, task_id, stored
        )
        if not done:
            await context.database.write(blobs.condemn, [stored.blob_id])
    return {**counts, "bytes": stored.size_bytes}


async def _write(context: JobContext, dataset: Dataset, archive: Path, site: str) -> dict[str, int]:
    database, renderer = context.database, Renderer()
    path = archive.with_name(DATABASE)
    names = await database.read(datasets.set_names, dataset.id)
    made = await asyncio.to_thread(CacheDatabase, path, site)
    written: set[str] = set()
    elsewhere: set[str] = set()
    with closing(made), _tar(archive) as tar:
        await asyncio.to_thread(made.add_dataset, dataset.id, dataset.name, names)
        async for rows in gathering.members(database, dataset.id):
            await asyncio.to_thread(made.add_members, dataset.id, rows)
        async for piece in gathering.pieces(database, dataset.corpus_id, dataset.id):
            await asyncio.to_thread(made.add, piece)
            for image in piece.images:
                if image.blob_id is None:
                    elsewhere.add(image.id)
                elif image.id not in written:
                    written.add(image.id)
                    content = await _file(context, renderer, image, archive.parent)
                    await asyncio.to_thread(tar.add, content, f"{IMAGES}/{image.id}.jpg")
        counts = await asyncio.to_thread(made.finish)
        await asyncio.to_thread(tar.add, path, DATABASE)
    return {**counts, "images": len(written), "images_elsewhere": len(elsewhere)}


async def _file(context: JobContext, renderer: Renderer, image: Image, directory: Path) -> Path:
    """Return a file with a whole image as JPEG; it is overwritten with the next one."""
    path = directory / "image.jpg"
    if image.details.get("plain"):
        parts = context.blobs.get(
            image.blob_id or "", sha256=image.sha256, size_bytes=image.size_bytes
        )
        with path.open("wb") as file:
            async for part in parts:
                await asyncio.to_thread(file.write, part)
    else:
        whole = iiif.rendering(
            "2", (image.width, image.height),
            region="full", size="full", rotation="0", file="default.jpg",
        )  # fmt: skip
        data = await renderer.render(context.blobs, image, whole)
        await asyncio.to_thread(path.write_bytes, data)
    return path


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        # Loaded with the first archive only: a server without corpora does without.
        import zstandard  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Archives are made with zstandard, which is not installed beside the server. Run "
            "pip install 'longshore[corpus]' there and start it again."
        ) from error
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    with (
        path.open("wb") as file,
        compressor.stream_writer(file) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        yield tar


def _wanted(
    connection: Connection, organisation_id: str, dataset_id: str, task_id: str
) -> Dataset | None:
    if not building.is_wanted(connection, dataset_id, task_id):
        return None
    try:
        return datasets.get(connection, organisation_id, dataset_id)
    except NotFound:
        return None
