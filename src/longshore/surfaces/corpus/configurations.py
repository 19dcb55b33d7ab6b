"""Configurations of workers: what users may choose, and what a run of a worker gets in the end.

The published 0.4.0 merges them by itself, 0.6.0 has the server do it. Both are given the same:
what the version sets, then the defaults of what users may choose, then what the version of the
model sets, then what the user has chosen; a default never replaces a value of the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.clock import iso
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus import workers
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal, unknown, uuid_of
from longshore.surfaces.corpus.tables import corpus_worker_configurations
from longshore.wire.tasks import WorkerConfiguration

SECRET: Final = "secret"  # noqa: S105 - a word of the protocol
"""Type of a choice whose value is the name of a secret."""
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
    "number": (int, float),
    "string": (str,),
    "text": (str,),
    "bool": (bool,),
    "boolean": (bool,),
    "list": (list,),
    "dict": (dict,),
    SECRET: (str,),
    "model": (str,),
}
_OUTLINE: Final = msgspec.json.Encoder(order="deterministic")


class NewConfiguration(msgspec.Struct, frozen=True):
    """What a user chooses for runs of a worker, under a name."""

    configuration: dict[str, Any]
    name: str = ""


def find(
    connection: Connection, worker_id: str, configuration_id: str, *attr: str | int
) -> Row[Any]:
    """Return the stored configuration of a worker that a body names.

    Raises:
        InvalidRequest: the worker has none of that id.
    """
    given = uuid_of(configuration_id)
    row = None
    if given is not None:
        query = select(corpus_worker_configurations).where(
            corpus_worker_configurations.c.id == given,
            corpus_worker_configurations.c.worker_id == worker_id,
        )
        row = connection.execute(query).one_or_none()
    if row is None:
        raise unknown("configuration of the worker", configuration_id, *attr)
    return row


def ensure(
    connection: Connection, worker_id: str, chosen: Mapping[str, Any], name: str = ""
) -> str | None:
    """Return the id of the configuration with these values, making it if it is not there.

    None stands for no values. Runs with the same values have the same configuration, so that
    elements which one of them has processed are passed over by the others.

    Raises:
        InvalidRequest: it is too long.
    """
    if not chosen:
        return None
    text = _OUTLINE.encode(chosen)
    if len(text) > limits.WORKER_CONFIGURATION_BYTES:
        raise refusal(
            f"configuration: it has {len(text)} bytes as JSON and may have "
            f"{limits.WORKER_CONFIGURATION_BYTES}.",
            "configuration",
        )
    digest = hashlib.sha256(text).hexdigest()
    query = select(corpus_worker_configurations.c.id).where(
        corpus_worker_configurations.c.worker_id == worker_id,
        corpus_worker_configurations.c.digest == digest,
    )
    found = connection.scalar(query)
    if found is None:
        # Another server may make the same one at this moment.
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(
                insert(corpus_worker_configurations).values(
                    id=ids.uuid(),
                    worker_id=worker_id,
                    name=name[: limits.NAME_CHARACTERS],
                    configuration=text.decode(),
                    digest=digest,
                    created_us=now_us(connection),
                )
            )
        found = connection.scalar(query)
    return str(found)


def check(version: WorkerConfiguration, chosen: Mapping[str, Any], *attr: str | int) -> None:
    """Refuse what a user has chosen where the version of the worker does not allow for it.

    Raises:
        InvalidRequest: a value is of another type than the version says, or one that it needs is
            missing.
    """
    for key, about in version.user_configuration.items():
        if key in chosen:
            _check_value(key, about, chosen[key], *attr, key)
        elif about.get("required") is True and about.get("default") is None:
            raise refusal(
                f"configuration: {key!r} is missing, which this worker needs.",
                *attr,
                key,
                code="required",
            )


def merged(
    version: WorkerConfiguration,
    model: Mapping[str, Any] | None,
    chosen: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Return what a run gets, as the published 0.6.0 reads it: `{"key", "value", "secret"}` each.

    The value of a secret is its name; the worker asks for what it holds.
    """
    model = model or {}
    values: dict[str, Any] = {**version.configuration}
    for key, about in version.user_configuration.items():
        if "default" in about and key not in model:
            values[key] = about["default"]
    values |= model
    values |= chosen or {}
    secret = {
        key for key, about in version.user_configuration.items() if about.get("type") == SECRET
    }
    for name in version.secrets:
        values.setdefault(name, name)
        secret.add(name)
    return [{"key": key, "value": value, "secret": key in secret} for key, value in values.items()]


def create(
    connection: Connection, organisation_id: str, worker_id: str, new: NewConfiguration
) -> dict[str, Any]:
    """Store a configuration of a worker; the same values again give the one there is.

    Raises:
        NotFound: there is no such worker.
        InvalidRequest: there is nothing in it, or too much.
    """
    worker = workers.worker(connection, organisation_id, worker_id)
    made = ensure(connection, worker.id, new.configuration, new.name)
    if made is None:
        raise refusal("configuration: it holds nothing. Leave it out instead.", "configuration")
    return show(find(connection, worker.id, made))


def listing(
    connection: Connection, organisation_id: str, worker_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the configurations of a worker, the oldest first.

    Raises:
        NotFound: there is no such worker or page.
    """
    worker = workers.worker(connection, organisation_id, worker_id)
    table = corpus_worker_configurations
    of_it = table.c.worker_id == worker.id
    count = connection.scalar(select(func.count()).select_from(table).where(of_it)) or 0
    query = select(table).where(of_it).order_by(table.c.id).offset(page.offset).limit(page.size)
    return page.answer([show(row) for row in connection.execute(query)], count)


def of_run(connection: Connection, configuration_id: str | None) -> dict[str, Any] | None:
    """Return the configuration of a run as it is sent, or None where nothing was chosen."""
    if configuration_id is None:
        return None
    row = connection.execute(
        select(corpus_worker_configurations).where(
            corpus_worker_configurations.c.id == configuration_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no configuration {configuration_id} any more.")
    return show(row)


def show(row: Row[Any]) -> dict[str, Any]:
    """Return a configuration as it is sent."""
    return {
        "id": row.id,
        "name": row.name,
        "configuration": msgspec.json.decode(row.configuration),
        "archived": False,
        "created": iso(row.created_us),
    }


def _check_value(key: str, about: Mapping[str, Any], value: Any, *attr: str | int) -> None:
    kind = about.get("type")
    if kind == "enum":
        choices = about.get("choices")
        if isinstance(choices, list) and value not in choices:
            raise refusal(f"configuration: {key!r} is none of {choices!r}.", *attr)
        return
    allowed = _TYPES.get(str(kind))
    # Whatever types a later version of the protocol knows are left to the worker. A truth value
    # is a number to Python only.
    wrong_truth = isinstance(value, bool) and allowed is not None and bool not in allowed
    if allowed is not None and (wrong_truth or not isinstance(value, allowed)):
        raise refusal(
            f"configuration: {key!r} is {value!r:.80}, and the worker wants {kind} there.", *attr
        )
