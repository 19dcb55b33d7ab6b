from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshore.corpus import cache
from longshore.corpus.archives import create_tar_zst_archive
from longshore.corpus.base import BaseWorker, ExtrasDirNotFoundError
from longshore.corpus.secrets import MissingSecretError
from tests.unit.corpus_server import CORPUS, RUN, TASK, ProtocolServer, Reply, serving, uuid
from tests.unit.corpus_worker_rig import server

__all__ = ["server"]

Make = Callable[..., BaseWorker]
PARENT, OTHER = uuid(71), uuid(72)


@pytest.fixture
def make(server: ProtocolServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
    """Make configured workers: arguments of the command line, variables of the environment."""
    made: list[BaseWorker] = []
    for name in list(os.environ):
        if name.startswith(("ARKINDEX_", "PONOS_", "TASK_", "LONGSHORE_")):
            monkeypatch.delenv(name)

    def worker(*arguments: str, support_cache: bool = False, **environment: str) -> BaseWorker:
        given = {
            "ARKINDEX_API_URL": server.url,
            "ARKINDEX_WORKER_RUN_ID": RUN,
            "XDG_DATA_HOME": str(tmp_path / "share"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            **environment,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["worker", *arguments])
        one = BaseWorker("Test", support_cache)
        made.append(one)
        one.configure()
        return one

    yield worker
    for one in made:
        one.api_client.close()
    cache.db.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a task's files, with those of its parents."""
    for name in (TASK, PARENT, OTHER):
        (tmp_path / "data" / name).mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def in_task(server: ProtocolServer, data: Path) -> dict[str, str]:
    """The variables of a task with two tasks before it."""
    server.answers["RetrieveTask"] = lambda *_: {"id": TASK, "parents": [PARENT, OTHER]}
    return {"PONOS_TASK": TASK, "PONOS_DATA": str(data)}


def test_what_is_chosen_wins_over_model_and_version(server: ProtocolServer, make: Make) -> None:
    options = {
        "b": {"default": "default"},
        "c": {"default": "default"},
        "d": {"default": "default"},
        "e": {"title": "no default"},
    }
    version = {"configuration": dict.fromkeys("abcd", "version"), "user_configuration": options}
    server.run = {
        "worker_version": {"worker": {"name": "Reader"}, "configuration": version},
        "model_version": {
            "id": uuid(3),
            "configuration": {"a": "model", "b": "model"},
            "model": {"name": "HTR"},
        },
        "configuration": {"configuration": {"d": "chosen", "f": "chosen"}},
    }
    worker = make()
    assert worker.config == {
        "a": "model",
        "b": "model",
        "c": "default",
        "d": "chosen",
        "f": "chosen",
    }
    assert worker.user_configuration == {"c": "default", "d": "chosen", "f": "chosen"}
    assert worker.model_configuration == {"a": "model", "b": "model"}
    assert (worker.model_version_id, worker.model_details) == (uuid(3), {"name": "HTR"})
    assert worker.worker_details == {"name": "Reader"}
    assert worker.corpus_id == CORPUS


def test_a_server_that_merges_the_configuration_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    with serving(ProtocolServer(server_configuration=True)) as merging:
        merging.run["configuration"] = {"configuration": {"a": "chosen"}}
        merging.answers["RetrieveWorkerRunConfiguration"] = lambda *_: {
            "configuration": [
                {"key": "a", "value": "merged", "secret": False},
                {"key": "token", "value": "tokens/a", "secret": True},
                {"key": "unset", "value": None, "secret": True},
            ]
        }
        merging.answers["RetrieveSecret"] = lambda *_: {"content": "hush"}
        worker = make(ARKINDEX_API_URL=merging.url)
        assert worker.config == {"a": "merged", "token": "hush", "unset": None}
        assert worker.secrets == {"token": "hush", "unset": None}
        assert ("RetrieveSecret", {"name": "tokens/a"}, None) in merging.calls


def test_secrets_are_parsed_by_their_suffix(
    server: ProtocolServer, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    contents = {"a/b.json": '{"x": 1}', "c.yaml": "x: [1]", "d": "{", "e.json": "{"}
    server.answers["RetrieveSecret"] = lambda arguments, _: {"content": contents[arguments["name"]]}
    server.run["worker_version"] = {"worker": {}, "configuration": {"secrets": list(contents)}}
    worker = make()
    assert worker.secrets == {"a/b.json": {"x": 1}, "c.yaml": {"x": [1]}, "d": "{", "e.json": "{"}
    assert "Failed to parse secret e.json" in caplog.text


def test_a_secret_that_is_nowhere_ends_the_configuration(
    server: ProtocolServer, make: Make
) -> None:
    server.answers["RetrieveSecret"] = lambda *_: Reply(404, {"detail": "Not found."})
    server.run["worker_version"] = {"worker": {}, "configuration": {"secrets": ["token"]}}
    with pytest.raises(MissingSecretError, match="Secret token is not available on the API nor"):
        make()


def test_a_secret_of_this_machine_wins_over_that_of_the_api(
    server: ProtocolServer, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.answers["RetrieveSecret"] = lambda *_: {"content": "remote"}
    path = tmp_path / "config" / "arkindex" / "secrets" / "tokens" / "a"
    path.parent.mkdir(parents=True)
    path.write_text("sealed")
    programs = tmp_path / "bin"
    programs.mkdir()
    gpg = programs / "gpg"
    gpg.write_text('#!/bin/sh\nfor last; do :; done\nprintf "local "; cat "$last"\n')
    gpg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert make().load_secret("tokens/a") == "local sealed"
    gpg.write_text("#!/bin/sh\nexit 2\n")
    assert make().load_secret(Path("tokens/a")) == "remote"


def test_a_local_file_configures_a_worker_without_a_run(
    server: ProtocolServer, make: Make, tmp_path: Path
) -> None:
    server.answers["RetrieveSecret"] = lambda *_: {"content": "hush"}
    path = tmp_path / "config.yml"
    path.write_text("threshold: 0.5\nsecrets: [token]\n")
    worker = make("--dev", "-c", str(path), ARKINDEX_CORPUS_ID=CORPUS, ARKINDEX_MODEL_ID=uuid(4))
    assert worker.is_read_only
    assert worker.config == {"threshold": 0.5, "secrets": ["token"]}
    assert worker.secrets == {"token": "hush"}
    assert worker.worker_details == {"name": "Local worker"}
    assert (worker.corpus_id, worker.model_details) == (CORPUS, {"id": uuid(4)})
    assert worker.process_mode is None
    listed = [{"key": "threshold", "value": 0.7, "secret": False}]
    path.write_text(json.dumps({"configuration": listed}))
    assert make("--dev", "--config", str(path)).config == {"threshold": 0.7}


def test_what_is_missing_is_said(make: Make) -> None:
    worker = make("--dev")
    with pytest.raises(LookupError, match="Missing ARKINDEX_CORPUS_ID"):
        _ = worker.corpus_id
    with pytest.raises(DeprecationWarning):
        _ = worker.worker_version_id
    with pytest.raises(AssertionError, match="not run as a task"):
        worker.find_parents_file_paths(Path("a"))


def test_extra_files_are_where_the_model_is(
    make: Make, in_task: dict[str, str], data: Path, tmp_path: Path
) -> None:
    assert make(**in_task).find_extras_directory() == data / "current"
    (data / "extra_files").mkdir()
    assert make(**in_task).find_extras_directory() == data / "extra_files"
    model = tmp_path / "model"
    assert make(**in_task, ARKINDEX_MODEL_DIR=str(model)).find_extras_directory() == (
        data / "extra_files"
    )
    model.mkdir()
    assert make(**in_task, ARKINDEX_MODEL_DIR=str(model)).find_extras_directory() == model


def test_without_a_task_extra_files_are_where_a_person_says(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ExtrasDirNotFoundError, match="No path"):
        make("--dev").find_extras_directory()
    with pytest.raises(ExtrasDirNotFoundError, match="does not link to any directory"):
        make("--dev", "--extras-dir", str(tmp_path / "no")).find_extras_directory()
    worker = make("--dev", "--extras-dir", str(tmp_path))
    assert worker.find_extras_directory() == tmp_path
    worker.config["extras_dir"] = str(tmp_path / "share")
    assert worker.find_extras_directory() == tmp_path / "share"


def test_files_of_parents_are_found_by_name_and_part(
    make: Make, in_task: dict[str, str], data: Path
) -> None:
    for path in (f"{PARENT}/db.sqlite", f"{PARENT}/db_2.sqlite", f"{OTHER}/db_1.sqlite"):
        (data / path).touch()
    found = make(**in_task).find_parents_file_paths(Path("db.sqlite"))
    assert found == [data / PARENT / "db.sqlite"]
    found = make(**in_task, ARKINDEX_TASK_CHUNK="2").find_parents_file_paths(Path("db.sqlite"))
    assert found == [data / PARENT / "db.sqlite", data / PARENT / "db_2.sqlite"]


def test_archives_of_parents_are_unpacked_the_later_one_wins(
    make: Make, in_task: dict[str, str], data: Path, tmp_path: Path
) -> None:
    for parent, names in ((PARENT, ("a", "sub/b")), (OTHER, ("sub/b", "c"))):
        source = tmp_path / parent
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(parent)
        create_tar_zst_archive(source, data / parent / "out.tar.zst")
    target = tmp_path / "target"
    make(**in_task).extract_parent_archives(Path("out.tar.zst"), target)
    files = (path for path in target.rglob("*") if path.is_file())
    found = {path.relative_to(target).as_posix(): path.read_text() for path in files}
    assert found == {"a": PARENT, "sub/b": OTHER, "c": OTHER}


def _cache_of_parent(path: Path) -> None:
    cache.init_cache_db(path)
    cache.create_version_table()
    cache.create_tables()
    cache.CachedElement.create(id=uuid(1), type="page", initial=True)
    cache.db.close()


def test_the_caches_of_parents_are_merged(make: Make, in_task: dict[str, str], data: Path) -> None:
    assert not make(support_cache=True, **in_task).use_cache, "there is none"
    _cache_of_parent(data / PARENT / "db.sqlite")
    assert not make(**in_task).use_cache, "the worker cannot"
    worker = make(support_cache=True, **in_task)
    assert worker.use_cache
    assert worker.cache_path == data / TASK / "db.sqlite"
    assert [str(one.id) for one in cache.CachedElement.select()] == [uuid(1)]
    cache.check_version(worker.cache_path)


def test_a_given_database_is_used_as_it_is(make: Make, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="does not exist"):
        make("-d", str(tmp_path / "no.sqlite"), support_cache=True)
    _cache_of_parent(tmp_path / "db.sqlite")
    worker = make("-d", str(tmp_path / "db.sqlite"), support_cache=True)
    assert (worker.use_cache, worker.cache_path) == (True, tmp_path / "db.sqlite")
    assert cache.CachedElement.select().count() == 1


def test_importing_longshore_does_not_import_images_or_http() -> None:
    heavy = "{'PIL', 'httpx', 'zstandard', 'longshore.corpus.base'}"
    program = f"import sys, longshore, longshore.corpus as c; print({heavy} & sys.modules.keys())"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "set()"


def test_every_public_name_is_there() -> None:
    import longshore  # noqa: PLC0415
    import longshore.corpus  # noqa: PLC0415

    assert all(hasattr(longshore.corpus, name) for name in longshore.corpus.__all__)
    assert longshore.ElementsWorker is longshore.corpus.ElementsWorker
    assert longshore.Element is longshore.corpus.Element
    with pytest.raises(AttributeError):
        _ = longshore.corpus.nothing
