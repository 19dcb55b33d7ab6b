"""Parts of the worker that serve buckets and need no process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec
import pytest

import longshore
from longshore import errors
from longshore.cli.worker import bucket_filter
from longshore.limits import CLAIM_WORKS
from longshore.wire.payloads import BucketJob
from longshore.wire.worker import Held, RenewAnswer, RenewRequest
from longshore.worker.calling import click_arguments, find
from longshore.worker.commands import Captured, arguments
from longshore.worker.http import HttpClient
from longshore.worker.options import WorkerOptions
from longshore.worker.pace import Pace
from longshore.worker.registry import REGISTRY, Registry
from longshore.worker.returned import Returned, encode, merge, read
from longshore.worker.transport import Transport


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    yield
    REGISTRY.functions.clear()


class TestRegistration:
    @pytest.mark.parametrize("name", ["", "a b", "under_score", "x" * 129, 7, None])
    def test_a_name_that_no_bucket_can_have_is_refused(self, name: Any) -> None:
        with pytest.raises(errors.ConfigurationError, match="letters, digits and hyphens"):
            longshore.function(name)(print)

    def test_letters_of_any_script_may_be_used(self) -> None:
        longshore.function("größe-7")(print)
        assert list(REGISTRY.functions) == ["größe-7"]

    @pytest.mark.parametrize("timeout_s", [0, -1])
    def test_a_time_limit_is_above_zero(self, timeout_s: float) -> None:
        with pytest.raises(errors.ConfigurationError, match="above 0"):
            longshore.function("search", timeout_s=timeout_s)(print)

    def test_what_cannot_be_called_is_refused(self) -> None:
        async def later() -> None: ...

        for wrong in (later, 7):
            with pytest.raises(errors.ConfigurationError, match="must be a plain function"):
                longshore.function("search")(wrong)  # type: ignore[type-var]

    def test_a_bucket_has_one_function(self) -> None:
        longshore.function("search")(print)
        longshore.function("search")(print)
        with pytest.raises(errors.ConfigurationError, match="has two functions"):
            longshore.function("search")(repr)


class TestReturned:
    @pytest.fixture
    def notes(self) -> list[str]:
        return []

    def test_lists_are_products_and_plots_by_their_order(self, notes: list[str]) -> None:
        assert read(({"a": 1}, [], ["p.png"]), notes.append) == Returned({"a": 1}, [], ["p.png"])
        assert read((["d.csv"], {"a": 1}), notes.append) == Returned({"a": 1}, ["d.csv"], None)
        assert notes == []

    def test_what_has_no_place_is_told(self, notes: list[str]) -> None:
        read(({"a": 1}, {"b": 2}, ["1"], ["2"], ["3"]), notes.append)
        assert [note.partition(" with ")[2][:6] for note in notes] == ["dict {", "list ["]

    @pytest.mark.parametrize("path", ["", "a\x00b", 7, None, b"bytes"])
    def test_a_product_that_is_no_path_is_refused(self, path: object) -> None:
        with pytest.raises(TypeError, match="must be the path of a file"):
            read(({}, [path]), print)

    def test_new_results_win_and_files_are_named_once(self) -> None:
        job = BucketJob(pipeline="p", results={"a": 0, "b": 0}, products=["1", "2"])
        merged = merge(job, Returned({"a": 1}, ["2", "3"], ["4"]))
        assert merged == Returned({"a": 1, "b": 0}, ["1", "2", "3"], ["4"])
        assert merge(job, Returned()) == Returned({"a": 0, "b": 0}, ["1", "2"], None)
        assert merge(BucketJob(pipeline="p"), Returned({})) == Returned({})

    def test_numbers_of_numeric_libraries_become_plain_ones(self) -> None:
        class Array:
            def tolist(self) -> list[float]:
                return [1.5, float("inf")]

        notes: list[str] = []
        made = json.loads(encode(Returned({"a": Array(), "t": (1, 2)}), notes.append))
        assert made["results"] == {"a": [1.5, None], "t": [1, 2]}
        assert notes == ["The results hold NaN or infinity, stored as null, at $.a[1]."]

    def test_a_text_that_only_looks_like_nul_is_kept(self) -> None:
        made = json.loads(encode(Returned({"a": "\\u0000"}), print))
        assert made["results"] == {"a": "\\u0000"}

    def test_results_that_contain_themselves_are_refused(self) -> None:
        endless: dict[str, Any] = {}
        endless["again"] = endless
        with pytest.raises(TypeError, match="contain themselves"):
            encode(Returned(endless), print)

    def test_what_json_cannot_hold_is_refused_with_its_place(self) -> None:
        results = {"fine": [1, {"a": None}], "tables": [{}, {"rows": {1}}]}
        with pytest.raises(TypeError, match=r"set \{1\} at \$\.tables\[1\]\.rows\. Return a dict"):
            encode(Returned(results), print)

    def test_a_returned_value_that_json_cannot_hold_is_named_in_a_whole_sentence(self) -> None:
        with pytest.raises(TypeError, match=r"^The values that the function returned cannot be"):
            read({1}, print)


def test_falsy_parameters_are_left_out_of_a_click_call() -> None:
    @click.command()
    @click.argument("names", nargs=-1)
    @click.option("--level", "-l", default=3)
    @click.option("--dry/--wet")
    def command(**_: Any) -> None: ...

    given = {"names": ["a", "b"], "level": 0, "dry": False}
    assert click_arguments(command, given, print) == ["--", "a", "b"]
    assert click_arguments(command, {"level": 5, "dry": True}, print) == ["-l", "5", "--dry"]


def test_a_function_whose_signature_is_unknown_is_called_all_the_same() -> None:
    registry = Registry()
    job = BucketJob(pipeline="p", function="builtins.dict", parameters={"a": 1})
    assert find(registry, job)(job, msgspec.Raw(b"{}"), print) == {"a": 1}


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "argv"),
        [
            (["ls", "-l | wc"], ["ls", "-l | wc"]),
            (["ls"], ["ls"]),
            (["ls -l 'a b'"], ["ls", "-l", "a b"]),
            (["echo '| > $x' #no"], ["echo", "| > $x", "#no"]),
        ],
    )
    def test_words_are_words(self, command: list[str], argv: list[str]) -> None:
        assert arguments(command, shell=False) == argv

    @pytest.mark.parametrize(
        "text", ["a | b", "a>b", "a; b", "a && b", "echo $HOME", "echo `id`", "ls *.png"]
    )
    def test_what_needs_a_shell_is_refused_without_one(self, text: str) -> None:
        with pytest.raises(errors.ConfigurationError, match="needs a shell"):
            arguments([text], shell=False)
        assert arguments([text], shell=True) == ["/bin/sh", "-c", text]

    def test_a_list_is_never_given_to_a_shell(self) -> None:
        assert arguments(["echo", "$HOME"], shell=True) == ["echo", "$HOME"]

    def test_beginning_and_end_of_much_output_are_kept(self) -> None:
        captured = Captured(limit_bytes=20)
        for number in range(100):
            captured.feed(b"%09d\n" % number)
        first, gap, *last = captured.lines()
        assert first == "000000000"
        assert last[-1] == "000000099"
        kept = 10 + 10 * len(last)
        assert gap == f"… {1000 - kept} bytes are left out here …"

    def test_lines_that_were_cut_say_so(self) -> None:
        captured = Captured(limit_bytes=20)
        for piece in (b"abc\ndefghijkl", b"mnopqrstuvw", b"xyz0123456\n789"):
            captured.feed(piece)
        assert captured.lines() == [
            "abc",
            "defghi…",
            "… 14 bytes are left out here …",
            "…xyz0123456",
            "789",
        ]

    def test_no_half_character_stands_between_a_cut_and_its_mark(self) -> None:
        captured = Captured(limit_bytes=20)
        for piece in ("abc\nå dfég".encode(), b" and so on\xc3", b"\xa9 is the end"):
            captured.feed(piece)
        first, cut, gap, end = captured.lines()
        assert (first, cut, end) == ("abc", "å df…", "… is the end")
        assert gap == "… 15 bytes are left out here …"

    def test_little_output_is_kept_whole_in_any_pieces(self) -> None:
        captured = Captured(limit_bytes=20)
        for piece in (b"one\ntw", b"o\xc3", b"\xb6\nthree\n"):
            captured.feed(piece)
        assert captured.lines() == ["one", "twoö", "three"]


class TestPace:
    def test_nothing_is_claimed_ahead_before_a_few_were_seen(self) -> None:
        pace = Pace(slots=2)
        for _ in range(3):
            pace.note(0.001, 500)
        assert pace.ahead() == 0
        pace.note(0.001, 500)
        assert pace.ahead() == 200

    def test_a_long_work_ends_it(self) -> None:
        pace = Pace(slots=1)
        for _ in range(1_000):
            pace.note(0.000_01, 500)
        assert pace.ahead() == CLAIM_WORKS
        pace.note(1.0, 500)
        assert pace.ahead() == 0

    def test_large_works_are_claimed_ahead_by_their_size(self) -> None:
        pace = Pace(slots=1)
        for _ in range(10):
            pace.note(0.001, 4 << 20)
        assert pace.ahead() == 4


def test_options_of_one_kind_are_any_of_and_kinds_are_all_of() -> None:
    assert bucket_filter(["kko", "gbo"], None, [7], []) == {
        "site": {"$in": ["kko", "gbo"]},
        "event": {"$in": [7]},
    }
    assert bucket_filter(None, None, None, None) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [({"buckets": ["a b"]}, "--bucket: a bucket's name"), ({"lives": 0}, "lives is 0")],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {"modules": [], "buckets": ["a"], "url": "http://x", "key": "ls_secret"}
    with pytest.raises(errors.ConfigurationError, match=says):
        WorkerOptions(**(good | options))


Answer = Callable[[int, bytes], bytes | None]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve raw answers; `answer(number of the connection, request)`, None to hang up."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        number = connections[-1]
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                made = answer(number, head + await reader.readexactly(length))
                if made is None:
                    break
                writer.write(made)
                await writer.drain()
                if b"content-length" not in made and b"chunked" not in made:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://127.0.0.1:{port}/base/", connections


OK = b"HTTP/1.1 200 OK\r\n"


class TestHttp:
    async def test_a_connection_is_used_again(self) -> None:
        def answer(_: int, request: bytes) -> bytes:
            assert request.startswith(b"POST /base/x HTTP/1.1\r\n")
            body = request.partition(b"\r\n\r\n")[2]
            return OK + b"content-length: %d\r\nX-Request-Id: r\r\n\r\n" % len(body) + body

        async with answering(answer) as (url, connections):
            client = HttpClient(url, {}, None)
            for body in (b"one", b"", b"x" * 500_000):
                response = await client.post("x", body, timeout_s=10)
                assert (response.status, response.body, response.request_id) == (200, body, "r")
            await client.close()
        assert len(connections) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            OK + b"connection: close\r\n\r\nabcde",
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 5\r\n\r\nabcde",
        ],
    )
    async def test_bodies_end_in_every_way_that_http_knows(self, answer: bytes) -> None:
        async with answering(lambda *_: answer) as (url, _):
            client = HttpClient(url, {}, None)
            for _ in range(2):
                response = await client.post("x", b"", timeout_s=10)
                assert (response.status, response.body) == (200, b"abcde")
            await client.close()

    @pytest.mark.parametrize(
        "answer",
        [None, b"what is this\r\n\r\n", OK + b"connection: close\r\n\r\ncut sho"],
    )
    async def test_no_answer_or_half_of_one_is_an_error(self, answer: bytes | None) -> None:
        async with answering(lambda *_: answer) as (url, _):
            transport = Transport(url.removesuffix("/base/"), "ls_key")
            request = RenewRequest(worker_id="w", leases=[Held("a", 1)])
            with pytest.raises(errors.LongshoreError):
                await transport.post("worker/renew", request, RenewAnswer, timeout_s=10)
            await transport.close()

    async def test_an_answer_that_is_late_is_never_taken_for_the_next_one(self) -> None:
        release = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            name = head.split()[1].rpartition(b"/")[2]
            if name == b"slow":
                await release.wait()
            writer.write(OK + b"content-length: 4\r\n\r\n" + name[:4])
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client = HttpClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, None)
            with pytest.raises(TimeoutError):
                await client.post("slow", b"", timeout_s=0.05)
            release.set()
            assert (await client.post("fast", b"", timeout_s=10)).body == b"fast"
            await client.close()
