"""The operations of a server, as its OpenAPI document lists them.

The document is the only place that says where an operation is: the protocol binds the names of
operations and of their parameters, not the paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
CLAIM_PATH: Final = "/longshore/v1/corpus/activities/claim"
"""Where a server has this, activities are claimed, renewed and reported many at a time."""

_IN_PATH = re.compile(r"\{(\+?)([^{}]+)\}")


class SchemaError(Exception):
    """The document of the server's operations cannot be read."""


class ClientError(Exception):
    """A call that no request can be made of: an unknown operation, or arguments it does not take."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        path: with the names of its parameters in braces; {+name} keeps the slashes of a value.
        query: names of the parameters that go behind the question mark.
        takes_body: whether it wants a JSON body; then there must be one.
        paginated: False for a list that comes whole.
    """

    operation_id: str
    method: str
    path: str
    query: frozenset[str]
    takes_body: bool
    paginated: bool

    def target(self, arguments: dict[str, Any]) -> tuple[str, dict[str, Any], Any]:
        """Return path, query and body of a call.

        Raises:
            ClientError: an argument is missing, or the operation does not declare it.
        """
        left = dict(arguments)
        path = _IN_PATH.sub(lambda found: self._part(found, left), self.path)
        body = None
        if self.takes_body:
            if "body" not in left:
                raise ClientError(f"{self.operation_id} needs the argument body.")
            body = left.pop("body")
        if unknown := sorted(left.keys() - self.query):
            raise ClientError(
                f"{self.operation_id} does not take {', '.join(unknown)}; the server declares "
                f"{', '.join(sorted(self.query)) or 'no such arguments'}."
            )
        return path, {name: value for name, value in left.items() if value is not None}, body

    def _part(self, found: re.Match[str], arguments: dict[str, Any]) -> str:
        name = found.group(2)
        if arguments.get(name) is None:
            raise ClientError(f"{self.operation_id} needs the argument {name}.")
        return quote(str(arguments.pop(name)), safe="/" if found.group(1) else "")


class Document:
    """All operations of a server, by their names."""

    def __init__(self, content: Any, origin: str) -> None:
        """Read a parsed OpenAPI document; `origin` is named in errors.

        Raises:
            SchemaError: it is none.
        """
        paths = content.get("paths") if isinstance(content, dict) else None
        if not isinstance(paths, dict):
            raise SchemaError(f"{origin} is no OpenAPI document: it has no paths.")
        self.origin = origin
        self.operations = {
            operation.operation_id: operation
            for path, methods in paths.items()
            for method, described in methods.items()
            if method in METHODS
            for operation in [_operation(path, method, described)]
        }
        self.has_bulk_activities = CLAIM_PATH in paths

    def __contains__(self, operation_id: object) -> bool:
        return operation_id in self.operations

    def __getitem__(self, operation_id: str) -> Operation:
        """Return an operation.

        Raises:
            ClientError: the server does not have it.
        """
        try:
            return self.operations[operation_id]
        except KeyError:
            raise ClientError(f"{self.origin} has no operation {operation_id}.") from None


def _operation(path: str, method: str, described: dict[str, Any]) -> Operation:
    parameters = described.get("parameters", ())
    content = described.get("requestBody", {}).get("content", {})
    return Operation(
        operation_id=described.get("operationId", f"{method} {path}"),
        method=method.upper(),
        path=path,
        query=frozenset(one["name"] for one in parameters if one.get("in") == "query"),
        takes_body=bool(content.get("application/json", {}).get("schema")),
        paginated=bool(described.get("x-paginated", True)),
    )
