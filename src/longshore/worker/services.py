"""What user code registers for pipelines: `@longshore.service`, checked when declared."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from longshore.errors import ConfigurationError
from longshore.limits import ATTEMPTS, NAME_CHARACTERS
from longshore.wire.worker import InputField, ServiceOffer
from longshore.worker.registry import REGISTRY, Registry, check_callable, where

_WHOLE: Final = "the whole record"
Record = Annotated[dict[str, Any], _WHOLE]
"""A record as it was pushed; a function whose only parameter is annotated so is given all of it."""

_VERSION: Final = re.compile(r"[0-9A-Za-z]+(?:[.+_-][0-9A-Za-z]+)*")
_VERSION_CHARACTERS: Final = 64
_KINDS: Final[dict[Any, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    list: "list",
    tuple: "list",
    Sequence: "list",
    Iterable: "list",
    dict: "object",
    Mapping: "object",
}

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Service:
    """A version of a service: one record in, one out, or whole columns of them.

    Attributes:
        function: takes the inputs as keyword arguments; with `whole` the record, or with `batch`
            too the columns, as its only argument.
        accepts: the names that it takes; None where it takes any.
        positional: those that can be given by position, in their order.
        inputs: what it says of them; None where it takes whatever a record has.
        outputs: names, where the annotation of what it returns has them.
    """

    name: str
    version: str
    function: Callable[..., Any]
    description: str = ""
    batch: bool = False
    whole: bool = False
    timeout_s: float | None = None
    active_since: str | None = None
    accepts: frozenset[str] | None = None
    positional: tuple[str, ...] = ()
    inputs: tuple[InputField, ...] | None = None
    outputs: tuple[str, ...] | None = None
    subservices: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    attempts_max: int = 10

    @property
    def key(self) -> tuple[str, str]:
        """What makes two registrations the same version; names ignore case."""
        return key(self.name, self.version)

    @property
    def label(self) -> str:
        """The service as requests name it."""
        return f"{self.name}[{self.version}]"


def key(name: str, version: str) -> tuple[str, str]:
    """Return under what a version of a service is registered."""
    return unicodedata.normalize("NFC", name).casefold(), version


def find(registry: Registry, name: str, version: str) -> Service:
    """Return a registered version.

    Raises:
        ConfigurationError: it is not registered in this process.
    """
    found = registry.services.get(key(name, version))
    if found is None:
        raise ConfigurationError(
            f"Service {name}[{version}] is not registered in this worker's modules any more. "
            "Restart the worker with a module that registers it."
        )
    return found


def offers(registry: Registry) -> list[ServiceOffer]:
    """Return what the server is told about the registered services."""
    return [
        ServiceOffer(
            name=each.name,
            version=each.version,
            description=each.description,
            batch=each.batch,
            timeout_s=each.timeout_s,
            active_since=each.active_since,
            inputs=None if each.inputs is None else list(each.inputs),
            outputs=None if each.outputs is None else list(each.outputs),
            subservices={name: list(group) for name, group in each.subservices.items()},
            attempts_max=each.attempts_max,
        )
        for each in registry.services.values()
    ]


def service(
    name: str,
    *,
    version: str = "1.0.0",
    batch: bool = False,
    timeout_s: float | None = None,
    active_since: str | None = None,
    subservices: Mapping[str, Sequence[str]] | None = None,
    attempts_max: int = 10,
) -> Callable[[_Function], _Function]:
    """Register a function that computes the outputs of a record from its inputs.

    It is called with the record's inputs, and the parameters of its chunk, as keyword arguments;
    one whose only parameter is annotated `longshore.Record` is given the record itself. It
    returns a dict of outputs, a dataclass, or one value, which is then the output "result". The
    inputs are those of its signature, and the outputs those of a TypedDict or dataclass that it
    says it returns.

    Args:
        name: folder and service, such as "my-folder/my-service"; compared without regard to case.
        version: numbers with dots; a changed function wants a new one.
        batch: the function takes columns, lists of equal length, and returns a dict of columns or
            a list of dicts.
        timeout_s: time limit of one record in seconds; its process is killed.
        active_since: ISO 8601 date or time from which the version counts; else its first offer.
        subservices: names for groups of outputs.
        attempts_max: how often a chunk is begun again whose worker has died.

    Raises:
        ConfigurationError: a value is unusable, or the function cannot be called so.
    """

    def register(function: _Function) -> _Function:
        _check_name(name)
        _check_version(name, version)
        check_callable("longshore.service", function)
        _check_limits(name, timeout_s, attempts_max)
        _check_date(name, active_since)
        whole, accepts, inputs = _inputs(name, function, batch=batch)
        REGISTRY.add_service(
            Service(
                name=name,
                version=version,
                function=function,
                description=(inspect.getdoc(function) or "").partition("\n")[0],
                batch=batch,
                whole=whole,
                timeout_s=timeout_s,
                active_since=active_since,
                accepts=accepts,
                positional=_positional(function),
                inputs=inputs,
                outputs=_outputs(function),
                subservices=_groups(name, subservices),
                attempts_max=attempts_max,
            )
        )
        return function

    return register


def _inputs(
    name: str, function: Callable[..., Any], *, batch: bool
) -> tuple[bool, frozenset[str] | None, tuple[InputField, ...] | None]:
    """Return whether it wants the whole record, the names that it takes, and what it says of them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise _unusable(
            name, f"{where(function)} does not tell its parameters ({error}); wrap it in a def."
        ) from error
    hints = _hints(function)
    parameters = list(signature.parameters.values())
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise _unusable(
                name,
                f"{where(function)}{signature} takes {parameter.name} by position; inputs are "
                "given by name, so write it as an ordinary parameter.",
            )
    if len(parameters) == 1 and _is_record(hints.get(parameters[0].name, parameters[0].annotation)):
        return True, None, None
    named = [each for each in parameters if each.kind is not each.VAR_KEYWORD]
    if not parameters:
        raise _unusable(name, f"{where(function)} takes no inputs at all; give it a parameter.")
    fields = tuple(_field(each, hints.get(each.name), batch=batch) for each in named)
    if len(named) < len(parameters):
        return False, None, fields or None
    return False, frozenset(each.name for each in named), fields


