"""Preparing the directory of a task by the task itself, where nobody has done it before.

`longshore worker` prepares directories. On a machine that it does not run on, such as a rented
one, the task's own program does the same with `--bootstrap`.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from longshore.corpus.archives import close_delete_file, extract_tar_zst_archive
from longshore.corpus.checks import check
from longshore.errors import ConfigurationError, CorruptData
from longshore.settings import task_variable

logger = logging.getLogger("longshore.corpus")

CURRENT: Final = "current"
_ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"


def prepare(client: Any, data: Path) -> None:
    """Make the directory of this task, with the files of the tasks before it and of the model.

    Args:
        client: of the API.
        data: directory in which the tasks have theirs. If it has `current` already, nothing is
            done.

    Raises:
        ConfigurationError: PONOS_TASK or TASK_PARENTS is missing or unusable.
        CorruptData: a file has a name that leads elsewhere.
        ErrorResponse: a file cannot be downloaded.
    """
    if (data / CURRENT).exists():
        logger.info("The task has its directory already: %s", data / CURRENT)
        return
    task_id = task_variable("PONOS_TASK")
    if not task_id:
        raise ConfigurationError("PONOS_TASK must be the id of the task that is prepared.")
    for parent_id, slug in _parents().items():
        _fetch_parent(client, data, parent_id, slug)
    version_id, model = task_variable("ARKINDEX_MODEL_VERSION"), task_variable("ARKINDEX_MODEL_DIR")
    if version_id and model:
        _fetch_model(client, version_id, Path(model))
    (data / task_id).mkdir(parents=True, exist_ok=True)
    (data / CURRENT).symlink_to(task_id, target_is_directory=True)


def _parents() -> dict[str, str]:
    try:
        parents = json.loads(task_variable("TASK_PARENTS") or "")
        check(isinstance(parents, dict), "it is no object")
        named = {str(parent_id): str(slug) for parent_id, slug in parents.items()}
    except (ValueError, AssertionError) as error:
        raise ConfigurationError(
            f"TASK_PARENTS must be a JSON object with slugs of tasks by their ids: {error}."
        ) from error
    for name in (*named, *named.values()):
        if not _is_inside(name) or "/" in name:
            raise ConfigurationError(f"TASK_PARENTS names {name!r}, which can be no directory.")
    return named


def _fetch_parent(client: Any, data: Path, parent_id: str, slug: str) -> None:
    directory = data / parent_id
    directory.mkdir(parents=True, exist_ok=True)
    link = data / slug
    if not link.exists():
        link.symlink_to(parent_id, target_is_directory=True)
    for artifact in client.paginate("ListArtifacts", id=parent_id):
        path = str(artifact["path"])
        if not _is_inside(path):
            raise CorruptData(f"Task {parent_id} has a file named {path!r}, which leads elsewhere.")
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        logger.info("Downloading %s of task %s", path, slug)
        with client.request("DownloadArtifact", id=parent_id, path=path) as source:
            _write(source, target)


def _fetch_model(client: Any, version_id: str, directory: Path) -> None:
    logger.info("Downloading model version %s", version_id)
    url = client.request("RetrieveModelVersion", id=version_id)["s3_url"]
    directory.mkdir(parents=True, exist_ok=True)
    with client.download(url) as source:
        is_archive = source.read(len(_ZSTANDARD)) == _ZSTANDARD
        source.seek(0)
        if is_archive:
            close_delete_file(*extract_tar_zst_archive(Path(source.name), directory))
        else:
            _write(source, directory / PurePosixPath(url.partition("?")[0]).name)


def _write(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _is_inside(name: str) -> bool:
    """Whether a name leads to something below the directory that it is used in."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
