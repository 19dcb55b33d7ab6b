"""Services in a process: what they register, and what becomes of the records of a chunk."""

from __future__ import annotations

import gc
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import longshore
from longshore import limits
from longshore.errors import ConfigurationError, Reject, RetryLater
from longshore.wire.payloads import ChunkPayload
from longshore.wire.worker import InputField, ServiceOffer
from longshore.worker import chunks, registry, services
from longshore.worker.chunks import run_chunk
from longshore.worker.progress import NONE, Order, Position, cells_of, parts
from longshore.worker.registry import Registry
from longshore.worker.troubles import Category, RecordError
from tests.unit import worker_services

# What a function warns of is a warning of its record, not an error of the tests.
pytestmark = pytest.mark.filterwarnings("always::UserWarning")


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of this test's own."""
    own = Registry()
    monkeypatch.setattr(services, "REGISTRY", own)
    return own


def run(
    service: str,
    inputs: list[Any] | bytes,
    *,
    columnar: bool = False,
    parameters: dict[str, Any] | None = None,
    summary: dict[str, Any] | None = None,
    order: Order | None = None,
    position: Position | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Compute a chunk and return its result."""
    name, _, version = service.partition(" ")
    records = inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode()
    rest = json.dumps({"parameters": parameters, "summary": summary}).encode()
    payload = ChunkPayload(
        service=name,
        version=version or "1.0.0",
        version_id="sv_1",
        records=0,
        columnar=columnar,
        data=msgspec.Raw(b'{"inputs":' + records + b"," + rest[1:]),
        **more,
    )
    encoded = msgspec.json.encode(payload)
    result = run_chunk(registry.REGISTRY, encoded, order=order, position=position)
    decoded: dict[str, Any] = json.loads(result)
    return decoded


def errors_of(result: dict[str, Any]) -> dict[int, dict[str, str]]:
    return {place: told[0] for place, told in enumerate(result["errors"] or []) if told}


def warnings_of(result: dict[str, Any]) -> dict[int, list[str]]:
    told = enumerate(result["warnings"] or [])
    return {place: [each["message"] for each in every] for place, every in told if every}


class TestDeclaring:
    def test_an_offer_says_what_the_signature_says(self) -> None:
        offers = {each.name: each for each in services.offers(registry.REGISTRY)}
        assert offers["tests/quote"] == ServiceOffer(
            name="tests/quote",
            version="1.2.0",
            description="Compute a premium.",
            inputs=[
                InputField(name="age", kind="integer"),
                InputField(name="sum_insured", kind="number", required=False, default=1000.0),
                InputField(name="smoker", kind="boolean", required=False),
            ],
            outputs=["premium", "note"],
            subservices={"money": ["premium"]},
        )
        assert offers["tests/columns"].outputs == ["total", "half"]
        assert offers["tests/columns"].batch
        assert [each.kind for each in offers["tests/columns"].inputs or []] == ["number", "number"]
        assert offers["tests/whole"].inputs is None
        assert offers["tests/anything"].inputs is None
        assert offers["tests/behave"].timeout_s == worker_services.LIMIT_S

    @pytest.mark.parametrize(
        ("name", "options", "says"),
        [
            ("quote", {}, "a folder, one slash and a name"),
            ("a/b/c", {}, "a folder, one slash and a name"),
            ("a/ ", {}, "a folder, one slash and a name"),
            ("a/b[1]", {}, "without square brackets"),
            ("a/b", {"version": 1.0}, "version is 1.0"),
            ("a/b", {"version": "1..0"}, "version is '1..0'"),
            ("a/b", {"timeout_s": 0}, "timeout_s is 0"),
            ("a/b", {"timeout_s": math.nan}, "timeout_s is nan"),
            ("a/b", {"attempts_max": 0}, "attempts_max is 0"),
            ("a/b", {"active_since": "soon"}, "active_since is 'soon'"),
            ("a/b", {"subservices": {"all": "total"}}, "must be a list of names"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, declared: Registry, name: str, options: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=says.replace("[", r"\[")):
            longshore.service(name, **options)(worker_services.quote)
        assert not declared.services

    def test_functions_that_cannot_be_called_by_name_are_refused(self, declared: Registry) -> None:
        async def asynchronous(value: int) -> int:
            return value

        def by_position(value: int, /) -> int:
            return value

        refused: list[tuple[Callable[..., Any], str]] = [
            (asynchronous, "need not be async"),
            (by_position, "takes value by position"),
            (lambda *values: values, "takes values by position"),
            (lambda: 1, "no inputs at all"),
        ]
        for function, says in refused:
            with pytest.raises(ConfigurationError, match=says):
                longshore.service("a/b")(function)
        assert not declared.services

    def test_the_same_version_cannot_be_registered_twice(self, declared: Registry) -> None:
        longshore.service("A/b")(worker_services.quote)
        longshore.service("A/b")(worker_services.quote)
        with pytest.raises(ConfigurationError, match="registered twice"):
            longshore.service("a/B")(worker_services.value)
        longshore.service("a/B", version="2")(worker_services.value)
        assert [each.version for each in declared.services.values()] == ["1.0.0", "2"]


class TestRecords:
    def test_objects_come_out_as_objects(self) -> None:
        result = run("tests/quote 1.2.0", [{"age": 30}, {"age": 5, "sum_insured": 10}])
        assert result["outputs"] == [{"premium": 30.0, "note": ""}, {"premium": 0.05, "note": ""}]
        assert (result["records"], result["failed"]) == (2, 0)
        # A busy machine may take a millisecond for a record, which is then told.
        assert [result[key] for key in ("errors", "warnings", "summary")] == [None] * 3
        assert result["compute_ms"] > 0

    @pytest.mark.parametrize(
        "header", [list(each) for each in itertools.permutations(["age", "sum_insured", "smoker"])]
    )
    def test_rows_come_out_as_rows_below_a_header(self, header: list[str]) -> None:
        values = {"age": 3, "sum_insured": 100.0, "smoker": True}
        rows = [header, [values[name] for name in header]]
        result = run("Tests/Quote 1.2.0", rows, columnar=True)
        assert result["outputs"] == [["premium", "note"], [0.6, ""]]

    def test_a_chunk_without_records_has_a_header_only(self) -> None:
        result = run("tests/quote 1.2.0", [["age"]], columnar=True)
        assert (result["outputs"], result["records"]) == ([["premium", "note"]], 0)
        assert run("tests/quote 1.2.0", [], columnar=True)["outputs"] == [["premium", "note"]]
        assert run("tests/quote 1.2.0", [])["outputs"] == []

    @pytest.mark.parametrize("columnar", [False, True])
    def test_parameters_are_inputs_of_all_records_unless_they_say_otherwise(
        self, columnar: bool
    ) -> None:
        inputs: list[Any] = [["age"], [1], [2]] if columnar else [{"age": 1}, {"age": 2}]
        given = {"sum_insured": 2000, "age": 50}
        outputs = run("tests/quote 1.2.0", inputs, columnar=columnar, parameters=given)["outputs"]
        assert outputs == (
            [["premium", "note"], [2.0, ""], [4.0, ""]]
            if columnar
            else [{"premium": 2.0, "note": ""}, {"premium": 4.0, "note": ""}]
        )

    def test_a_function_may_take_the_whole_record_or_any_input(self) -> None:
        record = {"a b": 1, "Größe": [{"x": None}]}
        whole = run("tests/whole", [record], parameters={"c": 2})
        assert whole["outputs"] == [{"record": {**record, "c": 2}}]
        rows = run("tests/whole", [["a", "b"], [1, 2]], columnar=True)
        assert rows["outputs"] == [["record"], [{"a": 1, "b": 2}]]
        assert run("tests/anything", [record, {}])["outputs"] == [{"result": 2}, {"result": 0}]

    def test_only_selected_outputs_come_out(self) -> None:
        objects = run("tests/quote 1.2.0", [{"age": 1}, {"age": -1}], outputs=["note", "other"])
        assert objects["outputs"] == [{"note": "", "other": None}, None]
        rows = run("tests/quote 1.2.0", [["age"], [1], [-1]], columnar=True, outputs=["note"])
        assert rows["outputs"] == [["note"], [""], [None]]

    def test_rows_have_all_outputs_that_any_record_has(self) -> None:
        rows = run("tests/value", [["value"], ["x"], ["text"]], columnar=True)
        assert rows["outputs"] == [["x", "result"], ["x", None], [None, "null"]]

    def test_the_position_is_written_down_and_cleared(self) -> None:
        cells = cells_of()
        run("tests/quote 1.2.0", [{"age": 1}], position=Position(cells))
        assert list(cells) == [NONE, 1]

    @pytest.mark.parametrize("service", ["tests/quote 1.2.0", "tests/columns"])
    def test_nothing_of_a_chunk_is_left_for_the_garbage_collector(self, service: str) -> None:
        odd: list[Any] = [{"agee": 1}, {"age": -1, "value": -1}, {"age": 120, "extra": 1}, [1]]
        inputs = [{"age": each, "value": each} for each in range(200)] + odd
        run(service, inputs)
        gc.collect()
        gc.disable()
        try:
            # What other tests left running may leave something meanwhile, but not each time.
            left = []
            for _ in range(3):
                for _ in range(20):
                    run(service, inputs)
                left.append(gc.collect())
            assert min(left) < 20, left
        finally:
            gc.enable()

    def test_a_long_record_has_its_time(self) -> None:
        loops = [{"value": 1}, {"value": 2}]
        assert run("tests/value", loops)["process_time"] is None
        slow = run("tests/slow", [{"seconds": 0}, {"seconds": 0.02}])
        assert 20 <= slow["process_time"][1] < 20_000


class TestFailures:
    def test_a_failed_record_leaves_the_others_intact(self) -> None:
        inputs: list[Any] = [{"age": 1}, {"age": -1}, {}, [1], None, {"age": "x"}, {"age": 2}]
        result = run("tests/quote 1.2.0", inputs)
        made = [each and each["premium"] for each in result["outputs"]]
        assert made == [1.0, None, None, None, None, None, 2.0]
        told = errors_of(result)
        assert result["failed"] == len(told) == 5
        assert {place: each["error_category"] for place, each in told.items()} == {
            1: "execution",
            2: "input",
            3: "input",
            4: "input",
            5: "execution",
        }
        assert told[1]["message"] == "nobody is that young"
        assert told[1]["error_type"] == "ValueError"
        assert "(quote)" in told[1]["source_path"]
        assert told[1]["source_path"].startswith("worker_services.py:")
        assert told[1]["additional_details"].count("File") == 1
        assert told[2]["message"] == "tests/quote[1.2.0]: the input is missing: 'age'."
        assert "it is a list" in told[3]["message"]
        assert "it is null" in told[4]["message"]

    def test_rows_of_a_wrong_width_are_their_own_error(self) -> None:
        rows: list[Any] = [["age", "sum_insured"], [1, 1000], [1], [], [1, 2, 3], {}, [2, 1000]]
        result = run("tests/quote 1.2.0", rows, columnar=True)
        nulls = [None, None]
        assert result["outputs"][1:] == [[1.0, ""], nulls, nulls, nulls, nulls, [2.0, ""]]
        messages = [each["message"] for each in errors_of(result).values()]
        assert messages[0] == "The row has 1 values, and the header 2 names."
        assert "it is an object" in messages[3]

    def test_what_a_function_does_not_take_is_not_used_and_told_once(self) -> None:
        inputs = [{"age": 1}, {"age": 2, "agee": 3}, {"age": 4, "agee": 5}, {"agee": 6}]
        result = run("tests/quote 1.2.0", inputs)
        assert [each and each["premium"] for each in result["outputs"]] == [1.0, 2.0, 4.0, None]
        note = "tests/quote[1.2.0] takes no 'agee': not used. Is 'age' the same?"
        assert warnings_of(result) == {1: [note]}
        assert "'age'" in errors_of(result)[3]["message"]
        rows = run("tests/quote 1.2.0", [["x", "age"], [1, 2], [1, -1]], columnar=True)
        assert rows["outputs"] == [["premium", "note"], [2.0, ""], [None, None]]
        assert "unexpected" not in errors_of(rows)[1]["additional_details"]

    def test_a_record_is_named_by_its_key(self) -> None:
        inputs = [{"policy": "P-1", "age": -1}, {"policy": "P-2", "age": 100}, ["x"]]
        result = run("tests/quote 1.2.0", inputs, unique_record_key=["policy", "age", "nothing"])
        assert errors_of(result)[0]["message"] == "policy=P-1, age=-1: nobody is that young"
        assert warnings_of(result)[1] == ["policy=P-2, age=100: UserWarning: a very old person"]
        assert errors_of(result)[2]["message"].startswith("record 2: ")
        rows = [["policy", "age"], ["P-1", -1]]
        told = errors_of(
            run("tests/quote 1.2.0", rows, columnar=True, unique_record_key=["policy"])
        )
        assert told[0]["message"] == "policy=P-1: nobody is that young"

    def test_warnings_belong_to_their_records(self) -> None:
        result = run("tests/quote 1.2.0", [{"age": 120}, {"age": 1}, {"age": 110}])
        assert list(warnings_of(result)) == [0, 2]
        assert result["failed"] == 0
        assert result["warnings"][0][0]["source_path"].startswith("worker_services.py:")

    def test_what_json_has_no_word_for_is_the_error_of_its_record(self) -> None:
        odd = ["nan", "fine", "deep", "object", "key", "surrogate", "null", "set", "large", "none"]
        result = run("tests/value", [{"value": each} for each in odd])
        assert result["outputs"] == [
            None,
            {"x": "fine"},
            *[None] * 4,
            {"x": None},
            {"x": [1]},
            {"x": 2**70},
            {"result": None},
        ]
        told = errors_of(result)
        assert {each["error_category"] for each in told.values()} == {"output"}
        assert "'x' is or contains nan" in told[0]["message"]
        assert "'x' is or contains inf" in told[2]["message"]
        rows = run("tests/value", [["value"], ["nan"], ["fine"]], columnar=True)
        assert rows["outputs"] == [["x"], [None], ["fine"]]

    def test_a_number_that_cannot_be_read_is_the_error_of_its_record(self) -> None:
        result = run("tests/value", b'[{"value":1},{"value":1e999},{"value":3}]')
        assert result["outputs"] == [{"x": 1}, None, {"x": 3}]
        assert "out of range" in errors_of(result)[1]["message"]

    def test_leaving_and_running_out_of_memory_are_errors_of_records(self) -> None:
        verbs = ["exit", "stop", "memory", "reject", "fine"]
        result = run("tests/value", [{"value": each} for each in verbs])
        assert result["outputs"] == [None] * 4 + [{"x": "fine"}]
        messages = [each["message"] for each in errors_of(result).values()]
        assert "sys.exit(3)" in messages[0]
        assert messages[1] == "KeyboardInterrupt"
        assert messages[2].startswith("Out of memory: peak resident memory")
        assert messages[3] == "not for us"

    def test_retry_later_is_for_the_whole_chunk(self) -> None:
        with pytest.raises(RetryLater, match="rates") as raised:
            run("tests/value", [{"value": 1}, {"value": "later"}])
        assert raised.value.delay_s == 7

    def test_a_service_that_is_not_there_is_no_error_of_records(self) -> None:
        with pytest.raises(ConfigurationError, match=r"tests/quote\[9\] is not registered"):
            run("tests/quote 9", [{"age": 1}])

    def test_too_large_outputs_fail_the_chunk_for_good(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunks, "CHUNK_RESULT_BYTES", 1000)
        with pytest.raises(Reject, match="fewer records"):
            run("tests/value", [{"value": "x" * 1000}])
        assert limits.CHUNK_RESULT_BYTES > limits.JSON_BODY_BYTES


class TestColumns:
    @pytest.mark.parametrize("columnar", [False, True])
    def test_a_vectorised_function_is_called_once(self, columnar: bool) -> None:
        worker_services.CALLS.clear()
        values = list(range(100))
        inputs: list[Any] = [{"value": each} for each in values]
        if columnar:
            inputs = [["value"], *[[each] for each in values]]
        result = run("tests/columns", inputs, columnar=columnar)
        rows = [[each * 2.0, each * 1.0] for each in values]
        if columnar:
            assert result["outputs"] == [["total", "half"], *rows]
        else:
            assert [list(each.values()) for each in result["outputs"]] == rows
        assert worker_services.CALLS == [100]

    def test_the_columns_are_halved_until_what_fails_is_alone(self) -> None:
        worker_services.CALLS.clear()
        values = [-1 if place in (3, 900) else place for place in range(1000)]
        result = run("tests/columns", [{"value": each} for each in values])
        assert list(errors_of(result)) == [3, 900]
        assert [each["total"] for each in result["outputs"] if each] == [
            each * 2 for each in values if each >= 0
        ]
        assert len(worker_services.CALLS) < 50

    def test_parameters_and_defaults_fill_columns(self) -> None:
        inputs = [{"value": 1}, {"value": 2, "factor": 10}, {"factor": 3}]
        result = run("tests/columns", inputs)
        assert [each and each["total"] for each in result["outputs"]] == [2, 20, None]
        assert "'value'" in errors_of(result)[2]["message"]
        common = run(
            "tests/columns", [["value"], [1], [2]], columnar=True, parameters={"factor": 5}
        )
        assert common["outputs"] == [["total", "half"], [5, 2.5], [10, 5]]

    def test_dicts_may_come_back_and_the_columns_may_be_one_argument(self) -> None:
        result = run("tests/columns-as-dicts", [{"a": 1, "b": 2}, {"a": 3, "b": 4}])
        assert result["outputs"] == [{"sum": 3}, {"sum": 7}]

    def test_columns_of_a_wrong_form_are_errors(self) -> None:
        short = errors_of(run("tests/wrong-columns", [{"value": 1}]))
        assert "1 records went in, and the output 'x' has 0 values" in short[0]["message"]
        scalar = errors_of(run("tests/wrong-columns", [{"value": 2}]))
        assert "the output 'x' is a float" in scalar[0]["message"]


class TestSummaries:
    WANTED = ("SUM", "avg", "Min", "MAX", "COUNT")

    def figures(self, inputs: list[Any], **summary: Any) -> list[Any]:
        aggregation = [{"output_name": "x", "operator": each} for each in self.WANTED]
        result = run("tests/value", inputs, summary={"aggregation": aggregation, **summary})
        assert [row[:2] for row in result["summary"]] == [
            ["x", each.upper()] for each in self.WANTED
        ]
        return [row[2] for row in result["summary"]]

    def test_figures_are_over_the_outputs_of_the_chunk(self) -> None:
        values = [{"value": each} for each in (1, 2.5, "null", "text", 4)]
        assert self.figures(values) == [7.5, 2.5, 1, 4, 3]
        assert self.figures([{"value": 2**62}] * 3)[0] == 3 * 2**62
        assert self.figures([]) == [None, None, None, None, 0]

    def test_a_failed_record_leaves_no_figure_unless_errors_are_ignored(self) -> None:
        values = [{"value": 1}, {"value": "nan"}, {"value": 3}]
        assert self.figures(values) == [None] * 5
        assert self.figures(values, ignore_error=True) == [4, 2, 1, 3, 2]

    def test_the_records_may_be_left_out(self) -> None:
        summary = {
            "aggregation": [{"output_name": "x", "operator": "SUM"}],
            "return_all_records": False,
        }
        result = run("tests/value", [{"value": 1}, {"value": 2}], summary=summary)
        assert (result["outputs"], result["summary"]) == ([], [["x", "SUM", 3]])

    def test_figures_may_be_of_outputs_that_are_not_selected(self) -> None:
        summary = {"aggregation": [{"output_name": "premium", "operator": "SUM"}]}
        result = run("tests/quote 1.2.0", [{"age": 7}], summary=summary, outputs=["note"])
        assert result["summary"] == [["premium", "SUM", 7.0]]


class TestOrders:
    def test_what_is_lost_has_its_error_and_the_rest_is_computed(self, tmp_path: Path) -> None:
        error = RecordError(
            error_category=Category.PROCESS_ENDED, error_type="ProcessEnded", message="It died."
        )
        inputs = [{"value": place, "directory": str(tmp_path)} for place in range(6)]
        order = Order([(4, 5)], {1: error})
        result = run("tests/behave", inputs, order=order, unique_record_key=["value"])
        made = [each and each["value"] for each in result["outputs"]]
        assert made == [0, None, 2, 3, 4, 5]
        assert errors_of(result)[1]["message"] == "value=1: It died."
        assert sorted(each.name for each in tmp_path.iterdir()) == ["0", "2", "3", "4", "5"]

    def test_the_parts_are_all_records_but_the_lost(self) -> None:
        assert parts(10, [(4, 6), (2, 4)], {0, 8}) == [(4, 6), (2, 4), (1, 2), (6, 8), (9, 10)]
        assert parts(3, [], []) == [(0, 3)]
        assert parts(0, [], []) == []
        assert parts(2, [], [0, 1]) == []
