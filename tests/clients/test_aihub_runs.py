from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aihub.exceptions import BadRequestException, ConflictException, NotFoundException

from tests.acceptance.harness import eventually
from tests.clients.conftest import FINISH_S, Hub

RECEIPT = "merchant name: Café Zoë\ntotal: 12.50"


@contextmanager
def held(hub: Hub) -> Iterator[None]:
    """Let no file be begun meanwhile, so that a run stays RUNNING."""
    queues = hub.ask("GET", "/longshore/v1/queues").json()["queues"]
    [queue_id] = [queue["id"] for queue in queues if queue["surface"] == "apps"]
    hub.ask("POST", f"/longshore/v1/queues/{queue_id}/hold", json={"why": "a test"})
    yield
    hub.ask("POST", f"/longshore/v1/queues/{queue_id}/release")


def run_ids(hub: Hub, **filters: object) -> list[str]:
    return [run.id for run in hub.client.apps.runs.list(**filters).runs]


def test_a_run_completes_and_its_results_have_every_file(hub: Hub) -> None:
    batch_id = hub.batch(good=RECEIPT)
    hub.client.batches.add_file(batch_id, "bad.txt", b"\xff\xfe is no text")

    run = hub.client.apps.runs.create(app_name="Meal Receipt", owner="INSTABASE", batch_id=batch_id)
    ended = hub.finish(run.id)
    results = hub.client.apps.runs.results(run.id)

    assert run.status == "RUNNING"
    assert run.finish_timestamp is None
    assert ended.status == "COMPLETE"
    assert ended.finish_timestamp > ended.start_timestamp > 1_600_000_000 * 10**9
    assert ended.msg == "1 of 2 files done, 1 failed"
    assert results.status == "COMPLETE"
    assert results.message == ended.msg
    assert results.batch_id == str(batch_id)
    assert results.has_more is False
    bad, good = results.files
    assert (bad.original_file_name, good.original_file_name) == ("bad.txt", "good.txt")
    # The published client drops what its model of a file does not know, so the error is a field.
    [error] = bad.documents[0].fields
    assert (error.field_name, error.value, error.type) == ("error", "ERROR", "ERROR")
    assert "UnicodeDecodeError" in error.error_msg
    [document] = good.documents
    assert [(field.field_name, field.value) for field in document.fields] == [
        ("merchant_name", "Café Zoë"),
        ("total", "12.50"),
    ]
    assert document.class_name == "receipt"
    assert document.page_numbers == [1]
    assert document.page_layouts is None
    assert document.fields[0].confidence is None
    assert hub.client.files.read(good.input_file_path) == RECEIPT.encode()


def test_each_flag_brings_its_details(hub: Hub) -> None:
    settings = {"keys": {"custom": {"extra": 7}}}
    run_id = hub.start(hub.batch(a=RECEIPT), settings=settings)
    hub.finish(run_id)

    results = hub.client.apps.runs.results(
        run_id,
        file_offset=0,
        include_confidence_scores=True,
        include_source_info=True,
        include_review_results=True,
        include_validation_results=True,
    )

    [document] = results.files[0].documents
    first, *_, last = document.fields
    assert results.keys.custom == {"extra": 7}
    assert results.case_info.fields == []
    assert results.review_completed is False
    assert document.review_completed is False
    assert document.class_edit_history == []
    assert document.validations.final_result_pass is False
    assert (document.page_layouts[0].page_number, document.page_layouts[0].width) == (0, 100)
    assert first.confidence.model == 0.5
    assert (first.source_coordinates[0].page_number, first.source_coordinates[0].bottom_x) == (
        0,
        10,
    )
    assert first.edit_history == []
    assert first.validations.valid is True
    assert last.validations.alerts[0].msg == "given as a key"


def test_a_run_whose_files_all_fail_has_failed_and_has_results(hub: Hub) -> None:
    batch_id = hub.batch()
    hub.client.batches.add_file(batch_id, "bad", b"\xff\xfe")
    run_id = hub.start(batch_id)

    ended = hub.finish(run_id)

    assert ended.status == "FAILED"
    assert "UnicodeDecodeError" in ended.msg
    assert len(hub.client.apps.runs.results(run_id).files) == 1


def test_a_held_run_is_running_and_can_be_cancelled_but_not_read_or_deleted(hub: Hub) -> None:
    batch_id = hub.batch(a=RECEIPT)
    with held(hub):
        run_id = hub.start(batch_id)
        status = hub.client.apps.runs.status(run_id)
        assert status.status == "RUNNING"
        assert "held" in status.msg
        with pytest.raises(ConflictException, match="not finished"):
            hub.client.apps.runs.results(run_id)
        with pytest.raises(ConflictException, match="not finished"):
            hub.client.apps.runs.delete(run_id)
        with pytest.raises(ConflictException, match=run_id):
            hub.client.batches.delete(batch_id)
        assert run_id in run_ids(hub, status=["RUNNING", "FAILED"])
        hub.ask("POST", f"/api/v2/apps/runs/{run_id}/cancel")
        ended = hub.finish(run_id)

    assert ended.status == "CANCELLED"
    assert len(hub.client.apps.runs.results(run_id).files) == 1


