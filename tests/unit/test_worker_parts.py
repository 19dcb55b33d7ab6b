"""Parts of the worker that need no process: loading, lines, texts, options, errors over HTTP."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from longshore import errors
from longshore.limits import LOG_LINE_CHARACTERS, LOG_LINES_PER_ATTEMPT
from longshore.wire.worker import AppOffer, Held, RenewRequest
from longshore.worker import memory
from longshore.worker.channel import Decoder, FromChild, Loaded, Note, encode
from longshore.worker.loading import load
from longshore.worker.options import WorkerOptions
from longshore.worker.output import AttemptOutput, LineSplitter
from longshore.worker.registry import REGISTRY, App
from longshore.worker.texts import attempt_error, clean_tail
from longshore.worker.transport import BlockingTransport, Transport, may_try_again


@pytest.fixture
def registry() -> Iterator[None]:
    """Undo what a test loads."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    REGISTRY.apps.clear()
    REGISTRY.setups.clear()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


CODE = "import longshore\n@longshore.app('{name}')\ndef read(file): return []\n"


@pytest.mark.usefixtures("registry")
class TestLoading:
    def test_a_file_is_imported_and_sees_its_neighbours(self, tmp_path: Path) -> None:
        (tmp_path / "neighbour_of_app.py").write_text("NAME = 'From Next Door'")
        code = CODE.replace("'{name}'", "neighbour_of_app.NAME")
        (tmp_path / "my-app.py").write_text(f"import neighbour_of_app\n{code}")
        [app] = load([str(tmp_path / "my-app.py")]).apps.values()
        assert app.name == "From Next Door"

    def test_a_package_is_imported_by_its_directory(self, tmp_path: Path) -> None:
        package = tmp_path / "package_of_user"
        package.mkdir()
        (package / "part.py").write_text(CODE.format(name="Part"))
        (package / "__init__.py").write_text("from package_of_user import part")
        assert [app.name for app in load([str(package)]).apps.values()] == ["Part"]

    def test_a_dotted_name_is_found_in_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "dotted_of_user.py").write_text(CODE.format(name="Dotted"))
        [app] = load(["dotted_of_user"]).apps.values()
        assert isinstance(app, App)
        assert app.name == "Dotted"

    @pytest.mark.parametrize(
        ("module", "says"),
        [
            ("no_such_module_here", "There is no module no_such_module_here"),
            ("no_such.module_here", "There is no module no_such"),
            ("no/such/file.py", "There is no file"),
        ],
    )
    def test_what_is_not_there_is_named(self, module: str, says: str) -> None:
        with pytest.raises(errors.ConfigurationError, match=says):
            load([module])

    def test_a_name_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "json.py").write_text(CODE.format(name="Json"))
        with pytest.raises(errors.ConfigurationError, match="another module of that name"):
            load([str(tmp_path / "json.py")])

    def test_the_cause_of_a_failing_import_is_attached(self, tmp_path: Path) -> None:
        (tmp_path / "failing_of_user.py").write_text("raise RuntimeError('no model here')")
        with pytest.raises(errors.ConfigurationError, match="no model here") as caught:
            load([str(tmp_path / "failing_of_user.py")])
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert "failing_of_user" not in sys.modules

    def test_two_files_that_register_the_same_version_are_refused(self, tmp_path: Path) -> None:
        for name in ("first_of_two.py", "second_of_two.py"):
            (tmp_path / name).write_text(CODE.format(name="Same"))
        with pytest.raises(errors.ConfigurationError, match="is registered twice"):
            load([str(tmp_path / "first_of_two.py"), str(tmp_path / "second_of_two.py")])


class TestLines:
    def test_lines_are_put_together_from_any_pieces(self) -> None:
        splitter = LineSplitter()
        assert splitter.feed(b"on") == []
        assert splitter.feed("e\ntwö\n\nth".encode()) == ["one", "twö", ""]
        assert splitter.finish() == "th"
        assert splitter.finish() is None

    def test_a_character_cut_in_two_is_kept_whole(self) -> None:
        splitter = LineSplitter()
        first, second = "ö".encode()[:1], "ö".encode()[1:]
        assert splitter.feed(first) + splitter.feed(second + b"\n") == ["ö"]

    def test_a_progress_bar_is_one_line(self) -> None:
        splitter = LineSplitter()
        assert splitter.feed(b"1%\r2%\r") == []
        assert splitter.feed(b"3%\r") == []
        assert splitter.feed(b"100%\r\n") == ["100%"]

    def test_a_line_without_end_is_cut_and_takes_little_memory(self) -> None:
        splitter = LineSplitter()
        for _ in range(100):
            splitter.feed(b"x" * 100_000)
        [line] = splitter.feed(b"\n")
        assert len(line) == LOG_LINE_CHARACTERS
        assert line.endswith("…")

    def test_the_tail_holds_lines_beyond_the_limit(self) -> None:
        kept: list[str] = []
        output = AttemptOutput(lambda _, text: kept.append(text))
        output.feed("stdout", b"a\n" * LOG_LINES_PER_ATTEMPT + b"last")
        output.finish()
        assert len(kept) == LOG_LINES_PER_ATTEMPT + 1
        assert kept[-1] == "1 more line was not kept."
        assert output.tail().endswith("a\nlast")

    def test_of_a_flood_beyond_the_limit_the_tail_and_the_number_of_lines_are_right(self) -> None:
        kept: list[str] = []
        output = AttemptOutput(lambda _, text: kept.append(text))
        lines = [b"%d\n" % number for number in range(5 * LOG_LINES_PER_ATTEMPT)]
        for start in range(0, len(lines), 1_000):
            output.feed("stdout", b"".join(lines[start : start + 1_000]))
        output.finish()
        assert kept[:2] == ["0", "1"]
        assert len(kept) == LOG_LINES_PER_ATTEMPT + 1
        assert kept[-1] == f"{4 * LOG_LINES_PER_ATTEMPT} more lines were not kept."
        assert output.tail().split() == [line.decode().strip() for line in lines[-30:]]


