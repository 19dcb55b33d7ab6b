"""Publishing versions of models that a worker has trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from longshore.corpus import checks
from longshore.corpus.archives import close_delete_file, create_tar_zst_archive
from longshore.corpus.client import ErrorResponse
from longshore.corpus.mixin import WorkerMixin, logger, skip_if_read_only
from longshore.corpus.multipart import upload_in_parts
from longshore.corpus.tasks import upload_file

TAG_TAKEN: Final = "A version for this model with this tag already exists."
MULTIPART_FROM_BYTES: Final = 1 << 30
"""Size of an archive from which on it is sent in parts, so that a failure does not cost it all."""


class Archive(NamedTuple):
    """An archive of a model: its file, the MD5 of its content, its size and its own MD5."""

    path: Path
    content_hash: str
    size_bytes: int
    archive_hash: str


@contextmanager
def create_archive(path: Path) -> Iterator[Archive]:
    """Pack a directory into a compressed tar file for a `with` block.

    Raises:
        AssertionError: this is no directory.
    """
    checks.check(path.is_dir(), f"{path} must be a directory")
    descriptor, archive, archive_hash, content_hash = create_tar_zst_archive(path)
    try:
        yield Archive(archive, content_hash, archive.stat().st_size, archive_hash)
    finally:
        close_delete_file(descriptor, archive)


class TrainingMixin(WorkerMixin):
    """Helpers for model versions; `self.model_version` is the one that is being published.

    Call `publish_model_version` with the finished model, or `create_model_version` before the
    training, to show its metrics, and `publish_model_version` after it.
    """

    model_version: dict[str, Any] | None = None

    @property
    def is_finetuning(self) -> bool:
        """Whether this worker starts from a model version that exists."""
        return bool(self.model_version_id)

    @skip_if_read_only
    def publish_model_version(
        self,
        model_path: Path,
        model_id: str,
        tag: str | None = None,
        description: str | None = None,
        configuration: dict[str, Any] | None = None,
        parent: str | UUID | None = None,
    ) -> None:
        """Publish a directory as a version of a model.

        A version that `create_model_version` has made is used, or one is made. Where the model has
        a version with the same files already, that is used, and the new one removed.

        Args:
            model_path: the directory.
            model_id: id of the model.
            tag: short name of the version.
            description: of the version.
            configuration: of the version.
            parent: id of the version that this one was trained from.

        Raises:
            AssertionError: this is no directory, or the version that was made is of another model.
            httpx.HTTPError: the archive cannot be sent.
        """
        details = _details(tag, description, configuration, parent)
        if self.model_version is None:
            self.create_model_version(model_id, **details)
        elif details:
            made_of = self.model_version.get("model_id")
            checks.check(made_of == model_id, f"the version that was made is of model {made_of}")
            self.update_model_version(**details)
        with create_archive(model_path) as archive:
            if archive.size_bytes >= MULTIPART_FROM_BYTES or not self._model_version().get(
                "s3_put_url"
            ):
                self._publish_in_parts(archive)
                return
            self.upload_to_s3(archive.path)
            made_id = self._model_version()["id"]
            self.validate_model_version(
                hash=archive.content_hash,
                size=archive.size_bytes,
                archive_hash=archive.archive_hash,
            )
        if self._model_version()["id"] != made_id and details:
            logger.warning("Updating the existing version with the attributes of the new one.")
            self.update_model_version(**details)

    @skip_if_read_only
    def create_model_version(
        self,
        model_id: str,
        tag: str | None = None,
        description: str | None = None,
        configuration: dict[str, Any] | None = None,
        parent: str | UUID | None = None,
        *,
        size: int | None = None,
        archive_hash: str | None = None,
    ) -> None:
        """Make a version of a model, as `self.model_version`; its files come later.

        Args:
            model_id: id of the model.
            tag: short name of the version; one that is taken is left out, with a warning.
            description: of the version.
            configuration: of the version.
            parent: id of the version that this one was trained from.
            size: of the archive in bytes, where it is known.
            archive_hash: hexadecimal MD5 of the archive, where it is known.

        Raises:
            AssertionError: there is a version already.
        """
        checks.check(self.model_version is None, "a model version has already been created")
        body = {
            "configuration": {},
            **_details(tag, description, configuration, parent),
            **_known(size=size, archive_hash=archive_hash),
        }
        try:
            self.model_version = self.api_client.request(
                "CreateModelVersion", id=model_id, body=body
            )
        except ErrorResponse as error:
            if "tag" not in body or not _is_tag_taken(error):
                raise
            logger.warning("The tag `%s` is taken; the version gets none.", tag)
            del body["tag"]
            self.model_version = self.api_client.request(
                "CreateModelVersion", id=model_id, body=body
            )
        logger.info("Model version (%s) was successfully created", self._model_version()["id"])

    @skip_if_read_only
    def update_model_version(
        self,
        tag: str | None = None,
        description: str | None = None,
        configuration: dict[str, Any] | None = None,
        parent: str | UUID | None = None,
        *,
        size: int | None = None,
        archive_hash: str | None = None,
    ) -> None:
        """Change the version that was made; what is None stays.

        Raises:
            AssertionError: there is no version yet.
        """
        body = {
            **_details(tag, description, configuration, parent),
            **_known(size=size, archive_hash=archive_hash),
        }
        self.model_version = self.api_client.request(
            "UpdateModelVersion", id=self._model_version()["id"], body=body
        )
        logger.info("Model version (%s) was successfully updated", self._model_version()["id"])

    @skip_if_read_only
    def upload_to_s3(self, archive_path: Path) -> None:
        """Send the archive of the version that was made, to the address that it was given.

        Raises:
            AssertionError: there is no version yet, or it has its files already.
            httpx.HTTPError: the archive cannot be sent.
        """
        version = self._unpublished_model_version()
        url = version.get("s3_put_url")
        checks.check(url, "the API gave no address to send the archive to")
        logger.info("Uploading to s3...")
        upload_file(archive_path, str(url), {"Content-Type": "application/zstd"})

    @skip_if_read_only
    def validate_model_version(
        self,
        hash: str,  # noqa: A002 - the name of the worker protocol
        size: int,
        archive_hash: str,
    ) -> None:
        """Make the version available, now that its archive has been sent.

        Where the model has a version with the same files already, `self.model_version` becomes
        that, and the new one is removed.

        Args:
            hash: hexadecimal MD5 of the files' content.
            size: of the archive, in bytes.
            archive_hash: hexadecimal MD5 of the archive.

        Raises:
            AssertionError: there is no version yet.
        """
        pending_id = self._model_version()["id"]
        body = {"state": "available", "size": size, "hash": hash, "archive_hash": archive_hash}
        try:
            self.model_version = self.api_client.request(
                "PartialUpdateModelVersion", id=pending_id, body=body
            )
        except ErrorResponse as error:
            existing_id = _existing_id(error)
            if existing_id is None:
                raise
            logger.warning("A version with hash %s exists; using it instead.", hash)
            self._remove_model_version(pending_id)
            self.model_version = self.api_client.request("RetrieveModelVersion", id=existing_id)
        logger.info("Model version %s is now available.", self._model_version()["id"])

    def _publish_in_parts(self, archive: Archive) -> None:
        version = self._unpublished_model_version()
        self.update_model_version(size=archive.size_bytes, archive_hash=archive.archive_hash)
        upload_in_parts(
            self.api_client, archive.path, object_type="model_version", object_id=version["id"]
        )
        self.model_version = {**self._model_version(), "state": "available"}
        logger.info("Model version %s is now available.", version["id"])

    def _remove_model_version(self, version_id: str) -> None:
        try:
            self.api_client.request("DestroyModelVersion", id=version_id)
        except ErrorResponse as error:
            logger.error("The pending version %s cannot be removed: %s", version_id, error.content)

    def _model_version(self) -> dict[str, Any]:
        if self.model_version is None:
            raise AssertionError("no model version has been created yet")
        return self.model_version

    def _unpublished_model_version(self) -> dict[str, Any]:
        version = self._model_version()
        state = str(version.get("state", "")).lower()
        checks.check(state != "available", "the model version is available already")
        return version


def _details(
    tag: str | None,
    description: str | None,
    configuration: dict[str, Any] | None,
    parent: str | UUID | None,
) -> dict[str, Any]:
    parent_id = None if parent is None else str(parent)
    given = {"tag": tag or None, "description": description or None}
    return _known(**given, configuration=configuration or None, parent=parent_id)


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _is_tag_taken(error: ErrorResponse) -> bool:
    content = error.content if isinstance(error.content, dict) else {}
    return error.status_code == 400 and TAG_TAKEN in (content.get("non_field_errors") or ())


def _existing_id(error: ErrorResponse) -> str | None:
    """Return the id of the version with the same files, which the API names in a list."""
    content = error.content if isinstance(error.content, dict) else {}
    found = content.get("id")
    return str(found[-1]) if isinstance(found, list) and found else None
