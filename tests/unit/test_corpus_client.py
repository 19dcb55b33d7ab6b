from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from longshore.corpus.client import ApiClient, ClientError, ErrorResponse, SchemaError
from longshore.corpus.connecting import Access, find_access
from longshore.errors import ConfigurationError, ServerUnreachable
from tests.unit.corpus_server import CORPUS, TASK, ProtocolServer, Reply, serving, uuid
from tests.unit.corpus_worker_rig import native_server, server

__all__ = ["native_server", "server"]

BROKEN = Reply(0)
"""The server closes the connection instead of answering."""


class Waits(list[float]):
    """Remembers pauses instead of making them."""

    def __call__(self, pause_s: float) -> None:
        self.append(pause_s)


Clients = Callable[..., ApiClient]


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def clients(waits: Waits) -> Iterator[Clients]:
    """Make clients of an address, which are closed at the end."""
    with ExitStack() as stack:

        def make(url: str, token: str | None = "secret", **access: Any) -> ApiClient:
            made = ApiClient(Access(url, token, **access), wait=waits)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def client(server: ProtocolServer, clients: Clients) -> ApiClient:
    return clients(server.url)


@pytest.fixture
def native_client(native_server: ProtocolServer, clients: Clients) -> ApiClient:
    return clients(native_server.url)


def test_a_call_has_the_path_of_the_document_and_its_token(
    server: ProtocolServer, client: ApiClient
) -> None:
    (element_id,) = server.add(1)
    assert client.request("RetrieveElement", id=element_id)["name"] == "0001"
    # The document is public, and read without a token.
    assert [headers.get("Authorization") for headers in server.headers] == [None, "Token secret"]
    client.request("RetrieveElement", id=element_id)
    assert len(server.headers) == 3, "the document is read once"


def test_the_prefix_of_an_address_does_not_count(server: ProtocolServer, clients: Clients) -> None:
    (element_id,) = server.add(1)
    client = clients(f"{server.url}some/prefix", "x", scheme="Ponos")
    assert client.request("RetrieveElement", id=element_id)["id"] == element_id
    assert server.headers[-1]["Authorization"] == "Ponos x"


def test_slashes_in_the_values_of_a_path_are_quoted(
    server: ProtocolServer, client: ApiClient
) -> None:
    server.answers["RetrieveSecret"] = lambda *_: {"content": "a"}
    client.request("RetrieveSecret", name="models/key.json")
    assert server.calls[-1][1] == {"name": "models/key.json"}


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        ("RetrieveEverything", {}, "has no operation RetrieveEverything"),
        ("RetrieveElement", {}, "needs the argument id"),
        ("RetrieveElement", {"id": "a", "colour": "red"}, "does not take colour"),
        ("UpdateWorkerActivity", {"id": "a"}, "needs the argument body"),
    ],
)
def test_a_call_that_the_document_does_not_declare_is_not_made(
    server: ProtocolServer,
    client: ApiClient,
    operation: str,
    arguments: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ClientError, match=message):
        client.request(operation, **arguments)
    assert server.calls == []


def test_booleans_in_a_query_are_written_as_python_writes_them(
    server: ProtocolServer, client: ApiClient
) -> None:
    server.answers["ListProcessElements"] = lambda *_: {"count": 0, "results": [], "next": None}
    assert list(client.paginate("ListProcessElements", id="a", with_image=False)) == []
    assert server.calls[-1][1] == {"id": "a", "with_image": "False", "with_count": "True"}


def test_a_refusal_carries_status_and_content(server: ProtocolServer, client: ApiClient) -> None:
    with pytest.raises(ErrorResponse) as caught:
        client.request("RetrieveElement", id=uuid(9))
    assert (caught.value.status_code, caught.value.title) == (404, "404 Not Found")
    assert caught.value.content == {"detail": "Not found."}
    assert len(server.calls) == 1, "it would be the same answer again"


@pytest.mark.parametrize(
    ("replies", "pauses"),
    [
        ([Reply(503), Reply(500)], [3, 4]),
        ([Reply(429, headers={"Retry-After": "7"})], [7]),
        ([Reply(429)], [3]),
        ([BROKEN, BROKEN, BROKEN, BROKEN], [3, 4, 8, 16]),
    ],
)
def test_what_passes_is_tried_again(
    server: ProtocolServer,
    client: ApiClient,
    waits: Waits,
    replies: list[Reply],
    pauses: list[int],
) -> None:
    (element_id,) = server.add(1)
    server.answers["RetrieveElement"] = list(replies)
    assert client.request("RetrieveElement", id=element_id)["id"] == element_id
    assert waits == pauses


