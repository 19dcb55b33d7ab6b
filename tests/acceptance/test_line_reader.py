"""The worker of examples/archive, as its docstring says to use it: it reads the receipts' lines."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from benchmarks.receipts import DATA
from tests.acceptance.conftest import Harbour
from tests.acceptance.corpora import API, Archivist, Tool

EXAMPLE = Path(__file__).parents[2] / "examples/archive/line_reader.py"
RECEIPTS = ("004", "005", "006")
READ_S = 90.0


@pytest.mark.skipif(not DATA.is_dir(), reason="there are no labelled receipts on this machine")
@pytest.mark.timeout(180)
def test_the_line_reader_reads_the_lines_of_pages_and_classifies_them(harbour: Harbour) -> None:
    scans = harbour.directory / "scans"
    scans.mkdir()
    for name in RECEIPTS:
        (scans / f"{name}.jpg").symlink_to(DATA / "images" / f"{name}.jpg")
    server = harbour.server()
    server.start()
    tool = Tool(harbour.directory, harbour.mark, server)
    harbour.commands.append(tool)
    tool.run("corpus", "import", "Receipts", str(scans), "--create", "--lines", str(DATA / "lines"))
    user = Archivist(server)
    harbour.clients.append(user)
    harbour.worker(server, apps=EXAMPLE, slots=2).start()
    user.wait_for("line-reader")

    tool.run("process", "create", "Receipts", "--worker", "line-reader", "--type", "page",
             "--chunks", "2", "--follow", within_s=READ_S)  # fmt: skip
    corpus_id = user.get(f"{API}/corpus/")[0]["id"]
    process = user.process(user.get(f"{API}/process/")["results"][0]["id"])
    assert process["state"] == "completed", process["tasks"]
    run_id = process["workers"][0]["id"]

    pages = list(user.rows(f"{API}/corpus/{corpus_id}/elements/", type="page", with_classes=True))
    assert [page["name"] for page in pages] == list(RECEIPTS)
    assert [each["ml_class"]["name"] for page in pages for each in page["classes"]] == [
        "invoice",
        "cash bill",
        "cash bill",
    ]
    for page in pages:
        _check_page(user, page["id"], run_id)


def _check_page(user: Archivist, page_id: str, run_id: str) -> None:
    path = f"{API}/element/{page_id}/transcriptions/"
    labels = _by_element(user.rows(path, recursive=True, worker_run="False"))
    read = _by_element(user.rows(path, recursive=True, worker_run=run_id))
    assert set(read) == set(labels)
    right = [
        _plain(text) == _plain(found["text"])
        for element_id, found in read.items()
        for text in [labels[element_id]["text"]]
    ]
    assert fmean(right) > 0.7
    assert all(0.3 < found["confidence"] <= 1 for found in read.values())


def _by_element(rows: Any) -> dict[str, dict[str, Any]]:
    found = list(rows)
    made = {row["element"]["id"]: row for row in found}
    assert len(made) == len(found), "a line has two texts"
    return made


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
