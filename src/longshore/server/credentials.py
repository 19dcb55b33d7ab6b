"""The data directory: its lock, and the file in which SDK and command line find address and key."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from longshore.errors import ConfigurationError
from longshore.settings import Settings

CREDENTIALS: Final = "credentials.json"
LOCK: Final = "server.lock"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `credentials.json` holds; readable by its owner only."""

    url: str
    organisation: str
    organisation_id: str
    key: str = field(repr=False)
    worker_key: str = field(repr=False)


def make_data_directory(directory: Path) -> None:
    """Make the data directory, for its owner only, where there is none.

    Raises:
        ConfigurationError: it cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {directory} cannot be made ({error.strerror}). Give another one "
            "with --data."
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The data directory {directory} is not writable. Change its permissions, or give "
            "another one with --data."
        )


def read(directory: Path) -> dict[str, str]:
    """Return what the credentials file holds, or nothing when there is none.

    Raises:
        ConfigurationError: the file cannot be read or is not what the server wrote.
    """
    path = directory / CREDENTIALS
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error}). Remove it: the next start writes a new one, with "
            "new keys."
        ) from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} is not a JSON object. Remove it and start again.")
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def write(directory: Path, credentials: Credentials) -> Path:
    """Write the credentials file in one step, readable by its owner only; return its path."""
    path = directory / CREDENTIALS
    # A temporary file is made with mode 0600, so that the keys are never readable by others.
    descriptor, partial = tempfile.mkstemp(prefix=f".{CREDENTIALS}.", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(credentials), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return path


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Be the only process that uses the data directory, and the SQLite file if there is one.

    Raises:
        ConfigurationError: another server holds one of them; see `locked`.
    """
    with ExitStack() as stack:
        for lock in _locks(settings):
            stack.enter_context(locked(lock))
        yield


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Keep other servers out of what the file `lock` stands for until the block is left.

    The lock goes away with the process, however that ends.

    Raises:
        ConfigurationError: another server holds it (the message names its address and process),
            or the file cannot be made.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"{lock} cannot be made ({error.strerror}). Check that its directory is there and "
            "writable."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            address = read(lock.parent).get("url", "an unknown address")
            raise ConfigurationError(
                f"Another server already uses {lock.parent}: process {holder}, last known at "
                f"{address}. Use that one, stop it, or give another directory with --data."
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _locks(settings: Settings) -> list[Path]:
    """Return the files to lock: one for the data directory, one for a SQLite file wherever it is.

    A SQLite file may have one server only, also when two data directories name it.
    """
    locks = [settings.data / LOCK]
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        path = Path(url.database).resolve()
        locks.append(path.with_name(f"{path.name}.lock"))
    return locks
