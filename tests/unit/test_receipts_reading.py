"""The receipts app as a worker runs it: pictures in, fields out, recognition for real."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from longshore import Document, InputFile, Reject
from longshore.cli.demo.images import MadeReceipt, make_receipts
from longshore.worker.loading import load
from longshore.worker.registry import REGISTRY
from tests.unit.receipts_support import APP

Read = Callable[[Path], list[Document]]
COUNT = 6


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """The app's function, found as a worker finds it; the registry is as before afterwards."""
    apps, setups = dict(REGISTRY.apps), list(REGISTRY.setups)
    sys.modules.pop("receipts", None)
    app = load([str(APP / "receipts.py")]).apps["instabase", "meal receipt", "1.0.0"]
    for setup in REGISTRY.setups[len(setups) :]:
        setup()

    def call(path: Path) -> list[Document]:
        return list(app.function(InputFile(path.name, path, path.stat().st_size)))

    yield call
    del sys.modules["receipts"]
    REGISTRY.apps, REGISTRY.setups = apps, setups


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[MadeReceipt]:
    return make_receipts(tmp_path_factory.mktemp("receipts"), count=COUNT, seed=11)


def _values(document: Document) -> tuple[str | None, str | None, str | None]:
    fields = {field.name: field.value for field in document.fields}
    return _plain(fields["merchant"]), fields["date"], fields["total"]


def _truth(receipt: MadeReceipt) -> tuple[str | None, str, str]:
    return _plain(receipt.merchant), receipt.date, receipt.total


def _plain(name: str | None) -> str | None:
    return name and "".join(filter(str.isalnum, name)).casefold()


@pytest.mark.slow
@pytest.mark.parametrize("index", range(COUNT))
def test_a_drawn_receipt_is_read_right(index: int, read: Read, made: list[MadeReceipt]) -> None:
    [document] = read(made[index].path)
    assert _values(document) == _truth(made[index])
    assert document.class_name == "receipt"
    [page] = document.pages
    for field in document.fields:
        assert field.value
        if field.box is not None:
            left, top, right, bottom = field.box
            assert -1 <= left < right <= page.width + 1
            assert -1 <= top < bottom <= page.height + 1


@pytest.mark.slow
def test_a_pdf_of_two_receipts_gives_two_documents(
    read: Read, made: list[MadeReceipt], tmp_path: Path
) -> None:
    pictures = [Image.open(receipt.path) for receipt in (made[0], made[2])]
    pictures[0].save(
        tmp_path / "two.pdf", save_all=True, append_images=pictures[1:], resolution=200
    )
    documents = read(tmp_path / "two.pdf")
    assert [_values(document) for document in documents] == [_truth(made[0]), _truth(made[2])]
    assert [[page.number for page in document.pages] for document in documents] == [[0], [1]]
    assert {field.page for field in documents[1].fields if field.box} == {1}


@pytest.mark.slow
def test_a_page_that_stands_on_its_head_is_turned(
    read: Read, made: list[MadeReceipt], tmp_path: Path
) -> None:
    upright = Image.open(made[0].path)
    upright.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.png")
    [document] = read(tmp_path / "turned.png")
    assert _values(document) == _truth(made[0])
    [merchant] = [field for field in document.fields if field.name == "merchant"]
    assert merchant.box is not None
    assert merchant.box[1] > upright.height / 2


@pytest.mark.slow
def test_a_small_receipt_on_a_large_page_is_read_enlarged(
    read: Read, made: list[MadeReceipt], tmp_path: Path
) -> None:
    receipt = Image.open(made[2].path).convert("RGB").filter(ImageFilter.GaussianBlur(0.5))
    small = receipt.resize((receipt.width // 2, receipt.height // 2), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (small.width * 3, small.height * 2), "white")
    page.paste(small, (small.width // 3, small.height // 4))
    page.save(tmp_path / "small.png")
    [document] = read(tmp_path / "small.png")
    assert _values(document) == _truth(made[2])


def test_a_blank_page_has_no_fields_and_says_so(read: Read, tmp_path: Path) -> None:
    Image.new("RGB", (300, 400), "white").save(tmp_path / "blank.png")
    [document] = read(tmp_path / "blank.png")
    assert [field.value for field in document.fields] == [None, None, None]
    assert all("was found" in (field.error or "") for field in document.fields)
    assert document.class_confidence == 0.0


def test_what_is_no_picture_is_rejected_for_good(read: Read, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("milk, eggs, bread")
    with pytest.raises(Reject, match="looks like plain text"):
        read(tmp_path / "notes.jpg")