class Indescribable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_exception_that_cannot_be_shown_is_reported_all_the_same() -> None:
    error = attempt_error(Indescribable())
    assert error.type == "Indescribable"
    assert "cannot be shown: ValueError" in error.message


def test_long_texts_keep_their_end_and_stay_encodable() -> None:
    text = clean_tail("a" * 100 + "\udcff\0end", 10)
    assert len(text) == 10
    assert text.startswith("…")
    assert text.endswith("?\ufffdend")
    assert msgspec.json.encode(text)


def test_frames_may_arrive_in_any_pieces() -> None:
    messages = [Note("one"), Loaded([AppOffer(name="a", owner="b", version="1")]), Note("x" * 9999)]
    stream = b"".join(encode(message) for message in messages)
    for step in (1, 3, 1000, len(stream)):
        decoder: Decoder[FromChild] = Decoder(FromChild)
        found: list[FromChild] = []
        for start in range(0, len(stream), step):
            found += decoder.feed(stream[start : start + step])
        assert found == messages


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"modules": []}, "something to serve"),
        ({"url": "localhost:8400"}, "must start with http"),
        ({"slots": 0}, "slots is 0"),
        ({"executor": "fibre"}, "executor is 'fibre'"),
        ({"executor": "dask"}, "needs --address"),
        ({"name": ""}, "name must have"),
        ({"drain_s": -1}, "must not be negative"),
        ({"memory_limit_bytes": -1}, "must not be negative"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], says: str) -> None:
    good: dict[str, object] = {"modules": ["a"], "url": "http://x", "key": "ls_secret"}
    with pytest.raises(errors.ConfigurationError, match=says):
        WorkerOptions(**(good | options))  # type: ignore[arg-type]


def test_options_do_not_show_the_key() -> None:
    assert "ls_secret" not in repr(WorkerOptions(modules=["a"], url="http://x", key="ls_secret"))


def test_the_memory_of_the_machine_is_shared_by_the_slots() -> None:
    assert memory.default_limit_bytes(1) > 4 * memory.default_limit_bytes(5) > 0
    assert memory.readable(3 << 29) == "1.5 GiB"
    assert memory.describe(0, 1 << 20) == "peak resident memory 1 MiB, no memory limit set"


class Refusing(BaseHTTPRequestHandler):
    """Answers with the status and body that the path names."""

    answers: ClassVar = {
        "lost": (409, b'{"code": "lease_lost", "detail": "gone", "request_id": "rq_7"}'),
        "full": (507, b'{"code": "disk_full", "detail": "no space"}'),
        "proxy": (404, b"<html>nothing here</html>"),
        "large": (413, b"<html>too large</html>"),
        "odd": (200, b"[1]"),
    }

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, body = self.answers[self.path.rpartition("/")[2]]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


REQUEST = RenewRequest(worker_id="wr_1", leases=[Held("wk_1", 1)])


@pytest.mark.parametrize(
    ("path", "kind", "again"),
    [
        ("lost", errors.LeaseLost, False),
        ("full", errors.DiskFull, True),
        ("proxy", errors.Unavailable, True),
        ("large", errors.TooLarge, False),
        ("odd", errors.ServerFault, True),
    ],
)
async def test_answers_become_the_errors_that_they_name(
    refusing: str, path: str, kind: type[errors.LongshoreError], again: bool
) -> None:
    transport = Transport(refusing, "ls_secret")
    with pytest.raises(errors.LongshoreError) as caught:
        await transport.post(path, REQUEST, RenewRequest, timeout_s=5)
    await transport.close()
    assert type(caught.value) is kind
    assert may_try_again(caught.value) is again
    assert "ls_secret" not in str(caught.value)
    with pytest.raises(kind):
        BlockingTransport(refusing, "ls_secret").post(path, REQUEST, RenewRequest, timeout_s=5)


async def test_an_error_carries_the_request_id(refusing: str) -> None:
    transport = Transport(refusing, "ls_secret")
    with pytest.raises(errors.LeaseLost, match=r"gone \(request rq_7\)"):
        await transport.post("lost", REQUEST, RenewRequest, timeout_s=5)
    await transport.close()


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    transport = Transport("http://127.0.0.1:9", "ls_secret")
    with pytest.raises(errors.ServerUnreachable, match="Is the server running there"):
        await transport.post("claim", REQUEST, RenewRequest, timeout_s=5)
    await transport.close()
