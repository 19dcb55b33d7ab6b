"""`longshore corpus` against a real server, on both databases."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.sdk import corpora
from longshore.sdk.corpora import Remote
from longshore.storage import Database
from longshore.surfaces.corpus.tables import (
    corpus_elements,
    corpus_images,
    corpus_paths,
    corpus_transcriptions,
)
from tests.surfaces.sdk_server import Served, running
from tests.unit.serving import listening
from tests.unit.test_corpus_formats import PAGE_2013

Command = Callable[..., tuple[int, str, str]]
RECEIPTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "receipts"
TABLES = (corpus_images, corpus_elements, corpus_paths, corpus_transcriptions)


@pytest.fixture
def served(database: Database, tmp_path: Path) -> Iterator[Served]:
    with running(database, tmp_path / "data") as found:
        yield found


@pytest.fixture
def longshore(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Command:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LONGSHORE_URL", served.url)
    monkeypatch.setenv("LONGSHORE_KEY", served.first.token)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["longshore", "corpus", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def scan(path: str, text: str = "", size: tuple[int, int] = (200, 100)) -> Path:
    """Draw an image that no other has."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((5, 5), text or path, fill="black")
    image.save(target)
    return target


def rows(served: Served) -> list[int]:
    """Count images, elements, paths and transcriptions."""

    def count(connection: Any) -> list[int]:
        return [len(connection.execute(table.select()).all()) for table in TABLES]

    return served.database.read_blocking(count)


def counts(longshore: Command, *arguments: str, code: int = 0) -> dict[str, Any]:
    ended, out, error = longshore("import", *arguments, "--json")
    assert ended == code, error
    found: dict[str, Any] = json.loads(out)
    return found


def tree(served: Served, name: str) -> dict[str, Any]:
    """Return the elements of a corpus by the names of folders, pages and lines."""
    with Remote.open() as server:
        corpus = server.corpus(name)

        def below(element: dict[str, Any]) -> dict[str, Any]:
            return {each["name"]: below(each) for each in server.children(element["id"])}

        kinds = [each["slug"] for each in corpus["types"]]
        tops = [each for kind in kinds for each in server.top(corpus["id"], kind)]
        return {each["name"]: below(each) for each in tops}


def test_a_corpus_is_made_listed_and_shown(longshore: Command) -> None:
    assert longshore("list")[2] == (
        "There are no corpora yet; `longshore corpus create NAME` makes one.\n"
    )

    code, out, _ = longshore("create", "letters", "--description", "of the 1840s")

    assert (code, out.partition(":")[0]) == (ExitCode.OK, "letters")
    assert longshore("create", "letters")[0] == ExitCode.USAGE
    (listed,) = json.loads(longshore("list", "--json")[1])
    assert (listed["name"], listed["description"]) == ("letters", "of the 1840s")
    assert "of the 1840s" in longshore("show", "letters")[1]
    assert json.loads(longshore("show", listed["id"], "--json")[1])["id"] == listed["id"]
    code, _, error = longshore("show", "nothing")
    assert code == ExitCode.NOT_FOUND
    assert "`longshore corpus list`" in error


def test_folders_of_images_become_folders_of_pages(longshore: Command, served: Served) -> None:
    for path in ("scans/a.png", "scans/1840/b.png", "scans/1840/may/c.png"):
        scan(path)

    code, out, _ = longshore("import", "letters", "scans", "--create")

    assert code == ExitCode.OK
    assert out == "3 pages and 0 lines made; 0 pages and 0 lines were there already\n"
    assert tree(served, "letters") == {"a": {}, "1840": {"b": {}, "may": {"c": {}}}}
    shown = json.loads(longshore("show", "letters", "--json")[1])
    assert {each["slug"]: each["elements"] for each in shown["types"]} == {"folder": 2, "page": 3}


def test_a_page_lies_on_all_of_its_image(longshore: Command, served: Served) -> None:
    path = scan("one.png")
    counts(longshore, "letters", str(path), "--create")

    with Remote.open() as server:
        (page,) = server.elements(server.corpus("letters")["id"], "page")
        assert page["zone"]["polygon"] == [[0, 0], [200, 0], [200, 100], [0, 100], [0, 0]]
        assert server.download(f"{page['zone']['image']['url']}/full/full/0/default.png")


