"""How well the receipts app reads labelled receipts, and how fast.

    python benchmarks/receipts.py [--data DIR] [--threads N] [--limit N]

DIR has `images/NNN.jpg` and `labels/NNN.json` with what a person read: `company`, `date`, `total`.
A merchant counts as right when it equals the label, case, spacing and punctuation aside; a date
and a total when they have the label's value. A label that is missing or empty is not counted.

The floor is what forty lines of obvious rules reach on the very same recognised text: the first
line or the first with a company's suffix, the first thing that looks like a date, the largest
amount on a line that says total.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from unittest import mock

from longshore import Document, InputFile

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "examples" / "receipts"
DATA = ROOT.parent / "shared" / "data" / "receipts"
FIELDS = {"merchant": "company", "date": "date", "total": "total"}
AIMS = {"merchant": 0.85, "date": 0.95, "total": 0.90}


# The floor begins here.
def obvious_merchant(lines: Sequence[str]) -> str | None:
    named = [line for line in lines[:6] if sum(letter.isalpha() for letter in line) >= 5]
    kinds = r"sdn|bhd|ltd|inc|gmbh|enterprise|trading|restaurant|restoran|mart|shop|store"
    companies = [line for line in named if re.search(kinds, line, re.IGNORECASE)]
    for line in companies + named:
        return re.sub(r"\(?\w*\d{4,}.*", "", line)
    return None


def obvious_date(lines: Sequence[str]) -> str | None:
    patterns = (
        r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}",
        r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",
        r"\d{1,2}[-/ ]?[A-Za-z]{3}[-/ ]?\d{2,4}",
    )
    for line in lines:
        for pattern in patterns:
            match = re.search(pattern, line)
            if match:
                return match.group()
    return None


def amounts_in(line: str) -> list[Decimal]:
    return [Decimal(text.replace(",", ".")) for text in re.findall(r"\d+[.,]\d{2}(?!\d)", line)]


def obvious_total(lines: Sequence[str]) -> str | None:
    amounts: list[Decimal] = []
    for number, line in enumerate(lines):
        if not re.search(r"total|amount due|payable", line, re.IGNORECASE):
            continue
        if re.search(r"sub|qty|quantity|discount|excl", line, re.IGNORECASE):
            continue
        amounts += amounts_in(line) or amounts_in(" ".join(lines[number + 1 : number + 2]))
    if not amounts:
        amounts = [amount for line in lines for amount in amounts_in(line)]
    return str(max(amounts)) if amounts else None


OBVIOUS = {"merchant": obvious_merchant, "date": obvious_date, "total": obvious_total}
# The floor ends here.


@dataclass
class Score:
    """Right readings and misses of one field, for the app and for the floor."""

    counted: int = 0
    right: int = 0
    floor_right: int = 0
    misses: list[str] = field(default_factory=list)


@dataclass
class Effort:
    """Pages read and the seconds that passed, on the wall and on all processors."""

    pages: int = 0
    elapsed_s: float = 0.0
    processor_s: float = 0.0


def plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def number(text: str) -> Decimal | None:
    try:
        return Decimal(re.sub(r"[^\d.-]", "", text.replace(",", "")))
    except InvalidOperation:
        return None


def comparers(parse_date: Callable[[str], Any]) -> dict[str, Callable[[str], Any]]:
    """How the values of a field are made comparable."""
    return {"merchant": plain, "date": parse_date, "total": number}


def labelled(folder: Path, limit: int | None) -> list[tuple[Path, dict[str, str]]]:
    """Return the images that have a label, in order."""
    pairs = []
    for label in sorted((folder / "labels").glob("*.json")):
        image = folder / "images" / f"{label.stem}.jpg"
        if image.is_file():
            pairs.append((image, json.loads(label.read_text(encoding="utf-8"))))
    return pairs[:limit]


def measure(
    pairs: Sequence[tuple[Path, dict[str, str]]], threads: int
) -> tuple[dict[str, Score], Effort]:
    """Read all images; return the scores of each field and what the reading cost."""
    sys.path.insert(0, str(APP))
    receipts = importlib.import_module("receipts")
    recognition = importlib.import_module("receipt_reader.recognition")
    layout = importlib.import_module("receipt_reader.layout")
    dates = importlib.import_module("receipt_reader.dates")
    # The app takes the recognizer of its process: put one there that may use more threads, and
    # that keeps what it recognised, so that the floor works on the same text.
    recognizer = recognition.recognizer(threads)
    pieces: list[Any] = []

    class Listening:
        def read(self, image: Any, page: int = 0) -> Any:
            pieces.append(recognizer.read(image, page))
            return pieces[-1]

    compare = comparers(dates.parse)
    scores = {name: Score() for name in FIELDS}
    effort = Effort()
    for image, label in pairs:
        pieces.clear()
        file = InputFile(image.name, image, image.stat().st_size)
        with mock.patch.object(recognition, "recognizer", Listening):
            started, processor_started = time.perf_counter(), time.process_time()
            documents: list[Document] = receipts.meal_receipt(file)
            effort.elapsed_s += time.perf_counter() - started
            effort.processor_s += time.process_time() - processor_started
        effort.pages += sum(len(document.pages) for document in documents)
        lines = [row.text for page in pieces for row in layout.rows(page)]
        read = {found.name: found.value for found in documents[0].fields}
        for name, score in scores.items():
            expected = label.get(FIELDS[name], "")
            judge(score, image, expected, read[name], OBVIOUS[name](lines), compare[name])
    return scores, effort


def judge(
    score: Score,
    image: Path,
    expected: str,
    read: str | None,
    obvious: str | None,
    compare: Callable[[str], Any],
) -> None:
    wanted = compare(expected)
    if not expected.strip() or wanted is None:
        return
    score.counted += 1
    score.floor_right += obvious is not None and compare(obvious) == wanted
    if read is not None and compare(read) == wanted:
        score.right += 1
    else:
        score.misses.append(f"{image.name}: expected {expected!r}, read {read!r}")


def report(scores: dict[str, Score], effort: Effort, threads: int) -> None:
    print(f"{'field':10} {'right':>8} {'accuracy':>9} {'aim':>6} {'floor':>7} {'ratio':>7}")
    for name, score in scores.items():
        accuracy = score.right / score.counted
        floor = score.floor_right / score.counted
        ratio = f"{accuracy / floor:.2f}x" if floor else "-"
        print(
            f"{name:10} {score.right:>3} of {score.counted:<2} {accuracy:>8.1%} "
            f"{AIMS[name]:>6.0%} {floor:>7.1%} {ratio:>7}"
        )
    for name, score in scores.items():
        for miss in score.misses:
            print(f"  missed {name} of {miss}")
    print(
        f"{effort.pages} pages in {effort.elapsed_s:.1f} s: "
        f"{effort.pages / effort.elapsed_s:.2f} pages/s and "
        f"{effort.processor_s / effort.pages:.1f} processor seconds a page, "
        f"one process, {threads} thread{'s' if threads > 1 else ''}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with images/ and labels/")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="threads of the recognition"
    )
    parser.add_argument("--limit", type=int, help="read only the first so many")
    options = parser.parse_args()
    pairs = labelled(options.data, options.limit)
    if not pairs:
        print(
            f"No labelled receipts in {options.data}: images/NNN.jpg and labels/NNN.json are "
            "wanted. Say where they are with --data DIR.",
            file=sys.stderr,
        )
        return 2
    scores, effort = measure(pairs, options.threads)
    report(scores, effort, options.threads)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
