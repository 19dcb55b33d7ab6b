"""The demos: what they count, and what they do without what they need."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from longshore.cli.demo import chase, ledger, receipts_source
from longshore.cli.demo.ledger import Leftovers, Tally
from longshore.cli.exit_codes import ExitCode
from longshore.cli.main import main
from longshore.errors import ConfigurationError, InvalidRequest
from longshore.sdk.operations import Event, WorkInfo, WorkState


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
    assert [chase._threshold(300, killed, 3) for killed in range(3)] == [60, 120, 180]


def test_the_receipts_app_is_found() -> None:
    assert receipts_source.find_app().name == "receipts.py"


def test_a_folder_is_searched_for_images_and_pdfs(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.pdf", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in receipts_source.images_in(tmp_path)] == ["a.pdf", "b.JPG"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no image or PDF"):
        receipts_source.images_in(tmp_path)


def test_without_ocr_the_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(receipts_source, "_OCR_MODULES", ("no_such_ocr",))
    with pytest.raises(ConfigurationError):
        receipts_source.expect_ocr()
    monkeypatch.setattr("sys.argv", ["longshore", "demo", "receipts"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.USAGE
    printed = capsys.readouterr().err
    assert "pip install 'longshore[ocr]'" in printed
    assert "no_such_ocr" in printed
