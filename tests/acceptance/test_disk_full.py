"""A disk that is full: 507, reads still work, and all is well again once there is space."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import invariants
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually

SIZE_MIB = 24


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes; mounting one takes root."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            raise
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(ballast: Path) -> None:
    """Write until the last byte of the disk is taken."""
    with ballast.open("wb", buffering=0) as file:
        for piece in (1024 * 1024, 4096, 1):
            try:
                while file.write(b"x" * piece):
                    pass
            except OSError:
                continue


def test_a_full_disk_is_told_and_gets_over_by_itself(small_disk: Path, tmp_path: Path) -> None:
    # Ended here, before the disk goes.
    with Harbour(tmp_path) as harbour:
        _fill_and_free(harbour, small_disk)


def _fill_and_free(harbour: Harbour, small_disk: Path) -> None:
    server = harbour.server()
    # Only the data directory lies on the small disk.
    server.data = small_disk / "data"
    server._arguments[server._arguments.index("--data") + 1] = str(server.data)
    ballast = small_disk / "ballast"
    server.start()
    user = harbour.user(server)
    holder = harbour.holder(server)
    run_id = user.run_files("Echo", {"a.txt": b"text", "b.txt": b"text"})
    batch_id = next(iter(user.acknowledged.batches))
    held = holder.claim(limit=1)[0]
    _fill(ballast)

    big = b"x" * 1024 * 1024
    answer = user.http.put(f"/api/v2/batches/{batch_id}/files/big.bin", content=big)
    assert answer.status_code == 507, answer.text
    told = answer.json()
    assert "full" in told["message"]
    assert told["code"] == "disk_full"
    statuses = {
        user.http.post("/api/v2/batches", json={"name": f"batch {number}"}).status_code
        for number in range(40)
    }
    assert statuses <= {200, 507}
    assert 507 in statuses, "the database is on the full disk too"

    # Reads go on, with the key, over all that was acknowledged.
    for path in ("/api/v2/batches", "/api/v2/apps/runs", f"/api/v2/apps/runs/{run_id}"):
        assert user.http.get(path).status_code == 200, path
    node = user.get(f"/api/v2/batches/{batch_id}/files")["nodes"][0]
    assert user.http.get(f"/api/v2/files/{node['full_path']}").content == b"text"
    assert server.running

    ballast.unlink()
    eventually(lambda: user.http.get("/readyz").is_success, 15.0, "the server is ready again")
    user.add_file(batch_id, "after.txt", b"text")
    holder.report(held, "success")
    while user.run(run_id)["status"] == "RUNNING":
        for work in holder.claim(wait_s=0.3):
            holder.report(work, "success")
    assert user.run(run_id)["status"] == "COMPLETE"
    user.acknowledged.runs[run_id] = 2
    invariants.check_all(user)
    assert server.stop() == 0
