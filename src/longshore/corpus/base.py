"""What all workers of corpora have: command line, configuration, the API, and their directories."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from longshore.corpus import bootstrap, cache, parents
from longshore.corpus.checks import check
from longshore.corpus.client import ApiClient
from longshore.corpus.configuring import RunConfiguration, local_items, run_configuration
from longshore.corpus.process import ProcessMode
from longshore.corpus.secrets import load_secret, parse_yaml
from longshore.settings import task_variable

if TYPE_CHECKING:
    from pathlib import PurePath
    from uuid import UUID

    from longshore.corpus.models import Dataset

logger = logging.getLogger("longshore.corpus")

LOG_FORMAT: Final = "%(asctime)s %(levelname)s/%(name)s: %(message)s"
CACHE_FILE: Final = "db.sqlite"


class ExtrasDirNotFoundError(Exception):
    """There is no directory for extra files such as models, or none was named."""


class BaseWorker:
    """A program that works on a corpus; `run()` is its main function.

    Attributes:
        parser: of the command line; extended in `add_arguments`.
        args: the parsed command line, there from `configure` on.
        api_client: calls the API: `self.api_client.request("RetrieveElement", id=...)`.
        work_dir: directory for files of this task.
        task_data_dir: directory in which this task and the tasks before it have theirs.
        task_id: id of this task, or None outside of one.
        task_chunk: which part of the elements this task has, or None when there is one part.
        task_parents: ids of the tasks before this one.
        worker_run_id: id that results are stamped with, or None in read-only mode.
        process_information: what the API says of the process, or None in read-only mode.
        config: the configuration, all of it merged.
        user_configuration: the part of it that people chose, with defaults.
        model_configuration: the part of it that belongs to the model version.
        model_version_id: id of the model version, or None.
        model_details: what the API says of the model.
        model_dir: directory of the model's files, where the task names it.
        worker_details: what the API says of the worker.
        secrets: the secrets by name.
        support_cache: whether this worker can use the cache of the tasks before it.
        use_cache: whether there is such a cache.
        cache_path: its file.
        classes: ids of the classes of the corpus that are known already, by name.
        corpus_types: types of elements of the corpus that are known already, by slug.
        entity_types: ids of types of entities that are known already, by name.
        datasets: datasets that are known already, by id.
    """

    def __init__(
        self,
        description: str | None = "Longshore Base Worker",
        support_cache: bool | None = False,
    ) -> None:
        """Read the environment; nothing is asked of the API yet.

        Args:
            description: what `--help` says the worker is.
            support_cache: whether the worker can use the cache of the tasks before it.

        Raises:
            ConfigurationError: no server is named anywhere.
        """
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
        # It logs every request, which tells nothing that our own lines do not.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self.parser: ArgumentParser = ArgumentParser(description=description)
        self.args: Any = None
        _add_common_arguments(self.parser)
        self.add_arguments()
        self.work_dir: Path = _work_dir()
        self.task_data_dir = Path(task_variable("PONOS_DATA") or "/data")
        self.task_id: str | None = task_variable("PONOS_TASK") or None
        self.task_chunk: str | None = task_variable("ARKINDEX_TASK_CHUNK") or None
        self.task_parents: list[str] = []
        self.model_dir = _model_dir()
        self.worker_run_id: str | None = task_variable("ARKINDEX_WORKER_RUN_ID") or None
        if self.worker_run_id is None:
            logger.warning(
                "Missing ARKINDEX_WORKER_RUN_ID environment variable, worker is in read-only mode"
            )
        logger.info("Worker will use %s as working directory", self.work_dir)
        self.process_information: dict[str, Any] | None = None
        self._corpus_id: str | None = None
        self.config: dict[str, Any] = {}
        self.user_configuration: dict[str, Any] = {}
        self.model_configuration: dict[str, Any] = {}
        self.model_version_id: Any = None
        self.model_details: dict[str, Any] = {}
        self.worker_details: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}
        self.support_cache = bool(support_cache)
        self.use_cache: bool = False
        self.cache_path: Path | None = None
        self._is_slot = False
        self.classes: dict[str, str] = {}
        self.corpus_types: dict[str, Any] = {}
        self.entity_types: dict[str, str] = {}
        self.datasets: dict[UUID, Dataset] = {}
        self.setup_api_client()

    @property
    def corpus_id(self) -> str:
        """Id of the corpus that is worked on: of the process, or ARKINDEX_CORPUS_ID without one.

        Raises:
            LookupError: neither is there.
        """
        if not self._corpus_id:
            raise LookupError("Missing ARKINDEX_CORPUS_ID environment variable")
        return self._corpus_id

    @property
    def process_mode(self) -> ProcessMode | None:
        """What the process works through; None in read-only mode.

        Raises:
            ValueError: the API names a mode that is none.
        """
        if self.is_read_only or self.process_information is None:
            return None
        return ProcessMode(self.process_information["mode"])

    @property
    def is_read_only(self) -> bool:
        """Whether nothing may be written: with --dev, and without a worker run."""
        return bool(self.args.dev) or self.worker_run_id is None

    @property
    def worker_version_id(self) -> str:
        """What results were once stamped with; now it is `worker_run_id`.

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning("worker_version_id is gone; use worker_run_id instead.")

    def add_arguments(self) -> None:
        """Override this to add arguments to `self.parser`; call `super().add_arguments()`."""

    def setup_api_client(self) -> None:
        """Make `self.api_client` from the environment."""
        self.api_client: Any = ApiClient()

    def configure(self) -> None:
        """Read command line and configuration. Override this to read more after `super()`.

        With several slots it is called in each of their processes.
        """
        self.args = self.parser.parse_args()
        if self.args.bootstrap:
            bootstrap.prepare(self.api_client, self.task_data_dir)
        if self.is_read_only:
            self.configure_for_developers()
        else:
            self.configure_worker_run()
            self.configure_cache()

    def setup(self) -> None:
        """Override this to load a model: it is called once in each process that works."""

    def become_slot(self) -> None:
        """In a process that was forked: leave to its parent what needs doing once only."""
        self._is_slot = True

    def cleanup(self) -> None:
        """Override this to tidy up: it is called at the end of each process that worked."""

    def run(self) -> None:
        """Override this to do the work."""

    def configure_for_developers(self) -> None:
        """Configure the worker in read-only mode: from --config and the environment."""
        check(self.is_read_only, "this is for read-only mode")
        self._configure_logging()
        if self.args.config:
            self._configure_from_file(self.args.config)
        else:
            logger.warning("Running without any extra configuration")
        self._corpus_id = task_variable("ARKINDEX_CORPUS_ID") or None
        self.model_version_id = task_variable("ARKINDEX_MODEL_VERSION_ID") or None
        self.model_details = {"id": task_variable("ARKINDEX_MODEL_ID") or None}

    def configure_worker_run(self) -> None:
        """Configure the worker from its worker run, as the API knows it."""
        check(not self.is_read_only, "there is no worker run in read-only mode")
        self._configure_logging()
        run = self.api_client.request("RetrieveWorkerRun", id=self.worker_run_id)
        self.process_information = run["process"]
        self._corpus_id = run["process"]["corpus"]
        self.worker_details = run["worker_version"]["worker"]
        logger.info("Loaded %s from API", run["summary"])
        if version := run.get("model_version"):
            logger.info("Loaded model version configuration from WorkerRun")
            self.model_version_id = version["id"]
            self.model_details = version["model"]
        made: RunConfiguration = run_configuration(
            self.api_client, self.worker_run_id, run, self.load_secret
        )
        self.config = made.merged
        self.user_configuration = made.user
        self.model_configuration = made.model
        self.secrets = made.secrets
        if self.user_configuration.get("debug") or self.config.get("debug"):
            self._enable_debug()

    def configure_cache(self) -> None:
        """Open the cache that the tasks before this one left, where this worker supports it.

        Raises:
            AssertionError: the given database or the task's directory does not exist, or a cache
                has another layout.
        """
        found: list[Path] = []
        if self.support_cache and self.args.database is None and self.task_id:
            found = self.find_parents_file_paths(Path(CACHE_FILE))
        self.use_cache = self.support_cache and bool(self.args.database or found)
        if not self.use_cache:
            logger.debug("Cache is disabled")
            return
        if self.args.database is not None:
            self.cache_path = self.args.database
            check(self.cache_path.is_file(), f"Database in {self.cache_path} does not exist")
            cache.check_version(self.cache_path)
            cache.init_cache_db(self.cache_path)
            cache.create_tables()
            return
        directory = self.task_data_dir / str(self.task_id)
        check(directory.is_dir(), f"Missing task cache in {directory}")
        self.cache_path = directory / CACHE_FILE
        self._open_task_cache(self.cache_path, found)

    def load_secret(self, name: str | PurePath) -> Any:
        """Return a secret by its name; see `longshore.corpus.secrets.load_secret`.

        Raises:
            MissingSecretError: neither the API nor this machine has it.
        """
        return load_secret(self.api_client, name)

    def find_extras_directory(self) -> Path:
        """Return the directory of extra files, such as those of the model.

        In a task: of the model, else extra_files/ beside the task's directory, else the task's
        own. Outside: what the configuration or --extras-dir names.

        Raises:
            ExtrasDirNotFoundError: outside of a task, none is named, or it is not there.
        """
        if self.task_id:
            named = (self.model_dir, self.task_data_dir / "extra_files")
            return next((path for path in named if path and path.exists()), self.work_dir)
        directory = self.config.get("extras_dir", self.args.extras_dir)
        if directory is None:
            raise ExtrasDirNotFoundError(
                "No path to the directory for extra files was provided. "
                "Please provide extras_dir either through configuration or as CLI argument."
            )
        if not Path(directory).exists():
            raise ExtrasDirNotFoundError(f"The path {directory} does not link to any directory")
        return Path(directory)

    def find_parents_file_paths(self, filename: Path) -> list[Path]:
        """Return the files of that name that the tasks before this one left.

        In a task that has a part of the elements also those of its part: `db.sqlite` finds
        `db_3.sqlite`, too.

        Raises:
            AssertionError: this is not a task.
        """
        check(self.task_id, "there are no tasks before this, since it is not run as a task")
        if not self.task_parents:
            self.task_parents = self.api_client.request("RetrieveTask", id=self.task_id)["parents"]
        return parents.find_files(
            self.task_data_dir, self.task_parents, Path(filename), self.task_chunk
        )

    def extract_parent_archives(self, archive_name: Path, dest: Path) -> None:
        """Unpack the archives of that name that the tasks before this one left.

        Args:
            archive_name: name of a tar.zst file.
            dest: directory for what is in them; a later archive wins over an earlier one.

        Raises:
            AssertionError: this is not a task.
            CorruptData: a file is no such archive.
        """
        for path in self.find_parents_file_paths(archive_name):
            parents.extract_into(path, dest)

    def _open_task_cache(self, path: Path, found: list[Path]) -> None:
        cache.init_cache_db(path)
        cache.create_version_table()
        cache.create_tables()
        if not self._is_slot:
            cache.merge_parents_cache(found, path)

    def _configure_from_file(self, file: IO[str]) -> None:
        with file:
            loaded = parse_yaml(file) or {}
        check(isinstance(loaded, dict), f"{file.name} must hold a mapping")
        self.worker_details = {"name": "Local worker"}
        logger.info("Running with local configuration from %s", file.name)
        if isinstance(loaded.get("configuration"), list):
            made = local_items(loaded["configuration"], self.api_client, self.load_secret)
            self.config, self.secrets = made.merged, made.secrets
        else:
            self.config = loaded
            self.secrets = {name: self.load_secret(name) for name in loaded.get("secrets", [])}

    def _configure_logging(self) -> None:
        if self.args.verbose or task_variable("ARKINDEX_DEBUG"):
            self._enable_debug()

    def _enable_debug(self) -> None:
        logger.setLevel(logging.DEBUG)
        logger.debug("Debug output enabled")


def _add_common_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", type=open, help="YAML file to be configured with, without a worker run"
    )
    parser.add_argument(
        "-d", "--database", type=Path, help="SQLite file to use as the cache of elements"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        "--debug",
        action="store_true",
        help="tell more of what goes on, and show the whole traceback of errors",
    )
    parser.add_argument(
        "--dev", action="store_true", help="write nothing, also where there is a worker run"
    )
    parser.add_argument(
        "--extras-dir", type=Path, help="directory of extra files such as models, outside of a task"
    )
    parser.add_argument(
        "--bootstrap",
        action="store_true",
        default=task_variable("TASK_BOOTSTRAP") == "true",
        help="prepare the directory of the task first, where nobody else has",
    )


def _work_dir() -> Path:
    if data := task_variable("PONOS_DATA"):
        return Path(data, "current")
    home = Path(task_variable("XDG_DATA_HOME") or "~/.local/share").expanduser()
    directory = home / "arkindex"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _model_dir() -> Path | None:
    named = task_variable("ARKINDEX_MODEL_DIR")
    if not named:
        return None
    if not Path(named).exists():
        logger.warning("Model directory %s is missing", named)
    return Path(named)
