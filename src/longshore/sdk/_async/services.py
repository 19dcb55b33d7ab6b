"""Services: what there is to compute records with, single records, and workbooks as services."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from longshore import ids
from longshore.errors import InvalidRequest, ServerFault
from longshore.limits import EXECUTION_S, WORKBOOK_CHECK_S
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import NATIVE, Call, creating, segment
from longshore.sdk._sources import source_of
from longshore.sdk.operations import Identity
from longshore.sdk.services import AddedWorkbook, Service, ServicePage, deleted_uri, execution_body

_PATH: Final = f"{NATIVE}/services"
_SHOWN_CHARACTERS: Final = 200


class AsyncServices:
    """`client.services`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport
        self._tenant: str | None = None

    async def list(self) -> builtins.list[Service]:
        """Return all services with their versions, by name, the highest version first."""
        page = await self._transport.fetch(Call("GET", _PATH), ServicePage)
        return builtins.list(page.services)

    async def execute(self, uri: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Compute one record and return its outputs.

        Args:
            uri: the service, such as "folder/name" or "folder/name[1.4]".
            inputs: the record.

        Raises:
            NotFound: there is no such service or version.
            InvalidRequest: the record has an error; its details have `errors`.
            WaitTimeout: no worker was done with it in time.
        """
        outputs, errors = await self._execute(uri, [inputs])
        if errors[0]:
            told = "; ".join(str(each.get("message")) for each in errors[0])
            raise InvalidRequest(
                f"{uri} cannot compute this record: {told}", details={"errors": errors[0]}
            )
        found: dict[str, Any] = outputs[0]
        return found

    async def add_workbook(
        self,
        path: str | Path,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        name: str | None = None,
        version: str | None = None,
    ) -> AddedWorkbook:
        """Make a version of a service from a workbook and return it.

        The same workbook with the same inputs and outputs again gives the version there is.

        Args:
            path: the .xlsx file.
            inputs: defined names of the cells that a record sets; its values in the workbook are
                the defaults.
            outputs: defined names of the cells whose values are returned.
            name: folder and name; "workbooks/" and the name of the file unless given.
            version: such as "1.0.0"; the next one unless given.

        Raises:
            InvalidRequest: the workbook cannot be a service; the message names the cells, names
                and functions that are in the way.
            Conflict: the version is there with other content.
        """
        for names in (inputs, outputs):
            if isinstance(names, str):
                raise InvalidRequest(f"Give the names in a list: [{names!r}].")
        source = source_of(path)
        call = Call(
            "POST",
            f"{_PATH}/workbooks",
            query={
                "name": name or f"workbooks/{Path(path).stem}",
                "version": version,
                "inputs": builtins.list(inputs),
                "outputs": builtins.list(outputs),
            },
            content=source.whole(),
            headers={"Idempotency-Key": ids.new("ik")},
            patience_s=WORKBOOK_CHECK_S,
        )
        return await self._transport.fetch(call, AddedWorkbook)

    async def delete(self, version_id: str) -> str:
        """Delete a version that nobody uses and return what it was, such as "folder/name[1.0]".

        Raises:
            NotFound: there is no version with that id.
            Conflict: a worker offers it, or a pipeline over it is not over.
        """
        gone = await self._transport.fetch_json(Call("DELETE", f"{_PATH}/{segment(version_id)}"))
        return deleted_uri(gone)

    async def _execute(
        self, uri: str, records: Iterable[Mapping[str, Any]]
    ) -> tuple[builtins.list[Any], builtins.list[Any]]:
        if self._tenant is None:
            whoami = Call("GET", f"{NATIVE}/whoami")
            self._tenant = (await self._transport.fetch(whoami, Identity)).organisation_id
        body = execution_body(uri, builtins.list(records))
        path = f"/{segment(self._tenant)}/api/v4/execute"
        answer = await self._transport.fetch_json(
            creating(path, encoded=body, patience_s=EXECUTION_S)
        )
        try:
            return answer["outputs"], answer["errors"]
        except (KeyError, TypeError) as error:
            raise ServerFault(
                f"The server answered an execution with {str(answer)[:_SHOWN_CHARACTERS]}, which "
                "has no outputs. Check that client and server are of the same version."
            ) from error
