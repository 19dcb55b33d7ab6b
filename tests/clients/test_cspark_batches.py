"""Every batch verb of the published client `cspark`, in three flavours, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.spark_client import SparkFailed
from tests.clients.spark_rig import FLAVOURS, SERVICE, STATUS, Spark, StartSpark
from tests.conftest import KINDS

OBJECTS = [{"value": 42}, {"value": 43}]
ROWS = [["value", "label"], [1, "one"], [2, "two"]]
INFO = {
    "service_id",
    "version_id",
    "compiler_version",
    "correlation_id",
    "source_system",
    "unique_record_key",
    "response_timestamp",
    "batch_status",
    "created_by",
    "created_timestamp",
    "updated_timestamp",
    "service_uri",
}
SUMMARY = {
    "chunks_submitted",
    "chunks_retried",
    "chunks_completed",
    "chunks_failed",
    "records_retried",
    "input_size_bytes",
    "output_size_bytes",
    "avg_compute_time_ms",
    "records_submitted",
    "records_failed",
    "records_completed",
    "compute_time_ms",
    "batch_time_ms",
}
CONFIGURATION = {
    "initial_workers",
    "chunks_per_request",
    "runner_thread_count",
    "acceptable_error_percentage",
    "input_buffer_allocated_bytes",
    "output_buffer_allocated_bytes",
    "max_workers",
}


def described(spark: Spark, where: str) -> dict[str, dict[str, Any]]:
    """Return the batches in a part of the description, by id."""
    return {each["id"]: each for each in spark.batches.describe().data[where]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_batch_goes_through_all_its_verbs(
    spark_servers: StartSpark, kind: str, flavour: str, tmp_path: Path
) -> None:
    spark = Spark.of(spark_servers(kind), flavour, tmp_path)
    created = spark.batches.create(SERVICE).data
    batch_id = created["id"]
    assert created["object"] == "batch"
    assert set(created["data"]) >= INFO
    assert created["data"]["batch_status"] == "created"
    assert created["data"]["service_uri"] == "my-folder/my-service[0.4.2]"
    assert batch_id in described(spark, "in_progress_batches")

    pipeline = spark.batches.of(batch_id)
    pushed = pipeline.push(inputs=OBJECTS).data
    assert set(pushed) >= STATUS
    assert (pushed["batch_status"], pushed["record_submitted"]) == ("in_progress", 2)
    status = spark.completed(pipeline, 1)
    assert (status["records_completed"], status["records_available"]) == (2, 2)
    assert status["chunks_available"] == 1
    assert status["output_buffer_used_bytes"] > 0 == status["input_buffer_used_bytes"]

    answer = pipeline.pull().data
    (result,) = answer["data"]
    assert result["outputs"] == [
        {"value": 42, "total": 42, "label": ""},
        {"value": 43, "total": 43, "label": ""},
    ]
    assert (result["warnings"], result["errors"]) == ([None, None], [None, None])
    assert result["summary_output"] == [[]]
    assert [type(each) for each in result["process_time"]] == [int, int]
    assert (
        answer["status"]["records_available"] == answer["status"]["output_buffer_used_bytes"] == 0
    )
    assert pipeline.pull().data["data"] == []

    info = pipeline.get_info().data
    assert (info["object"], info["id"]) == ("batch", batch_id)
    assert set(info["data"]) >= INFO | {"summary", "configuration"}
    assert set(info["data"]["summary"]) >= SUMMARY
    assert set(info["data"]["configuration"]) >= CONFIGURATION

    closed = pipeline.dispose().data
    assert (closed["id"], closed["data"]["batch_status"]) == (batch_id, "closed")
    assert pipeline.state.read() == "closed"
    after = pipeline.get_status().data
    assert after["batch_status"] in ("closed", "completed")
    assert after["records_completed"] == after["record_submitted"] == 2
    recent = described(spark, "recent_batches")[batch_id]
    assert recent["data"]["summary"]["records_completed"] == 2
    assert batch_id not in described(spark, "in_progress_batches")


def test_a_description_has_the_figures_of_the_tenant(spark: Spark) -> None:
    data = spark.batches.describe().data
    assert set(data) >= {"in_progress_batches", "recent_batches", "tenant", "environment"}
    configuration = data["tenant"]["configuration"]
    assert {"input_buffer_allocated_bytes", "output_buffer_allocated_bytes", "max_workers"} <= set(
        configuration
    )
    assert set(data["tenant"]["status"]) >= {
        "input_buffer_used_bytes",
        "input_buffer_remaining_bytes",
        "output_buffer_used_bytes",
        "output_buffer_remaining_bytes",
        "workers_in_use",
    }
    assert isinstance(data["environment"]["update"], int)


def test_records_are_pushed_in_four_ways(spark: Spark) -> None:
    pipeline = spark.pipeline()
    pipeline.push(inputs=OBJECTS)
    pipeline.push(data=spark.sdk.ChunkData(OBJECTS, {"common": 1000}))
    chunk = spark.chunk(f"by-hand-{pipeline.number}", OBJECTS, parameters={"common": 2000}, size=2)
    pipeline.push(chunks=[chunk])
    raw = '{"chunks": [{"data": {"inputs": [{"value": 7}], "parameters": {"common": 3000}}}]}'
    assert pipeline.push(raw=raw).data["record_submitted"] == 7
    found = spark.pull(pipeline, 4)
    totals = sorted([output["total"] for output in result["outputs"]] for result in found.values())
    assert totals == [[42, 43], [1042, 1043], [2042, 2043], [3007]]
    named = found[f"by-hand-{pipeline.number}"]
    assert [output["total"] for output in named["outputs"]] == [2042, 2043]


def test_outputs_have_the_form_of_the_inputs(spark: Spark) -> None:
    pipeline = spark.pipeline()
    pipeline.push(inputs=ROWS)
    (rows,) = spark.pull(pipeline, 1).values()
    header, *records = rows["outputs"]
    assert sorted(header) == ["label", "total", "value"]
    assert [dict(zip(header, record, strict=True)) for record in records] == [
        {"value": 1, "total": 1, "label": "one"},
        {"value": 2, "total": 2, "label": "two"},
    ]
    assert rows["errors"] == [None, None]


def test_a_summary_adds_up_what_a_chunk_has_put_out(spark: Spark) -> None:
    wanted = [{"output_name": "total", "operator": name} for name in ("SUM", "MAX", "COUNT")]
    summary = {"ignore_error": False, "aggregation": wanted}
    pipeline = spark.pipeline()
    pipeline.push(data=spark.sdk.ChunkData(OBJECTS, {"common": 0}, summary))
    (result,) = spark.pull(pipeline, 1).values()
    assert len(result["outputs"]) == 2
    figures = [each for row in result["summary_output"] for each in row]
    assert [each for each in figures if isinstance(each, int | float)] == [85, 43, 2]


def test_options_of_a_batch_come_back_in_its_info(spark: Spark) -> None:
    pipeline = spark.pipeline(
        correlation_id="corr",
        source_system="tests",
        call_purpose="a test",
        unique_record_key=["value", "label"],
        min_runners=2,
        max_runners=3,
        chunks_per_vm=4,
        runners_per_vm=5,
        max_input_size=1.5,
        max_output_size=2.5,
        accuracy=0.95,
        active_since="2024-05-06",
    )
    info = pipeline.get_info().data["data"]
    assert (info["correlation_id"], info["source_system"]) == ("corr", "tests")
    assert info["unique_record_key"] in ("value,label", ["value", "label"])
    configuration = info["configuration"]
    assert configuration["acceptable_error_percentage"] == 6, "the client rounds 5 % up"
    assert (configuration["initial_workers"], configuration["max_workers"]) == (2, 3)
    assert configuration["chunks_per_request"] == 4
    assert configuration["runner_thread_count"] == 5
    sizes = [configuration[f"{each}_buffer_allocated_bytes"] for each in ("input", "output")]
    assert sizes == [1_500_000, 2_500_000]
    status = pipeline.get_status().data
    assert status["input_buffer_used_bytes"] + status["input_buffer_remaining_bytes"] == sizes[0]


def test_only_selected_outputs_are_returned(spark: Spark) -> None:
    one = spark.pipeline(selected_outputs=["total", "label"])
    one.push(inputs=OBJECTS)
    (result,) = spark.pull(one, 1).values()
    assert result["outputs"][0] == {"total": 42, "label": ""}
    other = spark.pipeline(subservices="sums")
    other.push(inputs=[["value"], [5]])
    (result,) = spark.pull(other, 1).values()
    assert result["outputs"] == [["total"], [5]]


def test_a_closed_batch_computes_and_gives_what_it_has(spark: Spark, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    pipeline = spark.pipeline("my-folder/gate")
    pipeline.push(data=spark.sdk.ChunkData(OBJECTS, {"gate": str(gate)}))
    pipeline.dispose()
    status = pipeline.get_status().data
    assert (status["batch_status"], status["records_completed"]) == ("closed", 0)
    with pytest.raises(SparkFailed) as refused:
        pipeline.push(inputs=OBJECTS)
    assert (refused.value.type, refused.value.body) == ("SparkSdkError", None)
    gate.touch()
    (result,) = spark.pull(pipeline, 1).values()
    assert [output["value"] for output in result["outputs"]] == [42, 43]
    status = pipeline.get_status().data
    assert (status["batch_status"], status["records_available"]) == ("completed", 0)


def test_a_cancelled_batch_drops_what_it_has(spark: Spark, tmp_path: Path) -> None:
    never = str(tmp_path / "never")
    pipeline = spark.pipeline("my-folder/gate", max_runners=1)
    for number in range(3):
        opened = __file__ if number == 0 else never
        pipeline.push(data=spark.sdk.ChunkData(OBJECTS, {"gate": opened}))
    spark.completed(pipeline, 1)
    cancelled = pipeline.cancel().data
    assert cancelled["data"]["batch_status"] == "cancelled"
    with pytest.raises(SparkFailed) as refused:
        pipeline.pull()
    assert refused.value.type == "SparkSdkError"
    status = pipeline.get_status().data
    assert status["batch_status"] == "cancelled"
    assert status["records_available"] == status["chunks_available"] == 0
    assert status["input_buffer_used_bytes"] == status["output_buffer_used_bytes"] == 0
    same = spark.batches.of(cancelled["id"])
    assert same.pull().data["data"] == []
    assert same.get_info().data["data"]["batch_status"] == "cancelled"


def test_whole_columns_are_computed_at_once(present: Spark) -> None:
    pipeline = present.pipeline("my-folder/columns")
    pipeline.push(inputs=[["value"], *[[number] for number in range(100)]])
    pipeline.push(inputs=[{"value": number} for number in range(100)])
    by_form = {
        type(each["outputs"][0]): each["outputs"] for each in present.pull(pipeline, 2).values()
    }
    assert by_form[list] == [["value"], *[[number * 2] for number in range(100)]]
    assert by_form[dict] == [{"value": number * 2} for number in range(100)]


def test_a_function_may_take_the_whole_record(present: Spark) -> None:
    pipeline = present.pipeline("my-folder/whole")
    record = {"a": [1, {"b": None}], "Größe": "é", "big": 2**53 + 1}
    pipeline.push(data=present.sdk.ChunkData([record], {"c": True}))
    (result,) = present.pull(pipeline, 1).values()
    assert result["outputs"] == [{"record": {**record, "c": True}}]


def test_a_record_that_fails_leaves_the_others_intact(spark: Spark) -> None:
    pipeline = spark.pipeline("seed/failing")
    pipeline.push(inputs=[["value"], [6], [7], [8], [9, 10], []])
    (result,) = spark.pull(pipeline, 1).values()
    header, *rows = result["outputs"]
    assert sorted(header) == ["square", "value"]
    assert [row and any(each is not None for each in row) for row in rows] == [
        True,
        False,
        True,
        False,
        False,
    ]
    failed = [each is not None for each in result["errors"]]
    assert failed == [False, True, False, True, True]
    (told,) = result["errors"][1]
    assert set(told) == {
        "error_category",
        "error_type",
        "additional_details",
        "source_path",
        "message",
    }
    assert "7 cannot be squared today" in told["message"]
    summary = pipeline.get_info().data["data"]["summary"]
    assert (summary["records_failed"], summary["records_completed"]) == (3, 5)


@pytest.mark.parametrize(("accuracy", "ends_as"), [(1.0, "failed"), (0.5, "completed")])
def test_more_errors_than_are_acceptable_make_a_batch_fail(
    present: Spark, accuracy: float, ends_as: str
) -> None:
    pipeline = present.pipeline("seed/failing", accuracy=accuracy)
    pipeline.push(inputs=[{"value": number} for number in range(5, 9)])
    (result,) = present.pull(pipeline, 1).values()
    assert [each["square"] if each else None for each in result["outputs"]] == [25, 36, None, 64]
    pipeline.dispose()
    assert pipeline.get_status().data["batch_status"] == ends_as