@pytest.mark.slow
def test_an_import_that_is_repeated_makes_nothing_twice(
    longshore: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "BULK", 2)
    for name in ("one", "two", "three"):
        scan(f"scans/book/{name}.png")
    Path("scans/book/one.xml").write_text(PAGE_2013, encoding="utf-8")
    Path("scans/book/two.csv").write_text(
        "".join(f"0,{y},90,{y},90,{y + 9},0,{y + 9},line {y}\n" for y in range(0, 90, 10)),
        encoding="utf-8",
    )

    first = counts(longshore, "letters", "scans", "--create")
    before = rows(served)
    again = counts(longshore, "letters", "scans")

    assert (first["pages_made"], first["folders_made"], first["lines_made"]) == (3, 1, 13)
    assert (again["pages"], again["lines"]) == (3, 13)
    assert (again["pages_made"], again["folders_made"], again["lines_made"]) == (0, 0, 0)
    assert rows(served) == before
    scan("scans/book/four.png")
    assert counts(longshore, "letters", "scans")["pages_made"] == 1


def test_an_import_that_broke_off_goes_on_where_it_was(
    longshore: Command, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "BULK", 4)
    scan("scans/one.png")
    Path("scans/one.csv").write_text(
        "".join(f"0,{y},90,{y},90,{y + 9},0,{y + 9},line\n" for y in range(0, 90, 10)),
        encoding="utf-8",
    )
    real, sent = Remote._post, []

    def breaking(self: Remote, path: str, body: Any) -> Any:
        sent.append(path)
        if len([each for each in sent if "transcriptions/bulk" in each]) == 2:
            raise KeyboardInterrupt
        return real(self, path, body)

    with monkeypatch.context() as patched:
        patched.setattr(Remote, "_post", breaking)
        code, _, error = longshore("import", "letters", "scans", "--create")
    assert code == ExitCode.INTERRUPTED
    assert error.startswith("0 pages imported so far; repeat the import to go on")
    assert rows(served)[3] == 4

    report = counts(longshore, "letters", "scans")

    assert (report["pages_made"], report["lines"], report["lines_made"]) == (0, 9, 5)
    assert rows(served) == [1, 10, 9, 9]


@pytest.mark.slow
@pytest.mark.skipif(
    not RECEIPTS.is_dir(), reason="the labelled receipts are not beside the project"
)
def test_receipts_are_imported_with_all_their_lines(longshore: Command, served: Served) -> None:
    lines = sum(
        len(path.read_text("utf-8", errors="replace").split("\n")) - 1
        for path in (RECEIPTS / "lines").glob("*.csv")
    )
    given = (str(RECEIPTS / "images"), "--lines", str(RECEIPTS / "lines"))

    report = counts(longshore, "receipts", *given, "--create")
    again = counts(longshore, "receipts", *given)

    assert (report["pages_made"], report["failures"]) == (40, [])
    assert report["lines_made"] == lines > 1_000
    assert (again["pages_made"], again["lines_made"], again["lines"]) == (0, 0, lines)
    assert rows(served)[3] == lines


def test_the_same_image_in_two_folders_is_stored_once(longshore: Command, served: Served) -> None:
    scan("scans/a/one.png", "same")
    scan("scans/b/one.png", "same")

    report = counts(longshore, "letters", "scans", "--create")

    assert report["pages_made"] == 2
    assert rows(served)[:2] == [1, 4]


def test_one_bad_file_names_itself_and_the_others_go_on(longshore: Command, served: Served) -> None:
    scan("scans/a.png")
    Path("scans/b.png").write_bytes(Path("scans/a.png").read_bytes()[:-60])
    Path("scans/c.xml").write_text("<PcGts/>", encoding="utf-8")
    Image.new("L", (9_000, 9_000)).save("scans/d.png")
    scan("scans/e.png")

    code, out, error = longshore("import", "letters", "scans", "--create")

    assert code == ExitCode.FAILED
    assert out.startswith("2 pages ")
    told = error.splitlines()
    assert told[0].startswith("scans/b.png: The image is damaged")
    assert told[1].startswith("scans/c.xml: ")
    assert told[2].startswith("scans/d.png: The image gets ")
    assert told[3] == "3 could not be imported; repeat the import when they are put right"
    assert set(tree(served, "letters")) == {"a", "e"}


def test_lines_outside_of_their_image_are_left_out_and_told(longshore: Command) -> None:
    scan("one.png")
    Path("one.csv").write_text(
        "-5,-5,90,-5,90,20,-5,20,cut\n300,0,400,0,400,9,300,9,away\n", encoding="utf-8"
    )

    _, out, _ = longshore("import", "letters", "one.png", "--create")

    assert "1 lines lie outside of their images" in out
    with Remote.open() as server:
        (line,) = server.elements(server.corpus("letters")["id"], "text_line")
    assert line["zone"]["polygon"] == [[0, 0], [90, 0], [90, 20], [0, 20], [0, 0]]


