"""Text recognition by rapidocr, built once per process, with its models from its own wheel."""

from __future__ import annotations

import statistics
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from receipt_reader.layout import Piece, Point, around, plain

if TYPE_CHECKING:
    from rapidocr import RapidOCR

# Below these the page is probably lying on its side or standing on its head.
_CONFIDENCE_UPRIGHT = 0.88
_TALL_SHARE = 0.5

# A receipt that covers a small part of a large scan is read again, cut out and enlarged.
_SMALL_SHARE = 0.45
_MARGIN_SHARE = 0.04
_LETTER_HEIGHT = 40.0


class Recognizer:
    """Reads the pieces of text on an image; calls from several threads wait for each other."""

    def __init__(self, threads: int = 1) -> None:
        """Load the models.

        Args:
            threads: how many threads one recognition may use. One is right for a worker, whose
                processes together already use all cores; two threads in each of two processes
                on two cores are slower than one.
        """
        import cv2  # noqa: PLC0415 - a worker registers the app before it needs the models
        import rapidocr  # noqa: PLC0415 - as above

        cv2.setNumThreads(threads)
        models = Path(rapidocr.__file__).parent / "models"
        # Named files are opened as they are; without a name rapidocr would look for a newer
        # model on the network when the one in the wheel is missing.
        self._engine: RapidOCR = rapidocr.RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
                "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            }
        )
        self._lock = threading.Lock()

    def read(self, image: Image.Image, page: int = 0) -> list[Piece]:
        """Return the pieces of text on an RGB image, in pixels of that image.

        A page that lies on its side or upside down is turned first, and a small receipt on a
        large page is read again enlarged; the corners are those of the image as given.
        """
        with self._lock:
            pieces = self._read_turned(image)
            closer = self._read_closer(image, pieces)
        return [replace(piece, page=page) for piece in closer or pieces]

    def _read_turned(self, image: Image.Image) -> list[Piece]:
        pieces = self._pieces(image)
        if not pieces or _looks_upright(pieces):
            return pieces
        tall = _tall_share(pieces) > _TALL_SHARE
        readings = [pieces]
        for turn in (
            (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
            if tall
            else (Image.Transpose.ROTATE_180,)
        ):
            turned = self._pieces(image.transpose(turn))
            readings.append([_turn_back(piece, turn, image.size) for piece in turned])
        return max(readings, key=_evidence)

    def _read_closer(self, image: Image.Image, pieces: list[Piece]) -> list[Piece]:
        if not pieces:
            return []
        left, top, right, bottom = around(pieces)
        margin = _MARGIN_SHARE * max(image.size)
        window = (
            max(int(left - margin), 0),
            max(int(top - margin), 0),
            min(int(right + margin), image.width),
            min(int(bottom + margin), image.height),
        )
        width, height = window[2] - window[0], window[3] - window[1]
        letter = statistics.median(piece.height for piece in pieces)
        scale = min(_LETTER_HEIGHT / letter, 2.5)
        small = width * height < _SMALL_SHARE * image.width * image.height
        if not small or scale < 1.3 or not _looks_upright(pieces):
            return []
        part = image.crop(window).resize(
            (round(width * scale), round(height * scale)), Image.Resampling.BICUBIC
        )
        closer = [_moved(piece, 1 / scale, window[0], window[1]) for piece in self._pieces(part)]
        return closer if _evidence(closer) > _evidence(pieces) else []

    def _pieces(self, image: Image.Image) -> list[Piece]:
        import numpy as np  # noqa: PLC0415 - comes with rapidocr and is as slow to load

        pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
        result = self._engine(pixels)
        # One of several result classes comes back; that of a blank page has no text at all.
        boxes = getattr(result, "boxes", None)
        texts = getattr(result, "txts", None)
        scores = getattr(result, "scores", None)
        if boxes is None or texts is None or scores is None:
            return []
        return [
            Piece(plain(text), float(score), _corners(box.tolist()))
            for box, text, score in zip(boxes, texts, scores, strict=True)
            if plain(text)
        ]


_building = threading.Lock()
_recognizers: dict[int, Recognizer] = {}


def recognizer(threads: int = 1) -> Recognizer:
    """Return this process's recognizer, building it at the first call (about half a second)."""
    with _building:
        if threads not in _recognizers:
            _recognizers[threads] = Recognizer(threads)
        return _recognizers[threads]


def _corners(box: list[list[float]]) -> tuple[Point, Point, Point, Point]:
    first, second, third, fourth = ((float(x), float(y)) for x, y in box)
    return first, second, third, fourth


def _looks_upright(pieces: list[Piece]) -> bool:
    confident = statistics.fmean(piece.confidence for piece in pieces) >= _CONFIDENCE_UPRIGHT
    return confident and _tall_share(pieces) <= _TALL_SHARE


def _tall_share(pieces: list[Piece]) -> float:
    long = [piece for piece in pieces if len(piece.text) > 3]
    tall = [piece for piece in long if piece.height > 1.5 * piece.width]
    return len(tall) / len(long) if long else 0.0


def _evidence(pieces: list[Piece]) -> float:
    """How much was read and how surely; pieces that stand upright in a row of text count."""
    return sum(
        (piece.confidence - 0.5) * len(piece.text)
        for piece in pieces
        if piece.width >= piece.height or len(piece.text) <= 3
    )


def _turn_back(piece: Piece, turn: Image.Transpose, size: tuple[int, int]) -> Piece:
    width, height = size
    points = []
    for x, y in piece.corners:
        if turn is Image.Transpose.ROTATE_180:
            points.append((width - x, height - y))
        elif turn is Image.Transpose.ROTATE_90:
            points.append((width - y, x))
        else:
            points.append((y, height - x))
    first, second, third, fourth = points
    return replace(piece, corners=(first, second, third, fourth))


def _moved(piece: Piece, scale: float, left: float, top: float) -> Piece:
    first, second, third, fourth = ((x * scale + left, y * scale + top) for x, y in piece.corners)
    return replace(piece, corners=(first, second, third, fourth))
