"""A model for tests, and how the published clients send archives of its versions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from longshore.clock import ManualClock
from longshore.engine import artifacts as blobs
from longshore.storage import Database
from tests.surfaces.corpus_rig import Corpora, corpora_of

ARCHIVE = zstandard.compress(bytes(range(256)) * 5000)
PARTS = (ARCHIVE[:100], ARCHIVE[100:150], ARCHIVE[150:])
CONTENT_HASH = hashlib.md5(b"content", usedforsecurity=False).hexdigest()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_base64(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@dataclass
class Rig:
    corpora: Corpora
    clock: ManualClock
    model_id: str = ""

    async def call(self, method: str, path: str, **more: Any) -> Any:
        return await self.corpora.call(method, path, **more)

    async def create(self, *, expect: int = 201, **body: Any) -> Any:
        path = f"/model/{self.model_id}/versions/"
        return await self.call("POST", path, body=body, expect=expect)

    async def announced(self, **body: Any) -> Any:
        """Make a version as the client 0.6.0 does, with size and hash of its archive."""
        return await self.create(size=len(ARCHIVE), archive_hash=md5(ARCHIVE), **body)

    async def put(self, address: str, data: bytes = ARCHIVE, **headers: str) -> Any:
        """Send bytes without a key."""
        given = {"Authorization": "", **headers}
        return await self.corpora.client.put(address, content=data, headers=given)

    async def validate(self, version_id: str, *, expect: int = 200, **body: Any) -> Any:
        """Make a version available as the client 0.4.0 does."""
        wanted = {
            "state": "available",
            "size": len(ARCHIVE),
            "hash": CONTENT_HASH,
            "archive_hash": md5(ARCHIVE),
            **body,
        }
        path = f"/modelversion/{version_id}/"
        return await self.call("PATCH", path, body=wanted, expect=expect)

    async def published(self, **more: Any) -> str:
        """Publish a version as the client 0.4.0 does; return its id."""
        made = await self.create()
        await self.put(made["s3_put_url"], **{"Content-Type": "application/zstd"})
        await self.validate(made["id"], **more)
        return str(made["id"])

    async def version(self, version_id: str) -> Any:
        return await self.call("GET", f"/modelversion/{version_id}/")

    async def archive(self, version_id: str) -> Any:
        """Fetch the archive as a worker's start does: by `s3_url`, without a key."""
        address = (await self.version(version_id))["s3_url"]
        return await self.corpora.client.get(address, headers={"Authorization": ""})

    def about(self, version_id: str, upload_id: str = "", **more: Any) -> dict[str, Any]:
        upload = {"upload_id": upload_id} if upload_id else {}
        return {"object_type": "model_version", "object_id": version_id, **upload, **more}

    async def begin(self, version_id: str, *, expect: int = 201, **more: Any) -> str:
        body = self.about(version_id, checksum_algorithm=None, **more)
        made = await self.call("POST", "/upload/multipart/", body=body, expect=expect)
        return str(made.get("upload_id"))

    async def part(
        self, version_id: str, upload_id: str, number: int, data: bytes, *, expect: int = 201
    ) -> str:
        """Announce a part; return its address."""
        body = self.about(
            version_id, upload_id, part_number=number, checksum=None,
            checksum_algorithm=None, md5_hash=md5_base64(data),
        )  # fmt: skip
        made = await self.call("POST", "/upload/multipart/part/", body=body, expect=expect)
        return str(made.get("url"))

    async def send_parts(self, version_id: str, upload_id: str) -> list[dict[str, Any]]:
        """Send all parts as the client 0.6.0 does; return what it completes the upload with."""
        sent = []
        for number, data in enumerate(PARTS, 1):
            address = await self.part(version_id, upload_id, number, data)
            got = await self.put(address, data, **{"Content-MD5": md5_base64(data)})
            assert got.status_code == 200, got.text
            sent.append(
                {
                    "part_number": number,
                    "etag": got.headers["Etag"],
                    "checksum": None,
                    "md5_hash": md5_base64(data),
                }
            )
        return sent

    async def complete(
        self, version_id: str, upload_id: str, parts: Any, *, expect: int = 200
    ) -> Any:
        body = self.about(version_id, upload_id, checksum_algorithm=None, parts=parts)
        return await self.call("POST", "/upload/multipart/complete/", body=body, expect=expect)

    async def abort(self, version_id: str, upload_id: str, *, expect: int = 204) -> Any:
        body = self.about(version_id, upload_id)
        return await self.call("POST", "/upload/multipart/abort/", body=body, expect=expect)

    def stored(self) -> int:
        organisation_id = self.corpora.served.organisation.id
        return self.corpora.database.read_blocking(blobs.counts, organisation_id)["objects"]


@asynccontextmanager
async def model_of(database: Database, clock: ManualClock, directory: Path) -> AsyncIterator[Rig]:
    """Serve a model without versions."""
    async with corpora_of(database, clock, directory) as corpora:
        made = Rig(corpora, clock)
        model = await corpora.call("POST", "/models/", body={"name": "Reader"}, expect=201)
        made.model_id = model["id"]
        yield made
