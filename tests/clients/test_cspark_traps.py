"""What the published client `cspark` does that a server must know of, and bad input."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from longshore import limits
from tests.acceptance.harness import eventually
from tests.acceptance.raw import RawRequest
from tests.clients.spark_client import SparkFailed
from tests.clients.spark_rig import FINISH_S, SERVICE, Spark, SparkServer, details

OBJECTS = [{"value": 1}, {"value": 2}, {"value": 3}]
BUFFER_MB = 0.001
BIG = {"value": 1, "padding": "x" * 600}
"""Fits into such a buffer once."""


def refused(call: Any, *args: Any, **kwargs: Any) -> SparkFailed:
    with pytest.raises(SparkFailed) as raised:
        call(*args, **kwargs)
    return raised.value


class TestChunkIds:
    @pytest.mark.parametrize("chunk_id", ["", None])
    def test_a_chunk_without_an_id_gets_one(self, spark: Spark, chunk_id: str | None) -> None:
        # The client keeps one table of ids for all pipelines, in which such an id must be new.
        spark.sdk.Pipeline.reach("_chunks").clear()
        spark.sdk.reach("AsyncPipeline" if spark.flavour == "async" else "Pipeline").reach(
            "_chunks"
        ).clear()
        pipeline = spark.pipeline()
        pipeline.push(chunks=[spark.chunk(chunk_id, OBJECTS), spark.chunk("named", OBJECTS)])
        found = spark.pull(pipeline, 2)
        (made,) = set(found) - {"named"}
        assert made

    def test_chunks_without_ids_in_one_push_are_chunks_of_their_own(
        self, spark_server: SparkServer, present: Spark
    ) -> None:
        pipeline = present.pipeline()
        batch_id = pipeline.batch_id.read()
        chunks = [{"id": each, "data": {"inputs": OBJECTS}} for each in ("", None, "")]
        chunks.append({"data": {"inputs": OBJECTS}, "id": None})
        answer = spark_server.ask("POST", f"/batch/{batch_id}/chunks", {"chunks": chunks})
        assert answer.json()["record_submitted"] == 12
        assert len(present.pull(pipeline, 4)) == 4

    def test_a_push_of_known_chunks_only_is_an_empty_one(self, spark: Spark) -> None:
        pipeline = spark.pipeline()
        chunk = spark.chunk(f"again-{pipeline.number}", OBJECTS)
        pipeline.push(chunks=[chunk])
        answer = pipeline.push(chunks=[chunk], if_chunk_id_duplicated="ignore")
        assert answer.request["method"] == "POST", "the client has asked the server"
        assert answer.data["record_submitted"] == 3
        assert (
            refused(pipeline.push, chunks=[chunk], if_chunk_id_duplicated="throw").type
            == "SparkSdkError"
        )
        # By default the client makes another id for what is pushed again.
        assert pipeline.push(chunks=[chunk]).data["record_submitted"] == 6
        assert len(spark.pull(pipeline, 2)) == 2


class TestSizes:
    def test_a_chunk_may_have_a_header_and_no_record(self, spark: Spark) -> None:
        pipeline = spark.pipeline()
        if spark.early:
            inputs: list[list[Any]] = [[["value"]], [["value"], [1]]]
            chunks = [spark.chunk(f"{pipeline.number}-{len(each)}", each) for each in inputs]
            records = 1
        else:
            # The client counts the header as a record, so a last chunk has none.
            chunks = spark.sdk.create_chunks([["value"], [1], [2], [3]], chunk_size=3)
            records = 3
        assert len(chunks) == 2
        assert pipeline.push(chunks=chunks).data["record_submitted"] == records
        found = spark.pull(pipeline, 2)
        lengths = sorted(len(each["errors"]) for each in found.values())
        assert lengths == [0, records]
        status = pipeline.get_status().data
        assert status["chunks_completed"] == 2
        assert status["records_completed"] == status["record_submitted"]

    @pytest.mark.parametrize("size", [99, 1, None])
    def test_what_a_chunk_says_of_its_size_is_not_relied_on(
        self, spark: Spark, size: int | None
    ) -> None:
        pipeline = spark.pipeline()
        chunks = [
            spark.chunk(f"objects-{pipeline.number}", OBJECTS, size=size),
            spark.chunk(f"rows-{pipeline.number}", [["value"], [1], [2]], size=size),
        ]
        assert pipeline.push(chunks=chunks).data["record_submitted"] == 5
        found = spark.pull(pipeline, 2)
        assert sorted(len(each["errors"]) for each in found.values()) == [2, 3]

    def test_objects_through_the_splitter_of_the_client(self, spark: Spark) -> None:
        pipeline = spark.pipeline()
        chunks = spark.sdk.create_chunks(list(OBJECTS), chunk_size=2)
        pipeline.push(chunks=chunks)
        found = spark.pull(pipeline, len(chunks))
        values = sorted(output["value"] for each in found.values() for output in each["outputs"])
        # The present client takes the first object for the header, and puts it into each chunk.
        assert values == ([1, 2, 3] if spark.early else [1, 1, 2, 3])

    def test_a_pull_takes_as_many_chunks_as_it_asks_for(self, spark: Spark) -> None:
        pipeline = spark.pipeline()
        pipeline.push(chunks=[spark.chunk(f"{n}-{pipeline.number}", OBJECTS) for n in range(105)])
        spark.completed(pipeline, 105)
        first = pipeline.pull(max_chunks=3).data
        assert len(first["data"]) == 3
        assert first["status"]["chunks_available"] == 102
        assert len(pipeline.pull(max_chunks=0).data["data"]) == 1
        second = pipeline.pull().data
        assert len(second["data"]) == 100
        left = pipeline.pull(max_chunks=1000).data
        assert len(left["data"]) == 1
        assert left["status"]["records_available"] == 0


class TestBadInput:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_number_that_json_lacks_is_refused_by_the_client(
        self, spark: Spark, value: float
    ) -> None:
        pipeline = spark.pipeline()
        assert refused(pipeline.push, inputs=[{"value": value}]).type == "ValueError"
        assert pipeline.get_status().data["record_submitted"] == 0

    def test_an_unknown_service_is_told_with_near_names(self, spark: Spark) -> None:
        error = refused(spark.batches.create, "my-folder/my-servcie")
        assert (error.type, error.status) == ("NotFoundError", 404)
        assert "my-folder/my-service" in error.told
        error = refused(spark.batches.create, "my-folder/my-service[9.9]")
        assert error.status == 404
        assert "0.4.2" in error.told

    def test_a_service_that_only_a_vendor_has_is_refused(self, spark: Spark) -> None:
        error = refused(spark.batches.create, "proxy/custom-endpoint")
        assert error.status in (400, 404, 422), error.told

    def test_a_push_after_the_end_from_elsewhere_is_a_conflict(self, spark: Spark) -> None:
        for end in ("dispose", "cancel"):
            pipeline = spark.pipeline()
            other = spark.connect().batches.of(pipeline.batch_id.read())
            pipeline.reach(end)()
            error = refused(other.push, inputs=OBJECTS)
            assert (error.type, error.status) == ("ConflictError", 409)
            # The second end is the same; a closed batch may be cancelled yet.
            assert other.reach(end)().status == 200

    def test_a_batch_of_another_organisation_is_not_there(
        self, spark: Spark, spark_server: SparkServer
    ) -> None:
        pipeline = spark.pipeline()
        pipeline.push(inputs=OBJECTS)
        foreigner = spark.connect(spark_server.foreign_key, spark_server.foreign_tenant)
        theirs = foreigner.batches.of(pipeline.batch_id.read())
        for call in (theirs.get_info, theirs.get_status, theirs.pull, theirs.cancel):
            assert refused(call).status == 404
        assert refused(theirs.push, inputs=OBJECTS).status == 404
        assert refused(foreigner.batches.create, SERVICE).status == 404
        listed = foreigner.batches.describe().data
        assert listed["in_progress_batches"] == listed["recent_batches"] == []
        # Nor does one's own key open the rooms of others.
        guest = spark.connect(spark_server.key, spark_server.foreign_tenant)
        assert refused(guest.batches.create, SERVICE).status == 404
        assert len(spark.pull(pipeline, 1)) == 1

    def test_a_batch_that_never_was_is_not_there(self, spark: Spark) -> None:
        assert refused(spark.batches.of("bp_nothing").get_status).status == 404
        assert refused(spark.batches.of, "").type == "SparkSdkError"

    @pytest.mark.parametrize(
        "data",
        [
            {"inputs": [["value", "value"], [1, 2]]},
            {"inputs": [[1, 2], [3, 4]]},
            {"inputs": "text"},
            {"inputs": [{"value": 1}], "parameters": [1]},
            {"inputs": [], "summary": {"aggregation": [{"output_name": "x", "operator": "MODE"}]}},
        ],
        ids=["names twice", "no names", "no list", "parameters", "operator"],
    )
    def test_a_push_in_a_wrong_form_changes_nothing(
        self, spark_server: SparkServer, present: Spark, data: dict[str, Any]
    ) -> None:
        pipeline = present.pipeline()
        path = f"/batch/{pipeline.batch_id.read()}/chunks"
        good = {"id": "good", "data": {"inputs": OBJECTS}}
        answer = spark_server.ask("POST", path, {"chunks": [good, {"id": "bad", "data": data}]})
        assert answer.status_code in (400, 422), answer.text
        assert pipeline.get_status().data["record_submitted"] == 0

    def test_a_push_that_is_too_large_is_refused_before_it_is_read(
        self, spark_server: SparkServer, present: Spark
    ) -> None:
        pipeline = present.pipeline()
        target = f"/{spark_server.tenant}/api/v4/batch/{pipeline.batch_id.read()}/chunks"
        with RawRequest(spark_server.server, spark_server.key) as request:
            size_bytes = limits.PUSH_BODY_BYTES + 1
            headers = {"Content-Type": "application/json", "Content-Length": str(size_bytes)}
            request.head("POST", target, headers)
            answer = request.answer()
        assert answer.status == 422
        assert answer.json()["details"]["limit_bytes"] == limits.PUSH_BODY_BYTES
        large = "x" * limits.CHUNK_BYTES
        error = refused(pipeline.push, inputs=[{"value": 1}, {"label": large}])
        assert (error.type, error.status) == ("UnprocessableEntityError", 422)
        assert pipeline.get_status().data["record_submitted"] == 0

    def test_a_create_as_other_clients_send_it_is_understood(
        self, spark_server: SparkServer, present: Spark
    ) -> None:
        body = {
            "service": "/folders/My-Folder/services/MY-SERVICE",
            "version_id": None,
            "max_input_size": None,
            "max_input_size_in_mb": 1,
            "acceptable_error_percentage": -9899,
            "unheard_of": {"a": 1},
        }
        answer = spark_server.ask("POST", "/batch", body)
        assert answer.is_success, answer.text
        info = present.batches.of(answer.json()["id"]).get_info().data["data"]
        assert info["service_uri"] == "my-folder/my-service[0.4.2]"
        assert info["configuration"]["acceptable_error_percentage"] == 0


class TestFullBuffer:
    def test_the_client_waits_for_room(self, spark: Spark, tmp_path: Path) -> None:
        gate = tmp_path / "open"
        pipeline = spark.connect(max_retries=8).batches.of(
            spark.batches.create("my-folder/gate", max_input_size=BUFFER_MB).data["id"]
        )
        data = spark.sdk.ChunkData([BIG], {"gate": str(gate)})
        pipeline.push(data=data)
        spark.console.begin(pipeline.push.request(data=data))
        # The first try has been refused before the gate opens.
        threading.Event().wait(0.2)
        gate.touch()
        assert spark.console.end().data["record_submitted"] == 2
        spark.pull(pipeline, 2)

    def test_the_client_that_gives_up_is_told_the_figures(
        self, spark: Spark, tmp_path: Path
    ) -> None:
        created = spark.batches.create("my-folder/gate", max_input_size=BUFFER_MB).data
        pipeline = spark.connect(max_retries=1).batches.of(created["id"])
        data = spark.sdk.ChunkData([BIG], {"gate": str(tmp_path / "never")})
        pipeline.push(data=data)
        error = refused(pipeline.push, data=data)
        assert (error.type, error.status) == ("RateLimitError", 429)
        assert int(error.headers["retry-after"]) >= 1
        told = details(error.told)
        status = pipeline.get_status().data
        assert told["input_buffer_used_bytes"] == status["input_buffer_used_bytes"] > 600
        assert told["input_buffer_remaining_bytes"] == status["input_buffer_remaining_bytes"]
        assert told["pushed_bytes"] > told["input_buffer_remaining_bytes"]
        assert status["record_submitted"] == 1
        pipeline.cancel()

    def test_a_push_that_can_never_fit_is_final(self, spark: Spark) -> None:
        pipeline = spark.pipeline(max_input_size=BUFFER_MB)
        error = refused(pipeline.push, inputs=[BIG, BIG])
        assert (error.type, error.status) == ("UnprocessableEntityError", 422)
        assert spark.console.took_s < 5.0
        assert "1000" in error.told

    def test_a_full_output_buffer_waits_for_a_pull(self, present: Spark) -> None:
        pipeline = present.pipeline("my-folder/wordy", max_output_size=0.02, max_runners=1)
        pipeline.push(
            chunks=[present.chunk(f"{pipeline.number}-{n}", [{"words": 1600}]) for n in range(12)]
        )

        def stalled() -> bool:
            status = pipeline.get_status().data
            used: int = status["output_buffer_used_bytes"]
            return used >= 20_000 and status["workers_in_use"] == 0

        eventually(stalled, FINISH_S, "the output buffer is full")
        before = pipeline.get_status().data["chunks_completed"]
        assert before < 12
        assert pipeline.get_status().data["chunks_completed"] == before
        assert len(present.pull(pipeline, 12)) == 12
