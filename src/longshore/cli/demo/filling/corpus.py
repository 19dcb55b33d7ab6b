"""A corpus of drawn letters with lines and transcriptions, and processes over them."""

from __future__ import annotations

import importlib.util
import random
from typing import TYPE_CHECKING, Any, Final

from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import (
    DEMO_CORPUS,
    DEMO_CORPUS_SAYS,
    DEMO_LINE_TYPE,
    DEMO_PAGE_TYPE,
    DEMO_PROCESS,
    DEMO_PROCESS_DONE,
    DEMO_WORKER_SLUG,
)

if TYPE_CHECKING:
    from PIL import Image

PAGES: Final = 6
LINES: Final = 8
_SIZE: Final = (620, 520)
_STEP: Final = 52
_WORDS: Final = (
    "the ship lies at the quay and the crates are counted twice before noon we wait for the tide "
    "and a letter from the harbour master who says that the crane will be mended by friday"
)


def available() -> bool:
    """Return whether pages can be drawn and worked on here: the extra [corpus] is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("PIL", "zstandard"))


def own(reach: Reach) -> Any:
    """Return the corpus that the demo has made, or None."""
    return next(
        (
            each
            for each in reach.corpus.corpora()
            if (each["name"], each["description"]) == (DEMO_CORPUS, DEMO_CORPUS_SAYS)
        ),
        None,
    )


def fill(reach: Reach, made: Made, *, long_s: float) -> None:
    """Make the corpus with its pages and zones."""
    remote = reach.corpus
    corpus = own(reach)
    if corpus is not None:
        made.corpus = corpus["id"]
        return
    made.corpus = remote.create_corpus(DEMO_CORPUS, DEMO_CORPUS_SAYS)["id"]
    corpus = remote.corpus(made.corpus)
    for slug, folder in (("folder", True), (DEMO_PAGE_TYPE, False), (DEMO_LINE_TYPE, False)):
        remote.ensure_type(corpus, slug, folder=folder)
    box = remote.create(type="folder", name="Box 1", corpus=made.corpus)
    for number in range(PAGES):
        _page(reach, made.corpus, box, number)


def _page(reach: Reach, corpus_id: str, folder_id: str, number: int) -> None:
    remote = reach.corpus
    lines = _texts(number)
    image = remote.upload(f"letter-{number + 1}.png", _png(_draw(lines)))
    page = remote.create(
        type=DEMO_PAGE_TYPE,
        name=f"Letter {number + 1}",
        image=image["id"],
        corpus=corpus_id,
        polygon=_rectangle(0, 0, *_SIZE),
        parent=folder_id,
    )
    texts = [
        {
            "polygon": _zone(place),
            "text": text,
            "confidence": round(0.6 + 0.04 * ((place + number) % 10), 2),
            "orientation": "horizontal-lr",
        }
        for place, text in enumerate(lines)
        if text
    ]
    remote.create_texts(page, DEMO_LINE_TYPE, texts)
    blank = [
        {"name": f"line {place + 1} (blank)", "type": DEMO_LINE_TYPE, "polygon": _zone(place)}
        for place, text in enumerate(lines)
        if not text
    ]
    if blank:
        remote.create_children(page, blank)


def start(reach: Reach, made: Made, *, long_s: float) -> None:
    """Start a process over the pages and a slow one over the lines; the worker must be offered."""
    assert made.corpus is not None, "filled before"
    for key, name, kind, pause_s in (
        ("done", DEMO_PROCESS_DONE, DEMO_PAGE_TYPE, 0.0),
        ("slow", DEMO_PROCESS, DEMO_LINE_TYPE, long_s / (PAGES * LINES)),
    ):
        body = {
            "corpus": made.corpus,
            "name": name,
            "mode": "workers",
            "element_type": kind,
            "chunks": 1,
            "workers": [
                {
                    "worker": DEMO_WORKER_SLUG,
                    "version": None,
                    "parents": [],
                    "configuration": {"pause_s": round(pause_s, 3)},
                }
            ],
        }
        process = reach.corpus.create_process(body)
        reach.corpus.change(process["id"], "start")
        made.processes[key] = process["id"]


def wait_until_offered(reach: Reach, *, timeout_s: float) -> None:
    """Wait until the worker's version is known."""

    def look() -> bool:
        found = reach.call("GET", "/api/v1/workers/")
        rows: list[dict[str, Any]] = found["results"] if isinstance(found, dict) else found
        return any(each["slug"] == DEMO_WORKER_SLUG for each in rows)

    reach.until(look, f"a worker offers {DEMO_WORKER_SLUG}", timeout_s=timeout_s)


def _texts(number: int) -> list[str]:
    """Return the lines of a letter; one of each second letter is blank."""
    source = random.Random(number)  # noqa: S311 - varied, not secret
    lines = [" ".join(source.choices(_WORDS.split(), k=6)).capitalize() for _ in range(LINES)]
    if number % 2:
        lines[number % LINES] = ""
    return lines


def _draw(lines: list[str]) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", _SIZE, "#f5efe0")
    draw = ImageDraw.Draw(page)
    for place, text in enumerate(lines):
        top = 60 + place * _STEP
        draw.text((50, top), text, fill="#2b2340", font=ImageFont.load_default(22))
        draw.line((44, top + 34, _SIZE[0] - 44, top + 34), fill="#d8cdb4")
    return page


def _png(page: Image.Image) -> bytes:
    from io import BytesIO

    file = BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _zone(place: int) -> list[list[int]]:
    top = 54 + place * _STEP
    return _rectangle(40, top, _SIZE[0] - 40, top + 38)


def _rectangle(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
