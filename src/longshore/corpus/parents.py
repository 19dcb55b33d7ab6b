"""Files that the tasks before a task left: each task has a directory named by its id."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from longshore.corpus.archives import close_delete_file, extract_tar_zst_archive


def find_files(data: Path, parents: Sequence[str], name: Path, chunk: str | None) -> list[Path]:
    """Return the files of that name in the directories of parent tasks.

    Args:
        data: directory in which the tasks have theirs.
        parents: ids of the tasks.
        name: of the file.
        chunk: a part of the elements, whose file is named after it: db_3.sqlite.
    """
    names = [name]
    if chunk is not None:
        names.append(name.with_name(f"{name.stem}_{chunk}{name.suffix}"))
    found = (data / str(parent) / one for parent in parents for one in names)
    return [path for path in found if path.is_file()]


def extract_into(archive: Path, directory: Path) -> None:
    """Unpack a tar.zst file into a directory; files that are there already are replaced.

    Raises:
        CorruptData: the file is no such archive.
    """
    with tempfile.TemporaryDirectory(prefix="longshore-") as made:
        extracted = Path(made)
        close_delete_file(*extract_tar_zst_archive(archive, extracted))
        for path in sorted(extracted.rglob("*")):
            if path.is_file():
                target = directory / path.relative_to(extracted)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
