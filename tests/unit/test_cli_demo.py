"""The demos: what they count, and what they do without what they need."""

from __future__ import annotations

import json
import runpy
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

import longshore
from longshore.cli.demo import chase, crash, ledger, names, paper, receipts_source
from longshore.cli.demo.code.receipts_reading import read
from longshore.cli.demo.crew import CODE
from longshore.cli.demo.filling.scripts import definitions
from longshore.cli.demo.ledger import Leftovers, Tally
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.errors import ConfigurationError, InvalidRequest
from longshore.sdk.operations import Event, WorkInfo, WorkState
from longshore.surfaces.scripts.definition.reading import examine
from longshore.worker.registry import REGISTRY


def _work(number: int, state: str = "success", *, final: bool = True) -> WorkInfo:
    return WorkInfo(
        id=f"wk_{number}",
        queue_id=1,
        state=WorkState(state),
        final=final,
        attempt=1,
        attempts_max=3,
    )


def _history(*reasons: str) -> list[Event]:
    return [
        Event.model_validate(
            {
                "seq": seq,
                "at": datetime(2026, 1, 1, tzinfo=UTC),
                "attempt": 1,
                "to": "running",
                "reason": reason,
            }
        )
        for seq, reason in enumerate(reasons)
    ]


ONCE = _history("submitted", "claimed", "done")
AGAIN = _history("submitted", "claimed", "lease_expired", "retried", "claimed", "done")


def test_a_work_that_was_claimed_twice_was_run_again_and_recorded_once() -> None:
    tally = ledger.tally(["a", "b"], [_work(1), _work(2)], [ONCE, AGAIN], ["a", "b"])
    assert tally == Tally(submitted=2, done=2, failed=0, lost=0, recorded_twice=0, run_again=1)
    assert tally.clean
    assert "lost 0 · recorded twice 0 · run again 1" in tally.sentence()


def test_a_second_recording_is_found() -> None:
    twice = _history("submitted", "claimed", "done", "done")
    tally = ledger.tally(["a"], [_work(1)], [twice], ["a"])
    assert tally.recorded_twice == 1
    assert not tally.clean


def test_a_file_that_the_results_name_twice_was_recorded_twice() -> None:
    tally = ledger.tally(["a", "b"], [_work(1), _work(2)], [ONCE, ONCE], ["a", "b", "b"])
    assert tally.recorded_twice == 1


def test_a_file_without_a_work_or_without_an_answer_is_lost() -> None:
    assert ledger.tally(["a", "b"], [_work(1)], [ONCE], ["a"]).lost == 1
    assert ledger.tally(["a", "b"], [_work(1), _work(2)], [ONCE, ONCE], ["a"]).lost == 1


def test_a_work_that_never_ended_is_lost() -> None:
    works = [_work(1), _work(2, "running", final=False)]
    tally = ledger.tally(["a", "b"], works, [ONCE, _history("submitted", "claimed")], ["a", "b"])
    assert (tally.done, tally.lost) == (1, 1)


def test_a_file_that_failed_is_neither_done_nor_lost() -> None:
    history = _history("submitted", "claimed", "rejected")
    tally = ledger.tally(["a"], [_work(1, "failure")], [history], ["a"])
    assert (tally.done, tally.failed, tally.lost) == (0, 1, 0)
    assert "failed 1" in tally.sentence()


def test_leftovers_are_nothing_only_when_all_are_gone() -> None:
    assert Leftovers(0, 0, 0, 0).nothing
    assert not Leftovers(0, 0, 0, 1).nothing


def test_the_kills_are_spread_over_the_run_and_leave_some_of_it() -> None:
    assert [chase._threshold(12, killed, 3) for killed in range(3)] == [2, 4, 7]
    assert [chase._threshold(2000, killed, 3) for killed in range(3)] == [400, 800, 1200]


