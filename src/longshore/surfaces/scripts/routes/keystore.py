"""Values of the keystore for steps, for programs outside, and for those who write workflows."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission
from longshore.edge.call import Call
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest, PermissionDenied, TooLarge
from longshore.surfaces.scripts import SURFACE, secrets
from longshore.surfaces.scripts.routes.environment import permitted
from longshore.surfaces.scripts.routes.shared import PREFIX

router = APIRouter(prefix=f"{PREFIX}/keystore", tags=["scripts"])
Opener = Annotated[
    Call,
    Depends(permitted(Permission.SIGNAL, Permission.DEVELOP, Permission.WORK, programs=SURFACE)),
]
"""Steps with the token of their attempt, ingress keys, developers and admins."""
_UNSTORED: Final = {"Cache-Control": "no-store"}


@router.get("/{names:path}")
async def read_values(
    names: Annotated[str, Path(description="Names with commas in between; blanks do not count.")],
    call: Opener,
) -> Response:
    """Give values by name, as a flat object; what may not be read is left out like what is absent.

    A step reads what the `keystore` of its definition lists, a key of the role ingress what is
    marked for programs outside. Each call is one entry of the audit log.
    """
    wanted = [name for name in names.replace(" ", "").split(",") if name]
    if not wanted:
        raise InvalidRequest("No name was sent. Send one or more, with commas in between.")
    if len(wanted) > limits.KEYSTORE_KEYS_PER_READ:
        raise TooLarge(
            f"{len(wanted)} names; ask for at most {limits.KEYSTORE_KEYS_PER_READ} at once.",
            details={"limit": limits.KEYSTORE_KEYS_PER_READ},
        )
    found = await _read(call, wanted)
    return json_response(found, headers=_UNSTORED)


async def _read(call: Call, wanted: list[str]) -> dict[str, str]:
    database, principal = call.context.database, call.principal
    if principal.work is not None:
        return await database.write(secrets.of_step, call.reader(), principal.work, wanted)
    if principal.allows(Permission.DEVELOP):
        return await database.write(secrets.of_key, call.reader(), wanted, ingress=False)
    if principal.allows(Permission.SIGNAL):
        return await database.write(secrets.of_key, call.reader(), wanted, ingress=True)
    raise PermissionDenied(
        f"The key {principal.key_name!r} is a worker's. Only a step reads from the keystore, with "
        "the token that Init swaps CA_ACCESS_CODE for."
    )