def test_a_run_reads_a_folder_writes_another_and_takes_a_version(hub: Hub) -> None:
    hub.client.files.write(hub.folder("in/one.txt"), RECEIPT.encode())

    run = hub.client.apps.runs.create(
        app_name="Meal Receipt",
        input_dir=hub.folder("in"),
        output_dir=hub.folder("out"),
        version="1.2.0",
    )
    hub.finish(run.id)

    assert hub.client.apps.runs.results(run.id).files[0].original_file_name == "one.txt"
    written = hub.client.files.read(hub.folder(f"out/{run.id}/results.json"))
    assert b"Caf" in written


def test_runs_are_listed_by_filters(hub: Hub) -> None:
    batch_id = hub.batch(a=RECEIPT)
    first = hub.start(batch_id, output_workspace="Listing")
    second = hub.start(batch_id, output_workspace="Listing")
    hub.finish(first)
    run = hub.finish(second)
    seconds = run.start_timestamp // 10**9
    listing = {"output_workspaces": ["Listing", "nowhere"]}

    assert run_ids(hub, **listing) == [second, first]
    assert run_ids(hub, **listing, order="ASCENDING", sort_by="start_timestamp") == [first, second]
    assert run_ids(hub, **listing, limit=1, offset=1) == [first]
    assert run_ids(hub, run_id=first) == [first]
    assert run_ids(hub, **listing, status=["FAILED"]) == []
    assert run_ids(hub, **listing, app_name="Meal Receipt", username="nobody") == []
    assert run_ids(hub, **listing, from_timestamp=seconds + 9, to_timestamp=seconds + 10) == []
    with pytest.raises(BadRequestException, match="sort_by"):
        hub.client.apps.runs.list(sort_by="colour")


def test_a_run_that_cannot_start_says_why(hub: Hub) -> None:
    batch_id = hub.batch(a=RECEIPT)
    create = hub.client.apps.runs.create

    with pytest.raises(NotFoundException, match="Did you mean 'Meal Receipt'"):
        create("Meal Reciept", batch_id=batch_id)
    with pytest.raises(NotFoundException, match=r"There are: 1\.2\.0"):
        create("Meal Receipt", batch_id=batch_id, version="3")
    with pytest.raises(NotFoundException, match="no batch"):
        create("Meal Receipt", batch_id=987654321)
    with pytest.raises(BadRequestException, match="has no files"):
        create("Meal Receipt", batch_id=hub.batch())
    with pytest.raises(BadRequestException, match="no such secret"):
        create("Meal Receipt", batch_id=batch_id, settings={"keys": {"secret": {"a": "b"}}})
    with pytest.raises(NotFoundException, match="no run"):
        hub.client.apps.runs.status("rn_none")
    with pytest.raises(NotFoundException, match="no job"):
        hub.client.jobs.status("wk_none")


def test_a_run_is_deleted_in_its_parts_and_again(hub: Hub) -> None:
    batch_id = hub.batch(a=RECEIPT)
    run_id = hub.start(batch_id, output_workspace="Deleting")
    hub.finish(run_id)

    kept = hub.client.apps.runs.delete(
        run_id, delete_db_data=False, delete_input=False, delete_output=False, delete_logs=True
    )
    everything = hub.client.apps.runs.delete(run_id)
    gone = run_ids(hub, output_workspaces=["Deleting"])
    again = hub.client.apps.runs.delete(run_id)

    assert (kept.delete_input_dir_job_id, kept.delete_output_dir_job_id) == (None, None)
    assert everything == again
    assert everything.delete_log_dir_job_id == kept.delete_log_dir_job_id
    assert gone == []
    for job_id in (
        everything.delete_input_dir_job_id,
        everything.delete_output_dir_job_id,
        everything.delete_log_dir_job_id,
    ):
        assert hub.job(job_id).state == "COMPLETE"
    with pytest.raises(NotFoundException):
        hub.client.batches.get(batch_id)
    with pytest.raises(NotFoundException):
        hub.client.apps.runs.status(run_id)


def test_a_deployment_runs_and_cleans_up_by_itself(hub: Hub) -> None:
    body = {"name": "Daily", "app_name": "Meal Receipt", "retention": {"after_s": 0}}
    deployment_id = hub.ask("POST", "/api/v2/apps/deployments", json=body).json()["id"]
    batch_id = hub.batch(a=RECEIPT)

    run = hub.client.apps.deployments.runs.create(deployment_id, batch_id=batch_id)

    assert run.status == "RUNNING"

    def cleaned() -> bool:
        try:
            hub.client.batches.get(batch_id)
            hub.client.apps.runs.status(run.id)
        except NotFoundException:
            return True
        return False

    eventually(cleaned, FINISH_S, "retention deletes the run")
    eventually(lambda: run.id not in run_ids(hub), FINISH_S, "the run is not listed")


def test_the_deployment_of_another_or_none_is_not_found(hub: Hub) -> None:
    with pytest.raises(NotFoundException, match="no deployment"):
        hub.client.apps.deployments.runs.create("dp_none", batch_id=hub.batch(a=RECEIPT))