def test_zones_are_scaled_to_the_image_that_is_there(longshore: Command) -> None:
    scan("one.png", size=(400, 200))
    Path("one.xml").write_text(PAGE_2013, encoding="utf-8")

    counts(longshore, "letters", "one.xml", "--create")

    with Remote.open() as server:
        lines = list(server.elements(server.corpus("letters")["id"], "text_line"))
    assert lines[0]["zone"]["polygon"] == [[2, 2], [160, 2], [160, 20], [2, 20], [2, 2]]


def test_other_types_can_be_named(longshore: Command, served: Served) -> None:
    scan("scans/box/one.png")
    Path("scans/box/one.xml").write_text(PAGE_2013, encoding="utf-8")
    named = ("--folder-type", "box", "--page-type", "sheet", "--region-type", "block")

    counts(longshore, "letters", "scans", "--create", *named, "--line-type", "row")

    shown = json.loads(longshore("show", "letters", "--json")[1])
    found = {each["slug"]: (each["elements"], each["folder"]) for each in shown["types"]}
    assert found == {"box": (1, True), "sheet": (1, False), "block": (2, False), "row": (3, False)}


class Web:
    """A site with files, by their paths."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        content = self.files.get(scope["path"].strip("/"))
        status = 404 if content is None else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content or b""})


def test_a_manifest_on_the_web_is_imported(longshore: Command, served: Served) -> None:
    site = Web(scan=scan("one.png").read_bytes())
    with listening(site) as port:  # type: ignore[arg-type]
        address = f"http://127.0.0.1:{port}"
        inside = {"@id": f"{address}/iiif/a"}
        painted: list[dict[str, Any]] = [
            {"@id": f"{address}/scan"},
            {"@id": f"{address}/gone"},
            {"@id": "x", "service": inside},
        ]
        manifest = {
            "@type": "sc:Manifest",
            "label": "A book",
            "sequences": [
                {"canvases": [{"label": "f", "images": [{"resource": each}]} for each in painted]}
            ],
        }
        site.files["manifest"] = json.dumps(manifest).encode()

        code, out, error = longshore("import", "letters", f"{address}/manifest", "--create")

    assert code == ExitCode.FAILED
    assert out.startswith("1 page ")
    first, second, _ = error.splitlines()
    assert "canvas 2: " in first
    assert "answered 404" in first
    # The server calls no address of its own machine for anybody.
    assert "canvas 3: " in second
    assert "loopback" in second
    assert tree(served, "letters") == {"A book": {"0001 f": {}}}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("letters", "scans"), ExitCode.NOT_FOUND),
        (("letters", "nothing", "--create"), ExitCode.NOT_FOUND),
        (("letters", "empty", "--create"), ExitCode.NOT_FOUND),
        (("letters", "notes.txt", "--create"), ExitCode.USAGE),
        (("letters", "scans", "--create", "--lines", "nothing"), ExitCode.NOT_FOUND),
        (("letters", "http://127.0.0.1:9/manifest.json", "--create"), ExitCode.USAGE),
    ],
)
def test_what_cannot_be_imported_makes_nothing(
    longshore: Command, served: Served, arguments: tuple[str, ...], code: ExitCode
) -> None:
    scan("scans/a.png")
    Path("empty").mkdir()
    Path("notes.txt").write_text("x", encoding="utf-8")

    assert longshore("import", *arguments)[0] == code
    assert rows(served) == [0, 0, 0, 0]
    assert json.loads(longshore("list", "--json")[1]) == []


@pytest.fixture
def filled(longshore: Command) -> Command:
    """A corpus with a page in a folder that has regions, lines and texts, and a page without."""
    scan("scans/a book/one.png")
    Path("scans/a book/one.xml").write_text(PAGE_2013, encoding="utf-8")
    scan("scans/two.png")
    counts(longshore, "letters", "scans", "--create")
    return longshore


@pytest.mark.slow
@pytest.mark.parametrize("form", ["page-xml", "alto"])
def test_what_is_exported_as_xml_is_imported_again(filled: Command, form: str) -> None:
    code, out, _ = filled("export", "letters", form, "-o", "out")

    assert (code, out) == (ExitCode.OK, "2 pages written to out\n")
    assert {str(path.relative_to("out")) for path in Path("out").rglob("*.*")} == {
        "a book/one.png",
        "a book/one.xml",
        "two.png",
        "two.xml",
    }
    report = counts(filled, "copy", "out", "--create")
    assert (report["pages_made"], report["folders_made"]) == (2, 1)
    with Remote.open() as server:
        sets = []
        for name in ("letters", "copy"):
            corpus_id = server.corpus(name)["id"]
            texts = set()
            for page in server.elements(corpus_id, "page"):
                texts |= {
                    (page["name"], each["text"]) for each in server.transcriptions(page["id"])
                }
            lines = [
                tuple(map(tuple, each["zone"]["polygon"]))
                for each in server.elements(corpus_id, "text_line")
            ]
            sets.append((texts, set(lines)))
    assert sets[0][0] == sets[1][0] == {
        ("one", "Dear & kind"), ("one", "sir madam"), ("one", "alone"),
    }  # fmt: skip
    assert sets[0][1] <= sets[1][1]


def test_an_export_as_csv_has_a_row_for_each_text(filled: Command) -> None:
    assert filled("export", "letters", "csv", "-o", "out.csv")[0] == ExitCode.OK

    found = list(csv.DictReader(io.StringIO(Path("out.csv").read_text("utf-8"))))

    assert [(row["folders"], row["page"], row["type"], row["text"]) for row in found] == [
        ("", "two", "page", ""),
        ("a book", "one", "page", ""),
        ("a book", "one", "text_region", "alone"),
        ("a book", "one", "text_region", ""),
        ("a book", "one", "text_line", "Dear & kind"),
        ("a book", "one", "text_line", "sir madam"),
        ("a book", "one", "text_line", ""),
    ]
    assert found[4]["confidence"] == "0.9"
    assert found[4]["polygon"] == "1,1 80,1 80,10 1,10 1,1"


def test_an_export_as_jsonl_has_all_that_is_known(filled: Command) -> None:
    assert filled("export", "letters", "jsonl", "-o", "out.jsonl")[0] == ExitCode.OK

    found = [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]

    by_id = {row["id"]: row for row in found}
    line = next(row for row in found if row["type"] == "text_line")
    assert line["transcriptions"] == [
        {
            "text": "Dear & kind",
            "confidence": 0.9,
            "orientation": "horizontal-lr",
            "worker_run_id": None,
        }
    ]
    region = by_id[line["parent_id"]]
    assert (region["type"], by_id[region["parent_id"]]["id"]) == ("text_region", line["page_id"])
    assert (line["folders"], line["classes"], line["metadata"]) == (["a book"], [], [])


def test_an_export_as_coco_is_an_archive_with_images(filled: Command) -> None:
    assert filled("export", "letters", "coco", "-o", "out.zip")[0] == ExitCode.OK

    with zipfile.ZipFile("out.zip") as archive:
        described = json.loads(archive.read("annotations.json"))
        opened = Image.open(io.BytesIO(archive.read("images/a book-one.png")))
        assert archive.testzip() is None
    assert opened.size == (200, 100)
    assert {each["file_name"] for each in described["images"]} == {"two.png", "a book-one.png"}
    names = {each["id"]: each["name"] for each in described["categories"]}
    image = next(each for each in described["images"] if each["file_name"] == "a book-one.png")
    texts = {each["text"]: each for each in described["annotations"]}
    line = texts["Dear & kind"]
    assert names[line["category_id"]] == "text_line"
    assert line["image_id"] == image["id"]
    assert (line["bbox"], line["area"]) == ([1, 1, 79, 9], 79 * 9)
    assert line["segmentation"] == [[1, 1, 80, 1, 80, 10, 1, 10]]
    assert len(described["annotations"]) == 5


def test_an_export_takes_texts_of_one_origin_only(filled: Command) -> None:
    filled("export", "letters", "csv", "-o", "hand.csv", "--worker-run", "False")
    assert "Dear" in Path("hand.csv").read_text("utf-8")
    nobody = "00000000-0000-7000-8000-000000000000"
    filled("export", "letters", "csv", "-o", "run.csv", "--worker-run", nobody)
    assert "Dear" not in Path("run.csv").read_text("utf-8")


def test_nothing_is_written_over(filled: Command) -> None:
    Path("out").mkdir()
    Path("out/mine").write_text("x", encoding="utf-8")
    for form in ("page-xml", "csv", "coco"):
        code, _, error = filled("export", "letters", form, "-o", "out")
        assert code == ExitCode.USAGE
        assert "there already" in error
    assert filled("export", "letters", "docx", "-o", "x")[0] == ExitCode.USAGE
    assert filled("export", "nothing", "csv", "-o", "x")[0] == ExitCode.NOT_FOUND
    assert not Path("x").exists()