def _positional(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD)


def _field(parameter: inspect.Parameter, hint: Any, *, batch: bool) -> InputField:
    if batch and get_origin(hint) is not None and get_args(hint):
        # A column: what a record has is one of its elements.
        hint = get_args(hint)[0]
    required = parameter.default is parameter.empty
    return InputField(
        name=parameter.name,
        kind=_kind(hint),
        required=required,
        default=None if required else _json_or_none(parameter.default),
    )


def _kind(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [each for each in get_args(hint) if each is not type(None)]
        kinds = {_kind(each) for each in rest}
        if kinds == {"integer", "number"}:
            return "number"
        return kinds.pop() if len(kinds) == 1 else "any"
    base = get_origin(hint) or hint
    if isinstance(base, type) and base not in _KINDS:
        found = next((kind for known, kind in _KINDS.items() if issubclass(base, known)), "any")
        return "object" if dataclasses.is_dataclass(base) else found
    try:
        return _KINDS.get(base, "any")
    except TypeError:
        # An annotation need not be hashable.
        return "any"


def _json_or_none(value: Any) -> Any:
    """Return a default that can be told as JSON; others are known only to the function."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError):
        return None


def _outputs(function: Callable[..., Any]) -> tuple[str, ...] | None:
    returned = _hints(function).get("return")
    if isinstance(returned, type):
        if dataclasses.is_dataclass(returned):
            return tuple(field.name for field in dataclasses.fields(returned))
        if issubclass(returned, msgspec.Struct):
            return tuple(returned.__struct_encode_fields__)
        if issubclass(returned, dict) and hasattr(returned, "__total__"):
            return tuple(returned.__annotations__)
    return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # Names that are imported for type checkers only: the annotations are then what was written.
        return dict(getattr(function, "__annotations__", {}))


def _is_record(hint: Any) -> bool:
    if isinstance(hint, str):
        return hint.rpartition(".")[2] == "Record"
    return get_origin(hint) is Annotated and _WHOLE in hint.__metadata__


def _groups(
    name: str, subservices: Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    groups = {}
    for group, outputs in (subservices or {}).items():
        if isinstance(outputs, str) or not all(isinstance(each, str) for each in outputs):
            raise _unusable(name, f"subservice {group!r} must be a list of names of outputs.")
        groups[group] = tuple(outputs)
    return groups


def _check_name(name: object) -> None:
    text = name if isinstance(name, str) else ""
    folder, _, service_name = text.partition("/")
    parts = (folder, service_name)
    usable = all(part.strip() and len(part) <= NAME_CHARACTERS for part in parts)
    if not usable or set("[]") & set(text) or "/" in service_name:
        raise ConfigurationError(
            f"longshore.service: {name!r} cannot be a name; give a folder, one slash and a name "
            'without square brackets, such as "my-folder/my-service".'
        )


def _check_version(name: str, version: object) -> None:
    usable = isinstance(version, str) and _VERSION.fullmatch(version) is not None
    if not usable or len(str(version)) > _VERSION_CHARACTERS:
        raise _unusable(
            name, f'version is {version!r}; give text of numbers with dots, such as "1.0.0".'
        )


def _check_limits(name: str, timeout_s: float | None, attempts_max: int) -> None:
    if timeout_s is not None and not timeout_s > 0:
        raise _unusable(name, f"timeout_s is {timeout_s}; give a number of seconds above 0.")
    if not 1 <= attempts_max <= ATTEMPTS:
        raise _unusable(name, f"attempts_max is {attempts_max}; give 1 to {ATTEMPTS}.")


def _check_date(name: str, text: object) -> None:
    if text is None:
        return
    try:
        datetime.fromisoformat(str(text))
    except ValueError as error:
        raise _unusable(
            name, f"active_since is {text!r}; give a date such as 2027-01-01, or a time ({error})."
        ) from error


def _unusable(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"Service {name!r}: {why}")
