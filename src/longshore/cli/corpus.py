"""`longshore corpus`: make corpora, bring pages into them, and write them out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from longshore import __version__
from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, note, out, printable
from longshore.cli.exit_codes import ExitCode
from longshore.errors import LongshoreError, NotFound

if TYPE_CHECKING:
    from longshore.corpus.formats.exporting import ExportedPage
    from longshore.corpus.formats.importing import Report
    from longshore.corpus.formats.pages import Failure, Page
    from longshore.corpus.formats.reading import Reader
    from longshore.corpus.formats.writing import Form
    from longshore.sdk.corpora import Remote

app = typer.Typer(
    help="Make corpora, bring pages into them, and write them out again.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS: Final = (
    Column("name", "CORPUS"),
    Column("description", "DESCRIPTION"),
    Column("id", "ID"),
)
_TYPES: Final = (
    Column("slug", "TYPE"),
    Column("display_name", "NAME"),
    Column("folder", "FOLDER"),
    Column("elements", "ELEMENTS", "number"),
)
_WEB: Final = ("http://", "https://")
_TOLD_EVERY: Final = 100

CorpusArgument = Annotated[str, typer.Argument(metavar="CORPUS", help="Name or id of a corpus.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PageTypeOption = Annotated[
    str, typer.Option("--page-type", metavar="SLUG", help="Type of elements that pages have.")
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new corpus.")],
    description: Annotated[str, typer.Option("--description", help="What it holds.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Make an empty corpus."""
    with _open(server) as remote:
        made = remote.create_corpus(name, description)
    if as_json:
        emit_json(made)
    else:
        out(f"{printable(made['name'])}: made, {made['id']}")