def test_records_are_counted_by_their_results_and_their_events() -> None:
    ids = ["wk_1", "wk_2", "wk_3"]
    found = crash.tally(ids, {"wk_1", "wk_2"}, [ONCE, AGAIN, ONCE])
    assert found == crash.Count(submitted=3, done=2, lost=1, twice=0, again=1, example="wk_2")


def test_a_record_that_was_recorded_twice_is_found() -> None:
    twice = _history("submitted", "claimed", "done", "done")
    assert crash.tally(["wk_1"], {"wk_1"}, [twice]).twice == 1


def test_receipts_as_text_are_read_by_the_rules_of_the_example() -> None:
    receipts = paper.as_text(12)
    doubtful = []
    for receipt in receipts:
        found = {field.name: field for field in _read(receipt.name, receipt.content)}
        total = found["total"]
        if (
            total.value != receipt.total
            or min(found[name].confidence or 0.0 for name in ("merchant", "date", "total")) < 0.5
        ):
            doubtful.append(receipt.name)
    assert doubtful == ["receipt-09.txt", "receipt-11.txt"]


def test_a_receipt_that_is_a_picture_has_boxes_where_its_text_stands() -> None:
    (receipt,) = paper.as_pictures(1, smudged=0)
    total = next(field for field in _read(receipt.name, receipt.content) if field.name == "total")
    assert total.value == receipt.total
    assert total.box is not None
    left, top, right, bottom = total.box
    assert 0 <= left < right
    assert 0 <= top < bottom


def test_a_picture_without_text_is_refused() -> None:
    with pytest.raises(longshore.Reject, match="no layer of text"):
        _read("torn.png", b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(longshore.Reject, match="neither a text file"):
        _read("odd.bin", b"\xff\xfe\x00")


def test_the_receipts_app_is_found() -> None:
    assert receipts_source.find_app().name == "receipts.py"


def test_a_folder_is_searched_for_images_and_pdfs(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.pdf", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in receipts_source.images_in(tmp_path)] == ["a.pdf", "b.JPG"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no image or PDF"):
        receipts_source.images_in(tmp_path)


def test_without_ocr_a_folder_of_images_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(receipts_source, "_OCR_MODULES", ("no_such_ocr",))
    with pytest.raises(ConfigurationError):
        receipts_source.expect_ocr()
    monkeypatch.setattr("sys.argv", ["longshore", "demo", "receipts", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.USAGE
    printed = capsys.readouterr().err
    assert "pip install 'longshore[ocr]'" in printed
    assert "no_such_ocr" in printed


def test_the_names_of_the_demos_are_those_that_their_code_registers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in ("apps", "functions", "services", "workers"):
        monkeypatch.setattr(REGISTRY, kind, {})
    for name in ("living", "elements", "crash", "receipts", "receipts_before"):
        runpy.run_path(str(CODE / f"{name}.py"))
    served = {names.DEMO_BUCKET, names.DEMO_BUCKET_FAILING, names.DEMO_BUCKET_SLOW}
    assert set(REGISTRY.functions) == served | {names.DEMO_BUCKET_CRASH}
    assert {key[0] for key in REGISTRY.services} == {names.DEMO_SERVICE, names.DEMO_SERVICE_SLOW}
    assert {key[0] for key in REGISTRY.workers} == {names.DEMO_WORKER_SLUG}
    assert {app.version for app in REGISTRY.apps.values()} == {
        names.DEMO_APP_VERSION,
        names.DEMO_APP_BEFORE,
    }
    assert {(app.name, app.owner) for app in REGISTRY.apps.values()} == {
        (names.DEMO_APP, names.DEMO_OWNER)
    }


def test_the_workflows_of_the_demo_have_no_fault() -> None:
    made = definitions(60.0)
    assert [each["workflow"] for each in made] == list(names.DEMO_WORKFLOWS)
    assert [examine(json.dumps(each)).problems for each in made] == [[]] * len(made)


def _read(name: str, content: bytes) -> Sequence[longshore.Field]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        (document,) = read(longshore.InputFile(name, Path(file.name), len(content)))
    return document.fields
