"""Artifacts: the files that tasks leave."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from longshore.corpus import checks
from longshore.corpus.image import retried_request
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Artifact

UNKNOWN_TYPE: Final = "application/octet-stream"


class TaskMixin(WorkerMixin):
    """Helpers for artifacts."""

    def list_artifacts(self, task_id: UUID) -> Iterator[Artifact]:
        """List the artifacts of a task.

        Raises:
            AssertionError: the id is no UUID.
        """
        checks.instance(task_id, "task_id", UUID)
        return map(Artifact, self.api_client.request("ListArtifacts", id=str(task_id)))

    def download_artifact(self, task_id: UUID, artifact: Artifact) -> Any:
        """Download an artifact into a temporary file, which is returned open for reading.

        Raises:
            AssertionError: an argument is wrong.
        """
        checks.instance(task_id, "task_id", UUID)
        checks.instance(artifact, "artifact", Artifact)
        return self.api_client.request("DownloadArtifact", id=str(task_id), path=artifact.path)

    def upload_artifact(self, path: Path) -> None:
        """Send a file of the working directory as an artifact of this task, right away.

        Files that are still there when the task ends become artifacts by themselves.

        Raises:
            AssertionError: this is no path of a file.
            ValueError: the file is not in the working directory.
            httpx.HTTPError: the file cannot be sent.
        """
        checks.instance(path, "path", Path)
        checks.check(path.is_file(), f"there is no file {path}")
        if not self.may_write("upload artifact"):
            return
        name = path.relative_to(self.work_dir).as_posix()
        content_type = mimetypes.guess_type(path.name)[0] or UNKNOWN_TYPE
        artifact = self.api_client.request(
            "CreateArtifact",
            id=str(self.task_id),
            body={"path": name, "content_type": content_type, "size": path.stat().st_size},
        )
        upload_file(path, artifact["s3_put_url"], {"Content-Type": content_type})


def upload_file(path: Path, url: str, headers: dict[str, str]) -> None:
    """Send a file with PUT to an address that needs no key; it is read as it is sent.

    Raises:
        httpx.HTTPError: no attempt of three succeeded.
    """
    size_bytes = str(path.stat().st_size)
    retried_request(
        "PUT",
        url,
        body=lambda: _chunks(path),
        headers={**headers, "Content-Length": size_bytes},
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
