"""The tutorial of record pipelines, followed to the letter, with fewer records."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.docs.tutorial_reader import Reader

RECORDS = 20_000


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Harbour(tmp_path) as harbour:
        service = tmp_path / "loans.py"
        server = harbour.server(worker=True, slots=2, apps=[service])
        made = Reader("record-pipelines.md", server, tmp_path)
        made.write("loans.py", "500_000")
        server.start()
        yield made
        server.stop()


@pytest.mark.slow
def test_the_tutorial_of_record_pipelines_works(reader: Reader, tmp_path: Path) -> None:
    program = reader.write("applications.py", "random.seed(1)")
    text = program.read_text("utf-8")
    assert "200_000" in text
    fewer = text.replace("200_000", str(RECORDS)).replace("50_000", "5_000")
    program.write_text(fewer, "utf-8")
    reader.python("applications.py")
    eventually(lambda: "1.0.0" in served(reader), 20, "the service is offered")

    shown, mapped, head, _ = reader.type("Compute it")
    assert re.search(r"amount +number +yes", shown.stdout), shown.stderr
    assert mapped.returncode == 1, mapped.stderr
    assert re.search(r"20,000 records, 4 failed \(see refused.jsonl\)", mapped.stderr)
    assert head.stdout.splitlines()[0] == '{"payment":1353.61,"total":81216.86}'
    refused = (tmp_path / "refused.jsonl").read_text("utf-8").splitlines()
    assert refused[0].startswith('{"index":7,"input":{"amount":900000,"years":5}')
    assert len(refused) == 4

    killed = reader.start("map", "bank/loan", "applications.csv", "--output", "again.jsonl")
    journal = tmp_path / "again.jsonl.journal"
    eventually(lambda: journal.exists() or killed.poll() is not None, 20, "the map has begun")
    killed.send_signal(signal.SIGKILL)
    killed.wait(20)
    first, resumed, compared = reader.type("Kill it")
    # The first command of the section is the one that was killed: its output is there already.
    assert first.returncode == 6, first.stderr
    assert resumed.returncode == 1, resumed.stderr
    assert compared.returncode == 0, compared.stdout

    head_of_next = reader.block('version="1.1.0"')
    old = (tmp_path / "loans.py").read_text("utf-8")
    rest = old.partition('office")\n')[2]
    (tmp_path / "loans_next.py").write_text(f"import longshore\n\n\n{head_of_next}{rest}", "utf-8")
    with reader.start("worker", "loans_next.py") as worker:
        try:
            eventually(
                lambda: "1.1.0" in served(reader),
                20,
                "the new version is offered",
            )
            _, new, before = reader.type("A new version beside the old one")
            assert "20,000 records, 0 failed" in new.stderr
            assert "20,000 records, 4 failed" in before.stderr
            reader.write("answers.py", "2_000_000")
            printed = re.search(r"^```text\n(.*?)^```", reader.text, re.M | re.S)
            assert printed is not None
            assert reader.python("answers.py") == printed[1]
        finally:
            worker.terminate()


def served(reader: Reader) -> str:
    """Return what the server says of services."""
    return httpx.get(
        f"{reader.server.url}/longshore/v1/services",
        headers={"Authorization": f"Bearer {reader.server.key}"},
        trust_env=False,
    ).text
