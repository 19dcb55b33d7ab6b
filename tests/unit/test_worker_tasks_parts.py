"""Parts of tasks that need no worker: decorator, commands, options, the files that are left."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

import longshore
from longshore import ids
from longshore.errors import ConfigurationError, TooLarge
from longshore.wire.tasks import TaskPayload, WorkerOffer
from longshore.worker import task_main, tasks_files
from longshore.worker.channel import LoadedWorker
from longshore.worker.loading import load, setups
from longshore.worker.options import WorkerOptions
from longshore.worker.registry import REGISTRY
from longshore.worker.tasks_directory import remove
from longshore.worker.tasks_files import find, open_inside
from longshore.worker.tasks_programs import Program, Programs, module_command, read_commands
from longshore.worker.transport import StoredBlob, Transport
from tests.unit.worker_server import KEY, WorkerServer

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Undo what a test registers and loads."""
    path, modules, arguments = list(sys.path), set(sys.modules), list(sys.argv)
    yield
    REGISTRY.workers.clear()
    REGISTRY.setups.clear()
    sys.path[:], sys.argv[:] = path, arguments
    for name in set(sys.modules) - modules:
        del sys.modules[name]


class Elements:
    """A base.

    Of others.
    """

    def process_element(self, element: Any) -> None: ...

    def run(self) -> None: ...


class TestDecorator:
    def test_the_class_stays_as_it_is_and_is_offered(self) -> None:
        @longshore.elements_worker("ocr", type="classifier", attempts_max=5)
        class Worker(Elements):
            pass

        offer = REGISTRY.workers["ocr", "1"].offer
        assert offer == WorkerOffer(slug="ocr", version="1", type="classifier", attempts_max=5)
        assert Worker().run() is None
        assert REGISTRY.workers["ocr", "1"].program is Worker

    def test_versions_are_workers_of_their_own(self) -> None:
        for version in ("1", "2.0"):
            longshore.elements_worker("ocr", version=version)(type("Worker", (Elements,), {}))
        assert list(REGISTRY.workers) == [("ocr", "1"), ("ocr", "2.0")]

    def test_two_classes_for_one_version_are_refused(self) -> None:
        longshore.elements_worker("ocr")(type("One", (Elements,), {}))
        with pytest.raises(ConfigurationError, match=r"registered twice: by .*One and by .*Two"):
            longshore.elements_worker("ocr")(type("Two", (Elements,), {}))

    @pytest.mark.parametrize(
        "slug", ["", "a b", "../ocr", "-ocr", "ocr/1", "x" * 101, None, "océr"]
    )
    def test_a_slug_that_cannot_be_one_is_refused(self, slug: Any) -> None:
        with pytest.raises(ConfigurationError, match="slug of a worker has 1 to 100 letters"):
            longshore.elements_worker(slug)(Elements)

    def test_a_version_that_cannot_be_one_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="version of a worker"):
            longshore.elements_worker("ocr", version="1/2")(Elements)

    @pytest.mark.parametrize("attempts_max", [0, -1, 10_000])
    def test_a_number_of_attempts_that_cannot_be_one_is_refused(self, attempts_max: int) -> None:
        with pytest.raises(ConfigurationError, match="attempts_max"):
            longshore.elements_worker("ocr", attempts_max=attempts_max)(Elements)

    @pytest.mark.parametrize(
        ("configuration", "problem"),
        [
            ({"threshold": 1}, "'threshold'"),
            ({"configuration": []}, "configuration"),
            ({"user_configuration": {"language": "fr"}}, "user_configuration"),
            ({"secrets": "token"}, "secrets"),
            (["threshold"], "Expected `object`"),
            ({"configuration": {"made": object()}}, "configuration cannot be used"),
        ],
    )
    def test_a_configuration_of_another_form_is_refused(
        self, configuration: Any, problem: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=problem):
            longshore.elements_worker("ocr", configuration=configuration)(Elements)
        assert not REGISTRY.workers

    @pytest.mark.parametrize(
        ("program", "problem"),
        [
            (lambda element: None, "no class"),
            (type("NoRun", (), {"process_element": print}), "no class with a method run"),
            (type("Neither", (), {"run": print}), "no process_element"),
            (type("Both", (Elements,), {"process_set": print}), "both"),
        ],
    )
    def test_what_is_no_worker_is_refused(self, program: Any, problem: str) -> None:
        with pytest.raises(ConfigurationError, match=problem):
            longshore.elements_worker("ocr")(program)


CODE = """
import longshore
{setup}
@longshore.elements_worker("{slug}")
class Worker:
    def process_element(self, element): ...
    def run(self):
        import sys
        print("runs", sys.argv)
"""


