"""The data directory: who may read it, how much room there is, and what lies in it.

Nothing here needs a running server, so it is also what is left when there is none.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy.engine import make_url

from longshore.access import keystore_master
from longshore.errors import ConfigurationError
from longshore.limits import MIB
from longshore.server import credentials
from longshore.server.diagnosis.finding import Finding, fault, note, ok, size, warning
from longshore.settings import Settings
from longshore.storage import migrating

LOW_DISK_BYTES: Final = 1024 * MIB
LARGE_LOG_BYTES: Final = 1024 * MIB
SAFE_SQLITE: Final = (3, 51, 3)
"""The first version of SQLite without the fault of its write-ahead log that `engine` tells of."""
_PROCESSES_MAX: Final = 5_000


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at the data directory and at a SQLite database, wherever that is."""
    yield from _permissions(settings)
    yield from _master_key(settings)
    yield disk(settings)
    path = database_file(settings)
    if path is not None:
        yield engine()
        yield from _database_file(path)


def database_file(settings: Settings) -> Path | None:
    """Return the file of a SQLite database, or None for another kind."""
    url = make_url(settings.database_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def disk(settings: Settings) -> Finding:
    """Say how much room is left."""
    used = shutil.disk_usage(settings.data)
    text = f"{size(used.free)} of {size(used.total)} are free for {settings.data}"
    if used.free >= LOW_DISK_BYTES:
        return ok("disk", text)
    return fault(
        "disk",
        f"only {text}; a full disk refuses every write",
        "make room: longshore delete RUN, a retention for queues, or a larger disk",
    )


def engine() -> Finding:
    """Say which SQLite this is, and what is known against it."""
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return ok("sqlite", version)
    return note(
        "sqlite",
        f"{version}: before 3.51.3, two connections that write or checkpoint at the same instant can "
        "damage a database with a write-ahead log. The server does both with one connection only",
        "let no other program write to the file while a server runs; read it with mode=ro",
    )


def _permissions(settings: Settings) -> Iterator[Finding]:
    data = settings.data
    database = database_file(settings)
    key = keystore_master.Keyring(settings).file
    wanted = [data / credentials.CREDENTIALS, *([key] if key else [])]
    open_files = [path for path in wanted if _mode(path) & 0o077]
    for path in open_files:
        yield fault(
            "permissions",
            f"{path} holds keys, and others on this machine may read it (mode {_mode(path):04o})",
            f"chmod 600 {path}, then replace what it holds: others may have read it",
        )
    # Inside a directory that is closed to others, nothing else can be reached.
    if _mode(data) & 0o077 and database is not None and _mode(database) & 0o044:
        yield warning(
            "permissions",
            f"others on this machine may read {data} (mode {_mode(data):04o}) and the database in it",
            f"chmod 700 {data}",
        )
    elif not open_files:
        yield ok("permissions", f"only their owner reads keys and data in {data}")


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _master_key(settings: Settings) -> Iterator[Finding]:
    keyring = keystore_master.Keyring(settings)
    path = keyring.file
    if keyring.may_make and path is not None and not path.exists():
        yield note("master key", f"none yet; the first secret makes {path}")
        return
    try:
        count = len(keyring.masters().vaults)
    except ConfigurationError as error:
        yield fault(
            "master key",
            f"{error.message} Secrets cannot be read or set without it",
            "bring the key back from your back-up; nothing else opens the secrets",
        )
        return
    where = "from the settings" if path is None else f"in {path}"
    yield ok("master key", f"{count} readable {where}; keep a copy of it apart from the database")


def _database_file(path: Path) -> Iterator[Finding]:
    log = path.with_name(f"{path.name}-wal")
    log_bytes = _bytes(log)
    if not path.is_file():
        yield note(
            "database file", f"{path} is not there yet; the first start makes it", "longshore up"
        )
        return
    text = f"{path}: {size(_bytes(path))}, write-ahead log {size(log_bytes)}"
    if log_bytes > LARGE_LOG_BYTES:
        yield warning(
            "database file",
            f"{text}: the log is not written back, which a reader that never ends holds up",
            "look who has the file open, below; a restart of the server writes it back",
        )
    else:
        yield ok("database file", text)
    yield _migrations(path)
    yield from _others(path)


def _migrations(path: Path) -> Finding:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        return fault(
            "migrations",
            f"{path} cannot be read as a database of Longshore ({error})",
            "check path and permissions; longshore restore brings a back-up back",
        )
    return step(None if row is None else str(row[0]))


def step(present: str | None) -> Finding:
    """Say whether the tables are as this version wants them."""
    if present == migrating.HEAD:
        return ok("migrations", f"the tables are at step {present}, the newest")
    if present is not None and present > migrating.HEAD:
        return fault(
            "migrations",
            f"the tables are at step {present}, and this version knows steps up to "
            f"{migrating.HEAD}: a newer version has changed them",
            "install that version here, too",
        )
    return note(
        "migrations",
        f"the tables are at step {present or 'none'}; the next start brings them to {migrating.HEAD}",
        "take a back-up first: longshore backup",
    )


def _others(path: Path) -> Iterator[Finding]:
    """Find programs beside the server that have the database open; only those of our own user show."""
    found = holders(path)
    server = _server_process(path)
    strangers = {pid: name for pid, name in found.items() if pid not in (server, os.getpid())}
    if strangers:
        told = ", ".join(f"{name} (process {pid})" for pid, name in sorted(strangers.items()))
        yield warning(
            "database users",
            f"{told} has the database open beside the server; if it writes, it may damage it or hold "
            "up the server",
            "end it, or let it read a copy: longshore backup",
        )


def _server_process(path: Path) -> int | None:
    """Return the process that holds the lock of a database file."""
    lock = path.resolve().with_name(f"{path.name}.lock")
    try:
        text = lock.read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def holders(path: Path) -> dict[int, str]:
    """Return the processes that have a file open, with their names; those that we may look at."""
    wanted = path.resolve()
    found: dict[int, str] = {}
    proc = Path("/proc")
    if not proc.is_dir():
        return found
    for directory in [each for each in proc.iterdir() if each.name.isdecimal()][:_PROCESSES_MAX]:
        try:
            if any(_leads_to(link, wanted) for link in (directory / "fd").iterdir()):
                found[int(directory.name)] = (directory / "comm").read_text().strip()
        except OSError:
            # It has ended meanwhile, or belongs to somebody else.
            continue
    return found


def _leads_to(link: Path, wanted: Path) -> bool:
    try:
        return link.readlink() == wanted
    except FileNotFoundError:
        # It was closed meanwhile.
        return False


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
