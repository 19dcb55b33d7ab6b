"""The tutorial of corpora, followed to the letter."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import eventually
from tests.docs.tutorial_reader import Reader

SHOWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Harbour(tmp_path) as harbour:
        server = harbour.server(worker=True, slots=2, apps=[tmp_path / "finder.py"])
        made = Reader("corpora.md", server, tmp_path)
        made.write("finder.py", "the page is blank")
        server.start()
        yield made
        server.stop()


@pytest.mark.slow
def test_the_tutorial_of_corpora_works(reader: Reader, tmp_path: Path) -> None:
    reader.write("draw.py", "LETTERS = {")
    reader.python("draw.py")
    made, repeated = reader.type("Bring the pages in")
    assert "4 pages and 0 lines made" in made.stdout + made.stderr
    assert "0 pages and 0 lines made; 4 pages" in repeated.stdout + repeated.stderr
    eventually(lambda: workers(reader) == ["1"], 20, "the worker is offered")

    def with_process(line: str) -> str:
        """Put the process that was made in the place of the one on the page."""
        if " activities " not in line:
            return line
        (listed,) = json.loads(reader.longshore("process", "list", "--json"))
        return SHOWN.sub(listed["id"], line)

    ran, shown, failed = reader.type("Run it over each page", with_process)
    assert ran.returncode == 0, ran.stderr
    assert "4 elements: 3 processed, 1 error" in ran.stdout
    assert re.search(r"text_line +text_line +no +9", shown.stdout)
    assert re.search(r"letter-3 +error +\d +ValueError: the page is blank", failed.stdout)
    page = SHOWN.findall(failed.stdout)[0]

    (again,) = reader.type("Run it again")
    assert again.returncode == 1
    assert "4 elements: 3 processed, 1 error" in again.stdout

    text = (tmp_path / "finder.py").read_text("utf-8")
    assert 'version="1", name="Line finder"' in text
    assert 'version="2", name="Line finder"' in reader.block('version="2"')
    text = text.replace('version="1"', 'version="2"')
    mended = textwrap.indent(reader.block("create_classification"), " " * 8)
    failing = '        if not found:\n            raise ValueError("the page is blank")\n'
    assert failing in text
    (tmp_path / "finder_next.py").write_text(text.replace(failing, mended), "utf-8")
    with reader.start("worker", "finder_next.py") as worker:
        try:
            eventually(lambda: "2" in workers(reader), 20, "the new version is offered")
            (alone,) = reader.type("Mend it", lambda line: SHOWN.sub(page, line))
            assert alone.returncode == 0, alone.stderr
            assert "Line finder @ 2" in alone.stdout
            assert "1 elements: 1 processed" in alone.stdout
        finally:
            worker.terminate()

    (written,) = reader.type("Write it out")
    assert "4 pages written to pages" in written.stdout + written.stderr
    letter = (tmp_path / "pages/letter-4.xml").read_text("utf-8")
    assert letter.count("<TextLine ") == 4


def workers(reader: Reader) -> list[str]:
    """Return the versions of the tutorial's worker that the server knows."""
    headers = {"Authorization": f"Bearer {reader.server.key}"}
    with httpx.Client(base_url=reader.server.url, headers=headers, trust_env=False) as client:
        found = client.get("/api/v1/workers/").raise_for_status().json()["results"]
        if not found:
            return []
        answer = client.get(f"/api/v1/workers/{found[0]['id']}/versions/").raise_for_status()
    return [str(each["version"]) for each in answer.json()["results"]]
