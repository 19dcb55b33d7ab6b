from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.corpus import bootstrap
from longshore.corpus.archives import create_tar_zst_archive
from longshore.corpus.client import ApiClient
from longshore.corpus.connecting import Access
from longshore.errors import ConfigurationError, CorruptData
from tests.unit.corpus_server import TASK, ProtocolServer, Reply, uuid
from tests.unit.corpus_worker_rig import Program, program, server

__all__ = ["program", "server"]

PARENT = uuid(71)


@pytest.fixture
def client(server: ProtocolServer) -> Iterator[ApiClient]:
    made = ApiClient(Access(server.url, "token"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch, server: ProtocolServer) -> None:
    monkeypatch.setenv("PONOS_TASK", TASK)
    monkeypatch.setenv("TASK_PARENTS", json.dumps({PARENT: "init"}))
    for name in ("ARKINDEX_MODEL_VERSION", "ARKINDEX_MODEL_DIR"):
        monkeypatch.delenv(name, raising=False)
    leaves(server, "db.sqlite")


def leaves(server: ProtocolServer, path: str) -> None:
    """Let the parent have left one file."""
    server.answers["ListArtifacts"] = lambda *_: [{"id": uuid(1), "path": path}]
    server.answers["DownloadArtifact"] = lambda *_: Reply(200, b"bytes")


def test_a_task_prepares_its_own_directory_once(
    server: ProtocolServer, client: ApiClient, tmp_path: Path
) -> None:
    bootstrap.prepare(client, tmp_path)
    assert (tmp_path / PARENT / "db.sqlite").read_bytes() == b"bytes"
    assert (tmp_path / "init").resolve() == tmp_path / PARENT
    assert (tmp_path / "current").resolve() == tmp_path / TASK
    calls = len(server.calls)
    bootstrap.prepare(client, tmp_path)
    assert len(server.calls) == calls


@pytest.mark.parametrize("is_archive", [True, False])
def test_the_model_is_fetched_and_unpacked(
    server: ProtocolServer,
    client: ApiClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    is_archive: bool,
) -> None:
    monkeypatch.setenv("ARKINDEX_MODEL_VERSION", uuid(5))
    monkeypatch.setenv("ARKINDEX_MODEL_DIR", str(tmp_path / "model"))
    content = b"weights"
    if is_archive:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "weights").write_bytes(content)
        create_tar_zst_archive(tmp_path / "source", tmp_path / "packed")
        content = (tmp_path / "packed").read_bytes()
    server.answers["DownloadExport"] = lambda *_: Reply(200, content)
    server.answers["RetrieveModelVersion"] = lambda *_: {
        "s3_url": f"{server.url}api/v1/export/weights/?signature=x"
    }
    bootstrap.prepare(client, tmp_path / "data")
    assert (tmp_path / "model" / "weights").read_bytes() == b"weights"
    assert "Authorization" not in server.headers[-1]


@pytest.mark.parametrize("path", ["../outside", "/outside", "a/../../outside", ""])
def test_a_file_that_leads_elsewhere_is_refused(
    server: ProtocolServer, client: ApiClient, tmp_path: Path, path: str
) -> None:
    leaves(server, path)
    with pytest.raises(CorruptData, match="leads elsewhere"):
        bootstrap.prepare(client, tmp_path)
    assert not (tmp_path / "current").exists()


@pytest.mark.parametrize("parents", ["", "[]", "no", '{"..": "a"}', '{"a": "b/c"}', '{"a": ".."}'])
def test_parents_that_are_none_are_refused(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parents: str
) -> None:
    monkeypatch.setenv("TASK_PARENTS", parents)
    with pytest.raises(ConfigurationError, match="TASK_PARENTS"):
        bootstrap.prepare(client, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slots", ["1", "2"])
def test_a_worker_prepares_its_task_when_it_is_asked_to(
    program: Program, tmp_path: Path, slots: str
) -> None:
    ids = program.server.add(1)
    data = tmp_path / "data"
    data.mkdir()
    environment = {"PONOS_TASK": TASK, "TASK_PARENTS": "{}", "PONOS_DATA": str(data)}
    arguments = ["--slots", slots, "--element", *ids]
    assert program.run(*arguments, **environment).code == 0
    assert list(data.iterdir()) == []
    ended = program.run(*arguments, **environment, TASK_BOOTSTRAP="true")
    assert ended.code == 0, ended
    assert (data / "current").resolve() == data / TASK