def test_after_five_attempts_the_error_is_raised(
    server: ProtocolServer, client: ApiClient, waits: Waits
) -> None:
    server.answers["RetrieveElement"] = [Reply(502, {"detail": "no"})] * 5
    with pytest.raises(ErrorResponse, match="502"):
        client.request("RetrieveElement", id=uuid(1))
    assert waits == [3, 4, 8, 16]
    server.answers["RetrieveElement"] = [BROKEN] * 5
    with pytest.raises(ServerUnreachable):
        client.request("RetrieveElement", id=uuid(1))


def test_a_server_that_wants_too_much_patience_is_not_waited_for(
    server: ProtocolServer, client: ApiClient, waits: Waits
) -> None:
    server.answers["RetrieveElement"] = [Reply(429, headers={"Retry-After": "3600"})]
    with pytest.raises(ErrorResponse, match="429"):
        client.request("RetrieveElement", id=uuid(1))
    assert waits == []


def test_a_post_whose_answer_was_lost_is_sent_again_only_where_it_cannot_act_twice(
    server: ProtocolServer,
    native_server: ProtocolServer,
    client: ApiClient,
    native_client: ApiClient,
) -> None:
    for one in (server, native_server):
        one.answers["CreateMetaData"] = [BROKEN]
    with pytest.raises(ServerUnreachable):
        client.request("CreateMetaData", id=uuid(1), body={"name": "a"})
    assert server.names() == ["CreateMetaData"]
    assert native_client.request("CreateMetaData", id=uuid(1), body={"name": "a"})["name"] == "a"
    keys = [headers.get("Idempotency-Key") for headers in native_server.headers[1:]]
    assert len(keys) == 2
    assert keys[0] == keys[1] is not None


def test_a_server_that_is_not_there_is_named(clients: Clients, waits: Waits) -> None:
    client = clients("http://127.0.0.1:9/")
    with pytest.raises(SchemaError, match=r"127\.0\.0\.1:9"):
        client.request("RetrieveElement", id=uuid(1))
    assert waits == [3, 4, 8, 16]


def test_what_is_no_document_is_refused(
    server: ProtocolServer, clients: Clients, tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match="404"):
        _ = clients(server.url, document=f"{server.url}nothing").document
    path = tmp_path / "openapi.json"
    for content in ("{}", "[]", "no", '{"paths": []}'):
        path.write_text(content)
        with pytest.raises(SchemaError, match=r"openapi\.json"):
            _ = clients(server.url, document=str(path)).document


def test_a_document_may_be_a_file(server: ProtocolServer, clients: Clients, tmp_path: Path) -> None:
    (element_id,) = server.add(1)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(server.document()))
    client = clients(server.url, document=str(path))
    assert client.request("RetrieveElement", id=element_id)["id"] == element_id
    assert len(server.headers) == 1


def test_bytes_come_as_a_file_and_nothing_as_none(
    server: ProtocolServer, client: ApiClient
) -> None:
    server.answers["DownloadArtifact"] = lambda *_: Reply(200, b"\x00" * 300_000 + b"end")
    with client.request("DownloadArtifact", id=TASK, path="a.bin") as file:
        assert Path(file.name).is_file()
        assert len(content := file.read()) == 300_003
        assert content.endswith(b"end")
    body = {"element_id": uuid(1), "state": "queued"}
    assert client.request("UpdateWorkerActivity", id=uuid(2), body=body) is None


def test_a_redirect_is_followed_without_the_token_to_another_host(
    server: ProtocolServer, client: ApiClient
) -> None:
    with serving(ProtocolServer()) as other:
        (element_id,) = other.add(1)
        there = f"{other.url.replace('127.0.0.1', 'localhost')}api/v1/element/{element_id}/"
        server.answers["DownloadExport"] = lambda *_: Reply(302, headers={"Location": there})
        assert client.request("DownloadExport", id=uuid(1))["id"] == element_id
        assert "Authorization" not in other.headers[-1]


