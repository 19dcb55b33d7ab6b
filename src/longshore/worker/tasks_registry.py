"""Worker programs that modules register: `@longshore.elements_worker` above a class.

The class is an elements worker or a dataset worker, of this package or of the published one: it
is known by its methods, for the published package lives without this one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec

from longshore.errors import ConfigurationError
from longshore.limits import ATTEMPTS, NAME_CHARACTERS
from longshore.wire.tasks import WorkerConfiguration, WorkerOffer
from longshore.worker.channel import LoadedWorker
from longshore.worker.registry import REGISTRY, Registry, where

Kind = Literal["elements", "dataset"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_METHODS: Final[dict[Kind, str]] = {"elements": "process_element", "dataset": "process_set"}
_Class = TypeVar("_Class", bound=type)


@dataclass(frozen=True, slots=True)
class RegisteredWorker:
    """A class whose instances run tasks.

    Attributes:
        module: how the module was named that registered it, so that another process can load it.
    """

    offer: WorkerOffer
    program: type
    module: str


def elements_worker(
    slug: str,
    *,
    version: str = "1",
    name: str | None = None,
    type: str = "recognizer",  # noqa: A002 - the word of the protocol
    configuration: Mapping[str, Any] | None = None,
    description: str | None = None,
    attempts_max: int = 3,
) -> Callable[[_Class], _Class]:
    """Register a subclass of ElementsWorker or DatasetWorker, so that `longshore worker` serves it.

    For each task a fresh process makes an instance of the class, without arguments, and calls its
    `run()`. The published package's classes can be registered as well.

    Args:
        slug: short name, as processes name the worker: letters, digits, and `.`, `_`, `-`.
        version: elements that a version has processed are not processed by it again.
        name: for people; the slug unless given.
        type: what it does, such as `recognizer` or `classifier`; for people.
        configuration: a dict with any of `configuration` (values that users do not change),
            `user_configuration` (by name: `{"title", "type", "default", ...}`) and `secrets`
            (names of the secrets that it reads).
        description: for people; the first line of the class's docstring unless given.
        attempts_max: how often a task is tried whose process is killed.

    Raises:
        ConfigurationError: a value is unusable, or the class is no worker.
    """

    def register(program: _Class) -> _Class:
        offer = WorkerOffer(
            slug=check_name("slug", slug),
            version=check_name("version", version),
            name=_text("name", name or ""),
            type=_text("type", type),
            kind=_kind(program),
            description=_first_line(program) if description is None else description,
            configuration=read_configuration(f"Worker {slug!r}", configuration or {}),
            attempts_max=attempts_max,
        )
        if not 1 <= attempts_max <= ATTEMPTS:
            raise ConfigurationError(
                f"Worker {slug!r}: attempts_max is {attempts_max}; give 1 to {ATTEMPTS}."
            )
        REGISTRY.add_worker(RegisteredWorker(offer, program, REGISTRY.loading))
        return program

    return register


def check_name(label: str, value: object) -> str:
    """Return a slug or a version that can be one.

    Raises:
        ConfigurationError: it is no text of 1 to 100 letters, digits, `.`, `_` and `-`, or begins
            with one of these three.
    """
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise ConfigurationError(
            f"The {label} of a worker has 1 to 100 letters (a-z, A-Z), digits, '.', '_' and '-', "
            f"and begins with a letter or a digit; {value!r} does not."
        )
    return value


def read_configuration(label: str, given: object) -> WorkerConfiguration:
    """Return a worker's configuration from its JSON form.

    Raises:
        ConfigurationError: it has another form; the message says where.
    """
    try:
        known = WorkerConfiguration.__struct_fields__
        made = msgspec.convert(given, dict[str, Any])
        unknown = sorted(set(made) - set(known))
        if unknown:
            raise ConfigurationError(
                f"{label}: its configuration has {', '.join(map(repr, unknown))}; it may have "
                f"{', '.join(known)}. Values that users do not change go below 'configuration'."
            )
        configuration = msgspec.convert(made, WorkerConfiguration)
        msgspec.json.encode(configuration)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigurationError(
            f"{label}: its configuration cannot be used: {error}. Give a dict with any of "
            "configuration, user_configuration and secrets."
        ) from error
    return configuration


def offers(registry: Registry) -> list[LoadedWorker]:
    """Return the registered workers, each with the module to load for it."""
    return [LoadedWorker(each.offer, each.module) for each in registry.workers.values()]


def _kind(program: object) -> Kind:
    if not inspect.isclass(program) or not callable(getattr(program, "run", None)):
        raise ConfigurationError(
            f"longshore.elements_worker: {program!r} is no class with a method run(); put it above "
            "a subclass of longshore.ElementsWorker or longshore.DatasetWorker."
        )
    kinds = [kind for kind, method in _METHODS.items() if callable(getattr(program, method, None))]
    if len(kinds) != 1:
        has = "both process_element and process_set" if kinds else "no process_element"
        raise ConfigurationError(
            f"longshore.elements_worker: {where(program)} has {has}; make it a subclass of "
            "longshore.ElementsWorker or of longshore.DatasetWorker."
        )
    return kinds[0]


def _first_line(program: type) -> str:
    # An inherited docstring would describe the base.
    return inspect.cleandoc(program.__dict__.get("__doc__") or "").partition("\n")[0]


def _text(label: str, value: object) -> str:
    if not isinstance(value, str) or "\x00" in value or len(value) > NAME_CHARACTERS:
        raise ConfigurationError(
            f"longshore.elements_worker: {label} must be text of at most {NAME_CHARACTERS} "
            f"characters, not {value!r}."
        )
    return value