@app.command("list")
def list_corpora(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the corpora."""
    with _open(server) as remote:
        found = remote.corpora()
    listing(
        found,
        _COLUMNS,
        as_json=as_json,
        empty="There are no corpora yet; `longshore corpus create NAME` makes one.",
    )


@app.command("show")
def show(corpus: CorpusArgument, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Show a corpus: its types, and how many elements there are of each."""
    with _open(server) as remote:
        found = remote.corpus(corpus)
        for each in found["types"]:
            each["elements"] = remote.count(found["id"], each["slug"])
    if as_json:
        emit_json(found)
        return
    out(f"{printable(found['name'])}  {found['id']}")
    if found.get("description"):
        out(printable(found["description"]))
    listing(found["types"], _TYPES, as_json=False, empty="It has no types of elements yet.")


@app.command("import")
def import_(
    corpus: CorpusArgument,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder, an image, a PDF file, ALTO or PAGE-XML, or an IIIF manifest (a file or "
            "an address).",
        ),
    ],
    make: Annotated[
        bool, typer.Option("--create", help="Make the corpus if there is none of that name.")
    ] = False,
    lines: Annotated[
        Path | None,
        typer.Option(
            "--lines",
            metavar="DIR",
            help="Folder with a CSV file of text lines for each image, by the image's name.",
        ),
    ] = None,
    dpi: Annotated[
        int, typer.Option("--dpi", min=36, max=1200, help="Pixels per inch of pages of PDF files.")
    ] = 200,
    folder_type: Annotated[
        str, typer.Option("--folder-type", metavar="SLUG", help="Type that folders get.")
    ] = "folder",
    page_type: PageTypeOption = "page",
    region_type: Annotated[
        str, typer.Option("--region-type", metavar="SLUG", help="Type that regions get.")
    ] = "text_region",
    line_type: Annotated[
        str, typer.Option("--line-type", metavar="SLUG", help="Type that lines get.")
    ] = "text_line",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Bring pages into a corpus; what is there already is not made twice."""
    from longshore.corpus.formats.importing import Importer, Types
    from longshore.corpus.formats.reading import Reader
    from longshore.sdk.web import fetch

    if lines is not None and not lines.is_dir():
        raise NotFound(f"There is no folder at {str(lines)!r}. Check --lines.")
    types = Types(folder_type, page_type, region_type, line_type)
    reader = Reader(fetch=fetch, lines=lines, dpi=dpi)
    with _open(server) as remote:
        found = _checked(path, reader)
        importer = Importer(remote, _corpus(remote, corpus, make=make), types)
        try:
            report = importer.run(found, _Progress().imported)
        except (LongshoreError, KeyboardInterrupt):
            note(f"{_pages(importer.report.pages)} imported so far; repeat the import to go on")
            raise
    _tell(report, as_json=as_json)


@app.command("export")
def export(
    corpus: CorpusArgument,
    form: Annotated[
        str,
        typer.Argument(metavar="FORM", help="One of page-xml, alto, jsonl, csv, coco."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A new folder for page-xml and alto; else a new file, for coco a ZIP archive.",
        ),
    ],
    images: Annotated[
        bool,
        typer.Option("--images/--no-images", help="With the images; page-xml, alto and coco only."),
    ] = True,
    worker_run: Annotated[
        str | None,
        typer.Option(
            "--worker-run",
            metavar="ID",
            help="Only texts of this worker run; False for those that people made.",
        ),
    ] = None,
    page_type: PageTypeOption = "page",
    server: ServerOption = None,
) -> None:
    """Write the pages of a corpus with their zones and texts to files."""
    from longshore.corpus.formats.exporting import Exporter
    from longshore.corpus.formats.writing import form_of

    chosen = form_of(form)
    with _open(server) as remote:
        exporter = Exporter(
            remote, remote.corpus(corpus), page_type=page_type, worker_run=worker_run
        )
        count = _write(exporter.pages(), chosen, output, remote, images=images)
    out(f"{_pages(count)} written to {printable(str(output))}")


def _write(
    pages: Iterator[ExportedPage], form: Form, output: Path, remote: Remote, *, images: bool
) -> int:
    from longshore.clock import SystemClock, iso
    from longshore.corpus.formats import writing

    download = remote.download if images else None
    told = _Progress().exported
    if form is writing.Form.jsonl:
        return writing.write_jsonl(pages, output, told=told)
    if form is writing.Form.csv:
        return writing.write_csv(pages, output, told=told)
    if form is writing.Form.coco:
        return writing.write_coco(pages, output, download=download, told=told)
    created = iso(SystemClock().now_us()) or ""
    return writing.write_xml(
        pages,
        output,
        form,
        download=download,
        creator=f"Longshore {__version__}",
        created=created,
        told=told,
    )


def _open(server: str | None) -> Remote:
    from longshore.sdk.corpora import Remote

    return Remote.open(server)


def _corpus(remote: Remote, named: str, *, make: bool) -> dict[str, Any]:
    try:
        return remote.corpus(named)
    except NotFound:
        if not make:
            raise
    made = remote.create_corpus(named)
    return remote.corpus(made["id"])


def _checked(path: str, reader: Reader) -> Iterator[Page | Failure]:
    """Return what is at a path, and raise for one that is nothing before anything is made."""
    if path.startswith(_WEB):
        found = reader.manifest(reader.fetch(path), path)
    else:
        found = reader.read(Path(path))
    first = next(found, None)
    if first is None:
        raise NotFound(
            f"There is nothing to import at {path!r}. Give a folder with images, PDF files, ALTO, "
            "PAGE-XML or IIIF manifests."
        )
    return _joined(first, found)


def _joined(first: Page | Failure, rest: Iterator[Page | Failure]) -> Iterator[Page | Failure]:
    yield first
    yield from rest


def _tell(report: Report, *, as_json: bool) -> None:
    failures = report.failures
    if as_json:
        emit_json(
            {
                "pages": report.pages,
                "pages_made": report.pages_made,
                "folders_made": report.folders_made,
                "lines": report.lines,
                "lines_made": report.lines_made,
                "lines_outside": report.lines_outside,
                "failures": [{"source": each.source, "why": each.why} for each in failures],
            }
        )
    else:
        here = report.pages - report.pages_made
        out(
            f"{_pages(report.pages_made)} and {report.lines_made} lines made; "
            f"{_pages(here)} and {report.lines - report.lines_made} lines were there already"
        )
        if report.lines_outside:
            out(f"{report.lines_outside} lines lie outside of their images and were left out")
    if failures:
        note(f"{len(failures)} could not be imported; repeat the import when they are put right")
        raise SystemExit(int(ExitCode.FAILED))


def _pages(count: int) -> str:
    return f"{count} page" if count == 1 else f"{count} pages"


class _Progress:
    """Tells of an import or an export as it goes on, on standard error."""

    def __init__(self) -> None:
        self._count = 0

    def imported(self, done: Page | Failure) -> None:
        """Tell of a page, and at once of one that failed."""
        why = getattr(done, "why", None)
        if why is not None:
            note(f"{printable(done.source)}: {printable(why)}")
        else:
            self._one("imported")

    def exported(self, _page: ExportedPage) -> None:
        """Tell of a page."""
        self._one("written")

    def _one(self, word: str) -> None:
        self._count += 1
        if self._count % _TOLD_EVERY == 0:
            note(f"{self._count} pages {word}")