def _numbered(total: int, size: int) -> Any:
    def page(arguments: dict[str, str], body: None) -> Reply:
        number = int(arguments.get("page", 1))
        rows = list(range(total))[(number - 1) * size : number * size]
        after = "more" if number * size < total else None
        return Reply(200, {"count": total, "number": number, "next": after, "results": rows})

    return page


@pytest.mark.parametrize(("total", "size", "calls"), [(0, 3, 1), (3, 3, 1), (7, 3, 3)])
def test_numbered_pages_are_fetched_as_they_are_needed(
    server: ProtocolServer, client: ApiClient, total: int, size: int, calls: int
) -> None:
    server.answers["ListExports"] = _numbered(total, size)
    pages = client.paginate("ListExports", id=CORPUS)
    assert server.calls == []
    assert (len(pages), bool(pages)) == (total, total > 0)
    assert len(server.calls) == 1
    assert list(pages) == list(range(total))
    assert len(server.calls) == calls


def _by_cursor(server: ProtocolServer, total: int) -> Any:
    def page(arguments: dict[str, str], body: None) -> Reply:
        start = int(arguments.get("cursor", 0))
        after = f"{server.url}?cursor={start + 2}&page_size=2" if start + 2 < total else None
        content: dict[str, Any] = {"results": list(range(total))[start : start + 2], "next": after}
        return Reply(200, content | ({"count": total} if arguments.get("with_count") else {}))

    return page


def test_pages_with_cursors_are_followed_to_the_end(
    server: ProtocolServer, client: ApiClient
) -> None:
    server.answers["ListProcessElements"] = _by_cursor(server, 5)
    pages = client.paginate("ListProcessElements", id="a", page_size=2)
    assert (len(pages), list(pages)) == (5, [0, 1, 2, 3, 4])
    assert [call[1].get("cursor") for call in server.calls] == [None, "2", "4"]
    assert [call[1]["page_size"] for call in server.calls] == ["2", "2", "2"]


@pytest.fixture
def failing(server: ProtocolServer) -> ProtocolServer:
    """A server whose second page cannot be had."""
    whole = _numbered(7, 3)

    def page(arguments: dict[str, str], body: None) -> Reply:
        return Reply(404, {}) if arguments.get("page") == "2" else whole(arguments, body)

    server.answers["ListExports"] = page
    return server


def test_a_page_that_cannot_be_had_is_an_error_unless_it_may_be_missing(
    failing: ProtocolServer, client: ApiClient
) -> None:
    with pytest.raises(ErrorResponse):
        list(client.paginate("ListExports", id=CORPUS))
    pages = client.paginate("ListExports", id=CORPUS, allow_missing_data=True)
    assert list(pages) == [0, 1, 2, 6]
    assert pages.missing == {2}


def test_a_list_that_is_not_paginated_comes_whole(
    server: ProtocolServer, client: ApiClient
) -> None:
    server.answers["ListArtifacts"] = lambda *_: [{"path": "a"}]
    assert client.paginate("ListArtifacts", id=TASK) == [{"path": "a"}]


def test_the_environment_names_server_and_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("URL", "KEY", "DATA"):
        monkeypatch.delenv(f"LONGSHORE_{name}", raising=False)
    for name in ("ARKINDEX_API_URL", "ARKINDEX_TASK_TOKEN", "ARKINDEX_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError):
        find_access()
    monkeypatch.setenv("LONGSHORE_URL", "http://127.0.0.1:8400")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_key")
    assert find_access().headers == {"Authorization": "Token ls_key"}
    monkeypatch.setenv("ARKINDEX_API_URL", "http://example.test/")
    assert find_access() == Access("http://example.test/")
    assert find_access().headers == {}
    monkeypatch.setenv("ARKINDEX_API_TOKEN", "person")
    assert find_access().headers == {"Authorization": "Token person"}
    monkeypatch.setenv("ARKINDEX_TASK_TOKEN", "task")
    assert find_access().headers == {"Authorization": "Ponos task"}
    assert "task" not in repr(find_access())
    monkeypatch.setenv("ARKINDEX_API_AUTH_SCHEME", "Bearer")
    assert find_access().headers == {"Authorization": "Bearer task"}
