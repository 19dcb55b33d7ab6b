"""A worker of an archive: reads the text lines of pages, and says what kind of page each one is.

    longshore corpus import Receipts scans/ --create       # pages with their text lines
    longshore worker examples/archive/line_reader.py --slots 2
    longshore process create Receipts --worker line-reader --type page

It can be killed at any moment. A page that was not finished comes back, and the lines that were
written before are not written again.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import longshore
from longshore.corpus import Element, ElementsWorker

if TYPE_CHECKING:
    from PIL import Image
    from rapidocr import RapidOCR

LINES_PER_CALL = 500
KINDS = (("tax invoice", ("TAX INVOICE",)), ("invoice", ("INVOICE",)), ("cash bill", ("CASH",)))
OTHER = "receipt"


@longshore.elements_worker(
    "line-reader",
    version="1",
    name="Line reader",
    description="Reads text lines with rapidocr and classifies their page.",
    configuration={
        "user_configuration": {
            "line_type": {"title": "Type of the lines", "type": "string", "default": "text_line"},
            "margin": {"title": "Pixels around a line", "type": "int", "default": 2},
        }
    },
)
class LineReader(ElementsWorker):
    """Reads the lines of a page; one element is one page."""

    def setup(self) -> None:
        """Load the recogniser, once in each process."""
        import cv2  # noqa: PLC0415 - only the processes that read need it
        import rapidocr  # noqa: PLC0415 - as above

        # The processes together use all cores.
        cv2.setNumThreads(1)
        models = Path(rapidocr.__file__).parent / "models"
        self.engine: RapidOCR = rapidocr.RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
                "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            }
        )

    def process_element(self, element: Any) -> None:
        """Read what has not been read yet of a page, then classify it by all that stands on it."""
        lines: Any = self.list_element_children(element, type=self.config["line_type"])
        earlier: Any = self.list_transcriptions(
            element, recursive=True, worker_run=str(self.worker_run_id)
        )
        known = {found["element"]["id"]: found for found in earlier}
        page = element.open_image()
        left, top = corner(element.polygon)
        made = []
        for line in map(Element, lines):
            if line.id in known:
                continue
            text, confidence = self.read(page, moved(line.polygon, -left, -top))
            if text:
                made.append({"element_id": line.id, "text": text, "confidence": confidence})
        self.create_transcriptions(made, batch_size=LINES_PER_CALL)
        self.classify(element, [*made, *known.values()])

    def read(self, page: Image.Image, polygon: list[list[float]]) -> tuple[str, float]:
        """Return the text of a line and how sure it is, from 0 to 1."""
        import numpy as np  # noqa: PLC0415 - comes with rapidocr

        margin = int(self.config["margin"])
        columns, rows = zip(*polygon, strict=True)
        box = (
            max(int(min(columns)) - margin, 0),
            max(int(min(rows)) - margin, 0),
            min(int(max(columns)) + margin, page.width),
            min(int(max(rows)) + margin, page.height),
        )
        pixels = np.ascontiguousarray(np.asarray(page.crop(box).convert("RGB"))[:, :, ::-1])
        found: Any = self.engine(pixels, use_det=False, use_cls=False, use_rec=True)
        if not found.txts:
            return "", 0.0
        return found.txts[0].strip(), min(max(float(found.scores[0]), 0.0), 1.0)

    def classify(self, page: Any, lines: list[dict[str, Any]]) -> None:
        """Say what kind of page it is, as surely as the lines were read."""
        if not lines:
            return
        text = "\n".join(line["text"].upper() for line in lines)
        kind = next((name for name, words in KINDS if any(word in text for word in words)), OTHER)
        confidence = statistics.fmean(line["confidence"] for line in lines)
        self.create_classification(page, kind, confidence)


def corner(polygon: list[list[float]]) -> tuple[float, float]:
    """Return the top left corner of what a polygon covers."""
    columns, rows = zip(*polygon, strict=True)
    return min(columns), min(rows)


def moved(polygon: list[list[float]], right: float, down: float) -> list[list[float]]:
    """Return a polygon moved by so many pixels."""
    return [[column + right, row + down] for column, row in polygon]


if __name__ == "__main__":
    LineReader(description="Read the text lines of pages").run()
