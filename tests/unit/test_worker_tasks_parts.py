"""Parts of tasks that need no worker: decorator, commands, options, the files that are left."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import longshore
from longshore import ids
from longshore.errors import ConfigurationError
from longshore.wire.tasks import TaskPayload, WorkerConfiguration, WorkerOffer
from longshore.worker import task_main
from longshore.worker.channel import LoadedWorker
from longshore.worker.loading import load, setups
from longshore.worker.options import WorkerOptions
from longshore.worker.registry import REGISTRY
from longshore.worker.tasks_programs import Program, Programs, module_command, read_commands

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def registry(tmp_path: Path) -> Iterator[None]:
    """Begin with nothing registered, and undo what a test registers and loads."""
    path, arguments = list(sys.path), list(sys.argv)
    kinds: tuple[Any, ...] = (
        REGISTRY.apps, REGISTRY.functions, REGISTRY.services, REGISTRY.workers, REGISTRY.setups,
    )  # fmt: skip
    before = [kind.copy() for kind in kinds]
    for kind in kinds:
        kind.clear()
    yield
    for kind, content in zip(kinds, before, strict=True):
        kind.clear()
        (kind.extend if isinstance(kind, list) else kind.update)(content)
    sys.path[:], sys.argv[:] = path, arguments
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
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


YAML = """
configuration:
  threshold: 0.5
user_configuration:
  language: {title: Language, default: fr}
secrets:
- models/token
"""
JSON = (
    '{"configuration": {"threshold": 0.5}, "secrets": ["models/token"],'
    ' "user_configuration": {"language": {"title": "Language", "default": "fr"}}}'
)


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
            ([], ["ocr=dataset"], "no --task"),
        ],
    )
    def test_what_cannot_be_run_is_refused(
        self, tasks: list[str], kinds: list[str], problem: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=problem):
            read_commands(tasks, kinds)

    @pytest.mark.parametrize("text", [YAML, JSON])
    def test_a_configuration_comes_from_a_file(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "ocr.yml").write_text(text)
        [program] = read_commands([f"ocr={PYTHON}"], [], [f"ocr={tmp_path / 'ocr.yml'}"])
        assert program.offer.configuration == WorkerConfiguration(
            configuration={"threshold": 0.5},
            user_configuration={"language": {"title": "Language", "default": "fr"}},
            secrets=["models/token"],
        )

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a: [", "neither YAML nor JSON"),
            ("- a", "Expected `object`"),
            ("threshold: 1", "'threshold'"),
            ("secrets: token", "secrets"),
            ("", "Expected `object`"),
        ],
    )
    def test_a_file_that_is_no_configuration_is_refused(
        self, tmp_path: Path, text: str, problem: str
    ) -> None:
        (tmp_path / "ocr.yml").write_text(text)
        with pytest.raises(ConfigurationError, match=problem):
            read_commands([f"ocr={PYTHON}"], [], [f"ocr={tmp_path / 'ocr.yml'}"])

    def test_a_configuration_without_file_or_command_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "ocr.yml").write_text(JSON)
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_commands([f"ocr={PYTHON}"], [], [f"ocr={tmp_path / 'none.yml'}"])
        with pytest.raises(ConfigurationError, match="no --task of it"):
            read_commands([f"ocr={PYTHON}"], [], [f"other={tmp_path / 'ocr.yml'}"])
        with pytest.raises(ConfigurationError, match="SLUG=FILE"):
            read_commands([f"ocr={PYTHON}"], [], ["ocr"])

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
