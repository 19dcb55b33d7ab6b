"""What user code registers, checked when declared: `@longshore.app` and `@longshore.function`.

`@longshore.service` is in `longshore.worker.services`, `@longshore.elements_worker` in
`longshore.worker.tasks_registry`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from longshore.errors import ConfigurationError
from longshore.limits import ATTEMPTS, NAME_CHARACTERS
from longshore.worker.documents import Document, InputFile

if TYPE_CHECKING:
    from longshore.worker.services import Service
    from longshore.worker.tasks_registry import RegisteredWorker

BUCKET_CHARACTERS: Final = 128
_BUCKET: Final = re.compile(r"(?:[^\W_]|-)+")

AppFunction = Callable[[InputFile], Iterable[Document]]
_Function = TypeVar("_Function", bound=AppFunction)
_Setup = TypeVar("_Setup", bound=Callable[[], object])
_Any = TypeVar("_Any", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class App:
    """A registered app: one file in, documents with fields out."""

    name: str
    owner: str
    version: str
    function: AppFunction
    description: str = ""
    timeout_s: float | None = None
    attempts_max: int = 3
    review_below: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two registrations the same app version; owner and name ignore case."""
        return (self.owner.casefold(), self.name.casefold(), self.version)


@dataclass(frozen=True, slots=True)
class Function:
    """A function that runs the works of a bucket which name nothing to run themselves."""

    bucket: str
    function: Callable[..., Any]
    timeout_s: float | None = None


class Registry:
    """All that the modules of one worker have registered."""

    def __init__(self) -> None:
        """Start empty."""
        self.apps: dict[tuple[str, str, str], App] = {}
        self.functions: dict[str, Function] = {}
        self.services: dict[tuple[str, str], Service] = {}
        self.workers: dict[tuple[str, str], RegisteredWorker] = {}
        self.setups: list[Callable[[], object]] = []
        self.loading = ""
        """The module that is imported now, as the worker was given it."""

    def add_app(self, app: App) -> None:
        """Add an app version.

        Raises:
            ConfigurationError: the same owner, name and version is registered already.
        """
        present = self.apps.get(app.key)
        if present is not None and present.function is not app.function:
            raise ConfigurationError(
                f"App {app.owner}/{app.name} {app.version} is registered twice: by "
                f"{where(present.function)} and by {where(app.function)}. Give one of them "
                "another version."
            )
        self.apps[app.key] = app

    def add_function(self, function: Function) -> None:
        """Add the function of a bucket.

        Raises:
            ConfigurationError: the bucket has another one already.
        """
        present = self.functions.get(function.bucket)
        if present is not None and present.function is not function.function:
            raise ConfigurationError(
                f"Bucket {function.bucket!r} has two functions: {where(present.function)} and "
                f"{where(function.function)}. Register one of them for another bucket."
            )
        self.functions[function.bucket] = function

    def add_service(self, service: Service) -> None:
        """Add a version of a service.

        Raises:
            ConfigurationError: the same name and version is registered already.
        """
        present = self.services.get(service.key)
        if present is not None and present.function is not service.function:
            raise ConfigurationError(
                f"Service {service.label} is registered twice: by {where(present.function)} and by "
                f"{where(service.function)}. Give one of them another version."
            )
        self.services[service.key] = service

    def add_worker(self, worker: RegisteredWorker) -> None:
        """Add a version of a worker of corpora.

        Raises:
            ConfigurationError: the same slug and version is registered already.
        """
        key = (worker.offer.slug, worker.offer.version)
        present = self.workers.get(key)
        if present is not None and present.program is not worker.program:
            raise ConfigurationError(
                f"Worker {' '.join(key)} is registered twice: by {where(present.program)} and by "
                f"{where(worker.program)}. Give one of them another version."
            )
        self.workers.setdefault(key, worker)


REGISTRY = Registry()
"""Filled by the decorators while a worker imports the user's modules, read right after it."""