class TestModules:
    def test_a_task_loads_the_module_as_the_worker_was_given_it(self, tmp_path: Path) -> None:
        (tmp_path / "one.py").write_text(CODE.format(slug="first", setup=""))
        (tmp_path / "two.py").write_text("import one\n" + CODE.format(slug="second", setup=""))
        load([str(tmp_path / "two.py"), str(tmp_path / "one.py")])
        modules = {slug: each.module for (slug, _), each in REGISTRY.workers.items()}
        assert modules == dict.fromkeys(("first", "second"), str(tmp_path / "two.py"))

    def test_the_process_of_a_task_runs_the_class_after_the_set_up(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        setup = "@longshore.setup\ndef prepare(): print('set up')"
        (tmp_path / "worker_of_user.py").write_text(CODE.format(slug="ocr", setup=setup))
        assert task_main.main([str(tmp_path / "worker_of_user.py"), "ocr", "1"]) == 0
        assert capsys.readouterr().out == "set up\nruns ['ocr']\n"

    @pytest.mark.parametrize(
        ("name", "problem"), [("here.py", "registers no worker ocr 2"), ("gone.py", "no file")]
    )
    def test_a_module_without_the_worker_ends_the_task(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, problem: str
    ) -> None:
        (tmp_path / "here.py").write_text(CODE.format(slug="ocr", setup=""))
        assert task_main.main([str(tmp_path / name), "ocr", "2"]) == 1
        assert problem in capsys.readouterr().err

    def test_a_slot_that_runs_no_works_of_the_module_sets_nothing_up(self, tmp_path: Path) -> None:
        (tmp_path / "worker_of_user.py").write_text(
            CODE.format(slug="ocr", setup="@longshore.setup\ndef prepare(): ...")
        )
        found = load([str(tmp_path / "worker_of_user.py")])
        assert list(setups(found, buckets=False)) == []
        assert len(setups(found, buckets=True)) == 1


class TestCommands:
    def test_a_command_is_split_into_words(self) -> None:
        [program] = read_commands([f"ocr:0.6={PYTHON} -m worker --name 'a b=c'"], [])
        assert program.offer == WorkerOffer(slug="ocr", version="0.6")
        assert list(program.argv) == [PYTHON, "-m", "worker", "--name", "a b=c"]

    def test_the_version_is_1_unless_given(self) -> None:
        assert read_commands([f"ocr={PYTHON}"], [])[0].offer.version == "1"

    def test_a_program_is_found_on_the_path_and_by_relative_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "bin").mkdir()
        # An environment's Python is a link, and knows its environment by the link's place.
        (tmp_path / "bin" / "python").symlink_to(PYTHON)
        [relative] = read_commands(["ocr=bin/python"], [])
        assert list(relative.argv) == [str(tmp_path / "bin" / "python")]
        [found] = read_commands(["ocr=sh"], [])
        assert list(found.argv) == [shutil.which("sh")]

    def test_kinds_are_for_all_or_for_one(self) -> None:
        tasks = [f"a={PYTHON}", f"b={PYTHON}"]
        assert [each.offer.kind for each in read_commands(tasks, ["dataset"])] == ["dataset"] * 2
        assert [each.offer.kind for each in read_commands(tasks, ["b=dataset"])] == [
            "elements",
            "dataset",
        ]

    @pytest.mark.parametrize(
        ("tasks", "kinds", "problem"),
        [
            (["ocr"], [], "has no '='"),
            (["ocr="], [], "blank"),
            ([f"o cr={PYTHON}"], [], "slug"),
            ([f"ocr:={PYTHON}"], [], "version"),
            (["ocr=longshore-no-such-program"], [], "no program"),
            (["ocr=/etc"], [], "no program"),
            ([f"ocr={PYTHON} 'a"], [], "split into words"),
            ([f"ocr={PYTHON} a.py > log"], [], "shell"),
            ([f"ocr={PYTHON}", f"ocr:1={PYTHON}"], [], "twice"),
            ([f"ocr={PYTHON}"], ["images"], "elements or dataset"),
            ([f"ocr={PYTHON}"], ["other=dataset"], "no --task"),
            ([], ["dataset"], "no --task"),
        ],
    )
    def test_what_cannot_be_run_is_refused(
        self, tasks: list[str], kinds: list[str], problem: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=problem):
            read_commands(tasks, kinds)

    def test_a_module_may_not_take_the_place_of_a_command(self) -> None:
        offer = WorkerOffer(slug="ocr", version="1")
        programs = Programs([Program(offer, [PYTHON])])
        with pytest.raises(ConfigurationError, match="another version"):
            programs.learn([LoadedWorker(offer, "module.py")])
        programs.learn([LoadedWorker(WorkerOffer(slug="ocr", version="2"), "module.py")])
        assert [each.version for each in programs.offers()] == ["1", "2"]
        assert programs.find(task(version="1")).argv == [PYTHON]
        assert programs.find(task(version="2")).argv == module_command(
            LoadedWorker(WorkerOffer(slug="ocr", version="2"), "module.py")
        )
        with pytest.raises(ConfigurationError, match="ocr 3 is not served here"):
            programs.find(task(version="3"))


def task(**fields: Any) -> TaskPayload:
    made = {name: ids.uuid() for name in ("task_id", "process_id", "worker_run_id")}
    return TaskPayload(worker="ocr", token="", **(made | fields))


