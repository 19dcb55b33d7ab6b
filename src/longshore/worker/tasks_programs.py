"""The worker programs that one worker serves: those of its modules, and commands."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

import msgspec

from longshore.errors import ConfigurationError
from longshore.wire.tasks import TaskPayload, WorkerConfiguration, WorkerOffer
from longshore.worker.channel import LoadedWorker
from longshore.worker.commands import shell_word
from longshore.worker.tasks_registry import Kind, check_name, read_configuration

DEFAULT_VERSION: Final = "1"
_MAIN: Final = "longshore.worker.task_main"


@dataclass(frozen=True, slots=True)
class Program:
    """What runs the tasks of a version of a worker.

    Attributes:
        argv: the program and its arguments, for each task the same.
    """

    offer: WorkerOffer
    argv: Sequence[str]


class Programs:
    """The programs by slug and version."""

    def __init__(self, commands: Iterable[Program] = ()) -> None:
        """Know the commands; what the modules register comes with `learn`."""
        self._commands = {_key(each): each for each in commands}
        self._known = dict(self._commands)

    def learn(self, workers: Iterable[LoadedWorker]) -> None:
        """Take what the modules have registered, in place of what they had before.

        Raises:
            ConfigurationError: a command serves the same version of a worker.
        """
        made = [Program(each.offer, module_command(each)) for each in workers]
        for program in made:
            if _key(program) in self._commands:
                offer = program.offer
                raise ConfigurationError(
                    f"Worker {offer.slug} {offer.version} is registered by a module and given with "
                    "--task. Give one of them another version."
                )
        self._known = self._commands | {_key(each): each for each in made}

    def offers(self) -> list[WorkerOffer]:
        """Return what the server is told."""
        return [program.offer for program in self._known.values()]

    def find(self, task: TaskPayload) -> Program:
        """Return the program of a task.

        Raises:
            ConfigurationError: it is not served here any more.
        """
        program = self._known.get((task.worker, task.version))
        if program is None:
            raise ConfigurationError(
                f"Worker {task.worker} {task.version} is not served here any more. Restart the "
                "worker with the module or the --task that serves it."
            )
        return program


def module_command(worker: LoadedWorker) -> list[str]:
    """Return the command that runs a task of a registered class."""
    offer = worker.offer
    return [sys.executable, "-P", "-m", _MAIN, worker.module, offer.slug, offer.version]


def read_commands(
    tasks: Sequence[str], kinds: Sequence[str] = (), configurations: Sequence[str] = ()
) -> list[Program]:
    """Return the programs of `--task`, with what `--task-kind` and `--task-configuration` say.

    A command is split into words as a shell would, and no shell runs it. Its program is looked
    for at once, so that a worker does not claim what it cannot run.

    Args:
        tasks: each SLUG[:VERSION]=COMMAND.
        kinds: each KIND, for all of them, or SLUG=KIND.
        configurations: each SLUG=FILE, a file in YAML or JSON with any of `configuration`,
            `user_configuration` and `secrets`.

    Raises:
        ConfigurationError: one of them cannot be read, is given twice, or names a program that is
            not there.
    """
    by_slug = dict(map(_read_kind, kinds))
    configured = dict(map(_read_configuration, configurations))
    programs: dict[tuple[str, str], Program] = {}
    for text in tasks:
        slug, version, argv = _read_task(text)
        kind = by_slug.get(slug, by_slug.get("", "elements"))
        configuration = configured.get(slug, WorkerConfiguration())
        offer = WorkerOffer(slug=slug, version=version, kind=kind, configuration=configuration)
        program = Program(offer, argv)
        if _key(program) in programs:
            raise ConfigurationError(f"--task gives worker {slug} {version} twice. Drop one.")
        programs[_key(program)] = program
    served = {slug for slug, _ in programs}
    _refuse_strangers("--task-kind", [slug for slug in by_slug if slug or not tasks], served)
    _refuse_strangers("--task-configuration", configured, served)
    return list(programs.values())


def _refuse_strangers(option: str, slugs: Iterable[str], served: Collection[str]) -> None:
    strangers = sorted(set(slugs) - set(served))
    if strangers:
        raise ConfigurationError(
            f"{option} is for worker {strangers[0] or 'none'!r}, and there is no --task of it. Give "
            "--task SLUG=COMMAND as well."
        )


def _read_configuration(text: str) -> tuple[str, WorkerConfiguration]:
    slug, _, name = text.partition("=")
    if not name:
        raise ConfigurationError(f"--task-configuration {text!r}: write it as SLUG=FILE.")
    try:
        # JSON is YAML as well.
        given = msgspec.yaml.decode(Path(name).expanduser().read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"--task-configuration {slug}: {name} cannot be read: {error.strerror}."
        ) from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"--task-configuration {slug}: {name} is neither YAML nor JSON: {error}"
        ) from error
    return slug, read_configuration(f"--task-configuration {slug}", given)


def _key(program: Program) -> tuple[str, str]:
    return (program.offer.slug, program.offer.version)


def _read_kind(text: str) -> tuple[str, Kind]:
    slug, _, kind = text.rpartition("=")
    if kind not in get_args(Kind):
        raise ConfigurationError(
            f"--task-kind {text!r}: give elements or dataset, or SLUG=dataset for one worker."
        )
    return slug, cast("Kind", kind)


def _read_task(text: str) -> tuple[str, str, list[str]]:
    named, equals, command = text.partition("=")
    if not equals:
        raise ConfigurationError(
            f"--task {text!r} has no '='; write it as SLUG=COMMAND or SLUG:VERSION=COMMAND."
        )
    slug, colon, version = named.partition(":")
    check_name("slug", slug)
    version = check_name("version", version) if colon else DEFAULT_VERSION
    try:
        words = shlex.split(command)
        special = shell_word(command)
    except ValueError as error:
        raise ConfigurationError(
            f"--task {slug}: the command {command!r} cannot be split into words: {error}."
        ) from error
    if not words:
        raise ConfigurationError(f"--task {slug}: the command is blank. Give a program.")
    if special is not None:
        raise ConfigurationError(
            f"--task {slug}: {special!r} means something to a shell only, and none runs the "
            f"command. Quote it, or give: sh -c {shlex.quote(command)}"
        )
    return slug, version, [_program(slug, words[0]), *words[1:]]


def _program(slug: str, name: str) -> str:
    """Return the absolute path of a program; links stay, for environments of Python go by them."""
    found = shutil.which(str(Path(name).expanduser()))
    if found is None:
        raise ConfigurationError(
            f"--task {slug}: there is no program {name!r} here that may be run. Give its path, "
            "such as /srv/ocr/venv/bin/worker-ocr."
        )
    return os.path.abspath(found)  # noqa: PTH100 - resolves no links
