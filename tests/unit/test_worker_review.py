"""What an app says of reviews on its way to the server."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import longshore
from longshore.errors import ConfigurationError
from longshore.wire.payloads import AppFile, AppPayload, AppResult
from longshore.worker.apps import run_app
from longshore.worker.channel import Run
from longshore.worker.registry import REGISTRY, App, Registry


def test_the_threshold_of_the_app_and_its_word_go_with_the_result(tmp_path: Path) -> None:
    def read(_file: longshore.InputFile) -> list[longshore.Document]:
        return [longshore.Document([], review="a new sender"), longshore.Document([])]

    registry = Registry()
    registry.add_app(App("Invoice", "acme", "1.0.0", read, review_below=0.8))
    file = AppFile(blob_id="bl", name="a.txt", size_bytes=0, sha256="")
    payload = AppPayload(
        run_id="rn", owner="acme", app="Invoice", version="1.0.0", position=0, file=file
    )
    run = Run(
        "wk", 1, "apps", msgspec.Raw(msgspec.json.encode(payload)), str(tmp_path), str(tmp_path)
    )
    encoded, _ = run_app(registry, run, lambda _text: None)
    result = msgspec.json.decode(encoded, type=AppResult)
    assert result.review_below == 0.8
    assert [document.review for document in result.documents] == ["a new sender", None]


@pytest.mark.parametrize("below", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_confidence(below: float) -> None:
    before = dict(REGISTRY.apps)
    with pytest.raises(ConfigurationError, match="review_below"):
        longshore.app("Invoice", review_below=below)(lambda _file: [])
    assert before == REGISTRY.apps