class TestOptions:
    @staticmethod
    def options(**fields: Any) -> WorkerOptions:
        return WorkerOptions(modules=(), url="http://127.0.0.1:9", key="ls_key", **fields)

    def test_a_command_is_something_to_serve(self) -> None:
        assert len(self.options(tasks=[f"ocr={PYTHON}"]).commands()) == 1

    @pytest.mark.parametrize("executor", ["thread", "dask", "ray"])
    def test_other_executors_run_no_tasks(self, executor: Any) -> None:
        address = {"dask": "tcp://127.0.0.1:1", "ray": "127.0.0.1:1"}.get(executor)
        with pytest.raises(ConfigurationError, match=f"executor {executor}"):
            self.options(tasks=[f"ocr={PYTHON}"], executor=executor, address=address)

    def test_directories_are_kept_only_where_somebody_said_where(self) -> None:
        with pytest.raises(ConfigurationError, match="--keep-tasks needs --tasks-dir"):
            self.options(tasks=[f"ocr={PYTHON}"], keep_tasks=True)

    def test_the_directory_of_tasks_has_to_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is no directory"):
            self.options(tasks=[f"ocr={PYTHON}"], tasks_directory=str(tmp_path / "none"))


class TestFiles:
    def test_more_files_than_the_limit_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks_files, "TASK_FILES", 3)
        for number in range(4):
            (tmp_path / str(number)).touch()
        with pytest.raises(TooLarge, match="more than 3 files"):
            find(tmp_path, print)

    def test_more_bytes_than_the_limit_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks_files, "TASK_FILES_BYTES", 100)
        (tmp_path / "a").write_bytes(bytes(60))
        assert [left.path for left in find(tmp_path, print)] == ["a"]
        (tmp_path / "b").write_bytes(bytes(60))
        with pytest.raises(TooLarge, match="100 bytes"):
            find(tmp_path, print)

    @pytest.mark.parametrize("swapped", ["file", "folder", "root"])
    def test_a_link_in_the_place_of_what_was_found_is_not_followed(
        self, tmp_path: Path, swapped: str
    ) -> None:
        root, outside = tmp_path / "root", tmp_path / "outside"
        for each in (root, outside):
            (each / "folder").mkdir(parents=True)
            (each / "folder" / "file").write_text(each.name)
        with open_inside(root, "folder/file") as file:
            assert file.read() == b"root"
        place = {"file": root / "folder" / "file", "folder": root / "folder", "root": root}[swapped]
        place.rename(tmp_path / "moved")
        place.symlink_to(outside / place.relative_to(root))
        with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
            open_inside(root, "folder/file")

    def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="no plain file"):
            open_inside(tmp_path, "pipe")

    async def test_a_file_that_is_too_large_for_the_server_is_named_in_the_log(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "large.bin").write_bytes(b"large" * 100)
        (tmp_path / "small.bin").write_bytes(b"small")
        notes: list[str] = []
        stored = await tasks_files.store(Small("http://127.0.0.1:9", KEY), tmp_path, notes.append)
        assert [(file.path, file.size_bytes) for file in stored] == [("small.bin", 5)]
        assert notes == ["The file large.bin is not kept: It is too large."]

    async def test_a_file_that_becomes_shorter_while_it_is_sent_is_an_error(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "log").write_bytes(bytes(1 << 20))
        server = WorkerServer()
        transport = Transport(server.url, KEY)
        try:
            with pytest.raises(OSError, match="shorter"), Shrinking(tmp_path / "log") as file:
                await transport.upload_open(
                    cast("BinaryIO", file), media_type="text/plain", timeout_s=5
                )
            assert not server.ledger.uploads
        finally:
            await transport.close()
            server.stop()

    def test_a_directory_that_the_program_has_closed_is_removed(self, plain_user: Path) -> None:
        root, outside = plain_user / "root", plain_user / "outside"
        (root / "closed" / "deep").mkdir(parents=True)
        (root / "closed" / "deep" / "file").touch()
        outside.mkdir(mode=0o500)
        (root / "closed" / "link").symlink_to(outside)
        (root / "closed" / "deep").chmod(0o000)
        (root / "closed").chmod(0o500)
        remove(root)
        assert not root.exists()
        assert outside.stat().st_mode & 0o777 == 0o500


class Small(Transport):
    """A server that takes small files only."""

    async def upload_open(self, file: BinaryIO, *, media_type: str, timeout_s: float) -> StoredBlob:
        data = file.read()
        if len(data) > 100:
            raise TooLarge("It is too large.")
        return StoredBlob("bl_1", len(data), "0" * 64)


class Shrinking(io.FileIO):
    """A file of which only the first part is still there when it is read."""

    def read(self, size: int | None = -1) -> bytes:
        return b"" if self.tell() else super().read(size)


@pytest.fixture
def plain_user() -> Iterator[Path]:
    """A directory of somebody who may not do everything, as whom the test then runs."""
    nobody, before = 65534, os.geteuid()
    directory = Path(tempfile.mkdtemp())
    if before == 0:
        os.chown(directory, nobody, nobody)
        os.seteuid(nobody)
    yield directory
    os.seteuid(before)
    shutil.rmtree(directory)
