"""Where the API of corpora is, and who calls it: from the variables of the worker protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from longshore.sdk._connection import find_connection
from longshore.settings import task_variable

DOCUMENT_PATH: Final = "/api/v1/openapi/?format=json"


@dataclass(frozen=True, slots=True)
class Access:
    """A server and a token for it.

    Attributes:
        url: address of the server; only scheme, host and port count.
        token: what requests are authorized with, or None for none at all.
        scheme: the word before the token.
        document: address or path of the OpenAPI document.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    scheme: str = "Token"
    document: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The header that says who calls."""
        return {"Authorization": f"{self.scheme} {self.token}"} if self.token else {}

    @property
    def document_address(self) -> str:
        """Where the OpenAPI document is: an address, or the path of a file."""
        return self.document or urljoin(self.url, DOCUMENT_PATH)


def find_access() -> Access:
    """Return the server and the token that the environment names.

    ARKINDEX_API_URL with ARKINDEX_TASK_TOKEN (of a task) or ARKINDEX_API_TOKEN (of a person);
    without an address, the Longshore server that `longshore.Client()` would call.

    Raises:
        ConfigurationError: no server is named anywhere.
    """
    url = task_variable("ARKINDEX_API_URL")
    task_token = task_variable("ARKINDEX_TASK_TOKEN")
    token = task_token or task_variable("ARKINDEX_API_TOKEN")
    scheme = task_variable("ARKINDEX_API_AUTH_SCHEME") or ("Ponos" if task_token else "Token")
    document = task_variable("ARKINDEX_API_SCHEMA_URL") or ""
    if url:
        return Access(url, token or None, scheme, document)
    connection = find_connection(key=token)
    return Access(connection.url, connection.key, scheme, document)