def app(
    name: str,
    *,
    owner: str = "local",
    version: str = "1.0.0",
    timeout_s: float | None = None,
    attempts_max: int = 3,
    review_below: float | None = None,
) -> Callable[[_Function], _Function]:
    """Register a function that takes one `InputFile` and returns its `Document`s.

    Args:
        name: display name, as users give it when they start a run; at most 255 characters.
        owner: account that publishes the app; compared without regard to case.
        version: a run pins the version it started with; a changed app wants a new version.
        timeout_s: time limit of one file in seconds; the process is killed at its end.
        attempts_max: how often one file is tried before it counts as failed.
        review_below: a document needs a person's review when the confidence of one of its fields
            is below this, 0 to 1; None for no such rule.

    Raises:
        ConfigurationError: a value is unusable, or the function does not take one argument.
    """

    def register(function: _Function) -> _Function:
        _check_text("name", name)
        _check_text("owner", owner)
        _check_text("version", version)
        _check_function(function)
        if timeout_s is not None and timeout_s <= 0:
            raise ConfigurationError(
                f"App {name!r}: timeout_s is {timeout_s}; give a number of seconds above 0."
            )
        if not 1 <= attempts_max <= ATTEMPTS:
            raise ConfigurationError(
                f"App {name!r}: attempts_max is {attempts_max}; give 1 to {ATTEMPTS}."
            )
        if review_below is not None and not 0 <= review_below <= 1:
            raise ConfigurationError(
                f"App {name!r}: review_below is {review_below}; give a confidence, 0 to 1."
            )
        description = inspect.getdoc(function) or ""
        REGISTRY.add_app(
            App(
                name=name,
                owner=owner,
                version=version,
                function=function,
                description=description.partition("\n")[0],
                timeout_s=timeout_s,
                attempts_max=attempts_max,
                review_below=review_below,
            )
        )
        return function

    return register


def function(bucket: str, *, timeout_s: float | None = None) -> Callable[[_Any], _Any]:
    """Register what runs the works of a bucket that name neither function nor command.

    It is called with the work's `parameters` as keyword arguments; one whose only parameter is
    annotated `longshore.Work` is given the whole work. It returns a dict of results, or a tuple of
    results, list of products and list of plots. A Click command can be registered as well.

    Args:
        bucket: name of the bucket: 1 to 128 letters, digits and hyphens.
        timeout_s: time limit of one work in seconds, where it is shorter than the work's own; the
            process is killed at its end.

    Raises:
        ConfigurationError: a value is unusable, or this is not a function.
    """

    def register(function: _Any) -> _Any:
        check_bucket("longshore.function", bucket)
        check_callable("longshore.function", function)
        if timeout_s is not None and timeout_s <= 0:
            raise ConfigurationError(
                f"Bucket {bucket!r}: timeout_s is {timeout_s}; give a number of seconds above 0."
            )
        REGISTRY.add_function(Function(bucket, function, timeout_s))
        return function

    return register


def check_bucket(label: str, name: object) -> None:
    """Refuse what no bucket can be called.

    Raises:
        ConfigurationError: `name` is not 1 to 128 letters, digits and hyphens.
    """
    usable = isinstance(name, str) and _BUCKET.fullmatch(name) is not None
    if not usable or len(str(name)) > BUCKET_CHARACTERS:
        raise ConfigurationError(
            f"{label}: a bucket's name has 1 to {BUCKET_CHARACTERS} letters, digits and hyphens; "
            f"{name!r} is none."
        )


def setup(function: _Setup) -> _Setup:
    """Run `function` once in each worker process before its first work (load a model there)."""
    if function not in REGISTRY.setups:
        REGISTRY.setups.append(function)
    return function


def _check_text(label: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > NAME_CHARACTERS:
        raise ConfigurationError(
            f"longshore.app: {label} must be text of 1 to {NAME_CHARACTERS} characters, "
            f"not {value!r}."
        )


def _check_function(function: Callable[..., object]) -> None:
    check_callable("longshore.app", function)
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise ConfigurationError(
            f"longshore.app: {where(function)} must take one argument, an InputFile ({error})."
        ) from error


def check_callable(label: str, function: Any) -> None:
    """Refuse what is not a plain function.

    Raises:
        ConfigurationError: `function` cannot be called, or is async.
    """
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise ConfigurationError(
            f"{label}: {function!r} must be a plain function; the worker runs it in a process of "
            "its own, so it need not be async."
        )


def where(function: Callable[..., object]) -> str:
    """Return where a function is defined, for people."""
    module = getattr(function, "__module__", "?")
    return f"{module}.{getattr(function, '__qualname__', repr(function))}"
