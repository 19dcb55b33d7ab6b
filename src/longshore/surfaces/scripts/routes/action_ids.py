"""Ids of runs (ACTIONID) as clients send them: numbers, or the same in decimal digits as text."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Path
from sqlalchemy import Connection

from longshore.edge.call import Call
from longshore.surfaces.scripts import board, callers

ActionId = Annotated[str, Path(alias="actionId", description="Id of a run: a number.")]
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_LARGEST: Final = 2**63 - 1


def action_id(wanted: int | str) -> int:
    """Return the id of a run; NotFound for what cannot be one, since nothing has it."""
    text = str(wanted).strip()
    if _DIGITS.fullmatch(text) is None or int(text) > _LARGEST:
        raise board.no_run(text)
    return int(text)


def readable(connection: Connection, call: Call, wanted: int | str) -> int:
    """Return the id of a run that the caller may read: a step has its own run only.

    Raises:
        NotFound: the id cannot be one, or is that of another run than the calling step's.
        Unauthenticated: the calling step's attempt is over.
    """
    run_id = action_id(wanted)
    if call.principal.work is not None:
        caller = callers.calling(connection, call.principal.organisation_id, call.principal.work)
        if caller.run_id != run_id:
            raise board.no_run(run_id)
    return run_id
