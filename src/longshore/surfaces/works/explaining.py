"""Why a work is where it is, told with what its surface and access know of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from longshore.access import Principal, keys
from longshore.engine import insights, works
from longshore.errors import NotFound
from longshore.surfaces.scripts import HELD, SURFACE
from longshore.surfaces.scripts import explaining as steps
from longshore.surfaces.works import reaching

_KEY: Final = re.compile(r"\bky_[0-9a-v]{26}\b")


def visible(connection: Connection, principal: Principal, work_id: str) -> works.Work:
    """Return a work that a key reaches.

    Raises:
        NotFound: there is none; that of another organisation or workspace does not exist for it.
    """
    if works.organisation_of(connection, work_id) == principal.organisation_id:
        work = works.get(connection, work_id)
        if reaching.reaches(connection, principal, work):
            return work
    raise missing(work_id)


def visible_group(connection: Connection, principal: Principal, group_id: str) -> list[works.Work]:
    """Return the works of a group that a key reaches.

    Raises:
        NotFound: there is none; that of another organisation or workspace does not exist for it.
    """
    found = works.of_group(connection, group_id)
    if (
        found
        and works.organisation_of(connection, found[0].id) == principal.organisation_id
        and reaching.reaches(connection, principal, found[0])
    ):
        return found
    raise NotFound(f"There is no group {group_id!r}. It may have been deleted; check the id.")


def missing(work_id: str) -> NotFound:
    """Return the error of a work that is not there, or not for this key."""
    return NotFound(f"There is no work {work_id!r}. It may have been deleted; check the id.")


def why(connection: Connection, principal: Principal, work_id: str) -> insights.Why:
    """Say in one sentence why a work is where it is, with the facts behind it.

    Raises:
        NotFound: the key reaches no such work.
    """
    visible(connection, principal, work_id)
    organisation_id = principal.organisation_id
    found = insights.why(connection, work_id)
    if found.facts["surface"] in (SURFACE, HELD):
        found = _of_step(connection, organisation_id, found)
    return replace(found, text=with_names(connection, organisation_id, found.text))


def with_names(connection: Connection, organisation_id: str, text: str) -> str:
    """Call keys by their names: a client that withdraws holds its works by its key."""
    for key_id in set(_KEY.findall(text)):
        try:
            key = keys.get(connection, organisation_id, key_id)
        except NotFound:
            continue
        text = text.replace(key_id, f"key {key.name!r} ({key_id})")
    return text


def _of_step(connection: Connection, organisation_id: str, found: insights.Why) -> insights.Why:
    """Say of the work of a step of a workflow what is to be said of the step."""
    told = steps.work(connection, organisation_id, found.work_id)
    if told is None:
        return found
    return replace(found, text=told["text"], facts={**found.facts, **told["facts"]})
