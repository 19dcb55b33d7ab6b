"""Services through the published client `cspark`: execution, what there is, and who may ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.spark_client import SparkFailed
from tests.clients.spark_rig import SERVICE, Spark, SparkServer

ODD_SERVICE = "my folder/Prämien & more"


def refused(call: Any, *args: Any, **kwargs: Any) -> SparkFailed:
    with pytest.raises(SparkFailed) as raised:
        call(*args, **kwargs)
    return raised.value


def ids_of(spark: Spark, service: str = SERVICE) -> tuple[str, str]:
    """Return the ids of a service and of its version."""
    data = spark.batches.create(service).data["data"]
    return data["service_id"], data["version_id"]


class TestExecute:
    def test_one_record(self, spark: Spark) -> None:
        answer = spark.client.services.execute(SERVICE, inputs={"value": 3, "label": "é"})
        (outputs,) = answer.data["outputs"]
        assert outputs == {"value": 3, "total": 3, "label": "é"}
        assert answer.data["version"] == "0.4.2"
        assert (answer.data["service_id"], answer.data["version_id"]) == ids_of(spark)
        assert isinstance(answer.data["process_time"][0], int)
        assert not answer.data["errors"][0]
        assert answer.request["url"].endswith(
            "/api/v3/folders/my-folder/services/my-service/execute"
        )

    def test_one_record_in_the_form_of_the_protocol(self, present: Spark) -> None:
        answer = present.client.services.execute(
            SERVICE, inputs='{"value": 3}', response_format="original", correlation_id="c-1"
        )
        assert (answer.data["status"], answer.data["error"]) == ("Success", None)
        assert answer.data["response_data"]["outputs"]["total"] == 3
        meta = answer.data["response_meta"]
        assert (meta["version"], meta["correlation_id"]) == ("0.4.2", "c-1")
        assert meta["call_id"]

    def test_by_ids(self, spark: Spark) -> None:
        service_id, version_id = ids_of(spark)
        for uri in (f"service/{service_id}", f"version/{version_id}"):
            answer = spark.client.services.execute(uri, inputs={"value": 8})
            assert answer.data["outputs"][0]["value"] == 8
            pipeline = spark.pipeline(uri)
            pipeline.push(inputs=[{"value": 9}])
            (result,) = spark.pull(pipeline, 1).values()
            assert result["outputs"][0]["value"] == 9

    @pytest.mark.parametrize(
        ("inputs", "outputs"),
        [
            ([{"value": 1}, {"value": 2}], [{"value": 2}, {"value": 4}]),
            ([["value"], [1], [2]], [["value"], [2], [4]]),
        ],
        ids=["objects", "rows"],
    )
    def test_a_list_of_records(self, spark: Spark, inputs: list[Any], outputs: list[Any]) -> None:
        answer = spark.client.services.execute("my-folder/columns", inputs=inputs)
        assert answer.request["url"].endswith("/api/v4/execute")
        assert answer.data["outputs"] == outputs
        assert answer.data["errors"] == answer.data["warnings"] == [None, None]
        assert len(answer.data["process_time"]) == 2
        assert answer.data["version"] == "1.0.0"

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    @pytest.mark.parametrize("inputs", [{"value": 5}, [{"value": 5}]], ids=["single", "list"])
    def test_a_compressed_request(self, spark: Spark, encoding: str, inputs: Any) -> None:
        answer = spark.client.services.execute(SERVICE, inputs=inputs, encoding=encoding)
        assert answer.request["headers"]["content-encoding"] == encoding
        assert answer.data["outputs"][0]["total"] == 5

    def test_names_with_blanks_and_other_letters(self, spark: Spark) -> None:
        for inputs in ({"value": 4}, [{"value": 4}]):
            answer = spark.client.services.execute(ODD_SERVICE, inputs=inputs)
            assert answer.data["outputs"][0] == {"value": 8}
        pipeline = spark.pipeline(f"{ODD_SERVICE}[1.0.0]")
        pipeline.push(inputs=[{"value": 4}])
        (result,) = spark.pull(pipeline, 1).values()
        assert result["outputs"] == [{"value": 8}]

    def test_an_error_of_the_function_is_an_error_of_the_record(self, spark: Spark) -> None:
        answer = spark.client.services.execute("seed/failing", inputs=[{"value": 7}, {"value": 8}])
        assert answer.data["outputs"][1] == {"value": 8, "square": 64}
        assert answer.data["errors"][1] is None
        assert "cannot be squared" in answer.data["errors"][0][0]["message"]
        single = spark.client.services.execute("seed/failing", inputs={"value": 7})
        assert "cannot be squared" in json.dumps(single.data["errors"])

    def test_an_input_that_is_missing_is_an_error_of_the_record(self, spark: Spark) -> None:
        answer = spark.client.services.execute(SERVICE, inputs={"label": "no value"})
        assert "value" in json.dumps(answer.data["errors"])

    def test_an_unknown_service_is_told_with_near_names(self, spark: Spark) -> None:
        for inputs in ({"value": 1}, [{"value": 1}]):
            error = refused(spark.client.services.execute, "my-folder/my-servise", inputs=inputs)
            assert (error.type, error.status) == ("NotFoundError", 404)
            assert "my-folder/my-service" in error.told


class TestVersions:
    @pytest.mark.parametrize(
        ("uri", "options", "version"),
        [
            ("my-folder/versions", {}, "2.0.0"),
            ("my-folder/versions[1.4]", {}, "1.4.10"),
            ("my-folder/versions[1]", {}, "1.4.10"),
            ("my-folder/versions[1.4.9]", {}, "1.4.9"),
            ("my-folder/versions", {"active_since": "2022-06-01"}, "1.4.9"),
            ("my-folder/versions", {"active_since": "2021-06-01T00:00:00.000Z"}, "1.0.0"),
        ],
    )
    def test_a_version_is_resolved(
        self, spark: Spark, uri: str, options: dict[str, str], version: str
    ) -> None:
        created = spark.batches.create(uri, **options).data
        assert created["data"]["service_uri"] == f"my-folder/versions[{version}]"
        executed = spark.client.services.execute(uri, inputs=[{"value": 1}], **options)
        assert (executed.data["version"], executed.data["outputs"]) == (
            version,
            [{"version": version, "value": 1}],
        )

    def test_versions_are_listed(self, spark: Spark) -> None:
        answer = spark.client.services.get_versions("my-folder/versions")
        listed = [each["version"] for each in answer.data]
        assert sorted(listed) == ["1.0.0", "1.4.10", "1.4.9", "2.0.0"]


class TestWhatThereIs:
    def test_a_service_exists_or_not(self, present: Spark) -> None:
        assert present.client.services.exists(SERVICE) is True
        assert present.client.services.exists("my-folder/nothing") is False

    def test_metadata(self, spark: Spark) -> None:
        answer = spark.client.services.get_metadata(SERVICE)
        assert answer.status == 200
        assert "0.4.2" in json.dumps(answer.data)

    def test_health(self, present: Spark) -> None:
        assert present.client.health.ok() is True
        answer = present.sdk.Client.health_check(present.server.url)
        assert answer.data["status"] == "UP"

    def test_configuration(self, present: Spark) -> None:
        answer = present.client.config.get()
        assert answer.status == 200
        assert isinstance(answer.data, dict)


class TestWhoMayAsk:
    def test_a_bearer_token(self, spark: Spark) -> None:
        client = spark.connect(token=f"Bearer {spark.server.key}")
        answer = client.batches.describe()
        assert answer.request["headers"]["authorization"] == f"Bearer {spark.server.key}"
        assert answer.status == 200

    def test_a_wrong_key_and_none(self, spark: Spark) -> None:
        for client in (spark.connect("ls_wrong"), spark.connect("open"), spark.connect(token="x")):
            error = refused(client.batches.describe)
            assert (error.type, error.status) == ("UnauthorizedError", 401)

    def test_a_client_made_from_another_sends_the_key_with_stars(self, present: Spark) -> None:
        # A fault of the client; its user is told that the key is wrong.
        client = present.sdk.Client.use(present.client.config)
        error = refused(client.batches.describe)
        assert (error.type, error.status) == ("UnauthorizedError", 401)

    def test_the_tenant_may_be_the_name_in_any_case(self, spark: Spark) -> None:
        assert spark.connect(tenant="Local").batches.create(SERVICE).status in (200, 201)

    def test_client_credentials(self, spark: Spark, spark_server: SparkServer) -> None:
        oauth = {"client_id": "tests", "client_secret": spark_server.key}
        client = spark.connect(oauth=oauth)
        created = client.batches.create(SERVICE)
        assert created.request["headers"]["authorization"].startswith("Bearer ")
        pipeline = client.batches.of(created.data["id"])
        pipeline.push(inputs=[{"value": 1}])
        assert len(spark.pull(pipeline, 1)) == 1

    def test_wrong_client_credentials_are_told_at_once(self, spark: Spark) -> None:
        client = spark.connect(oauth={"client_id": "tests", "client_secret": "ls_wrong"})
        error = refused(client.batches.describe)
        assert "failed to retrieve OAuth2 access token" in error.message
        assert spark.console.took_s < 5.0
