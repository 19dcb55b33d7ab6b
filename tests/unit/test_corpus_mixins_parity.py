"""The same calls on the published worker library and on ours send the same requests.

One script of calls is run here, and in the environments of the published library, 0.4.0 and 0.6.0,
which `make venv` makes; without those these tests are skipped. The API of both is a recorder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longshore.corpus import classifications, datasets, metadata, models, transcriptions
from tests.unit.corpus_mixins_rig import CORPUS, PROCESS, RUN, FakeApi, Helpers, element, uuid

ANSWER_S = 60.0

pytestmark = pytest.mark.slow

RECORDER = """
class Recorder:
    def __init__(self):
        self.calls = []

    def request(self, operation_id, **arguments):
        self.calls.append([operation_id, arguments])
        body = arguments.get("body") or {}
        numbered = lambda key: [{"id": str(n), "created": True, **one} for n, one in enumerate(body[key])]
        if operation_id == "CreateElements":
            return numbered("elements")
        if operation_id == "CreateElementTranscriptions":
            return numbered("transcriptions")
        if operation_id == "CreateElementChildren":
            return body
        if operation_id == "ListCorpusMLClasses":
            return [{"name": "old", "id": "class of old"}]
        if operation_id == "ListCorpusEntityTypes":
            return [{"name": "person", "id": "type of person"}]
        if operation_id == "RetrieveCorpus":
            return {"types": [{"slug": "page"}]}
        if operation_id.startswith("Retrieve"):
            return {"id": str(arguments["id"]), "name": "set"}
        if operation_id == "CreateClassifications":
            return {"classifications": numbered("classifications")}
        if operation_id.startswith(("List", "ListProcess")):
            return []
        return {"id": operation_id, **{key: body[key] for key in body if isinstance(body[key], list)}}

    paginate = request
"""

# Calls of both versions. Where their arguments differ there are two lists.
CALLS = """
page, line = Element(**told["page"]), Element(**{**told["page"], "id": "line"})
text = Transcription(id="text")
square = [[0, 0], [10, 0], [10, 10.5], [0, 10]]
kind = {"name": "1", "type": "line", "polygon": square}
note = {"type": MetaType.Numeric, "name": "n", "value": 0.5}
spoken = {"text": "a", "confidence": 0.5}
calls = [
    lambda: w.create_sub_element(page, "line", "1", square, 0.5),
    lambda: w.create_sub_element(page, "line", "1", image=told["uuid"]),
    lambda: w.create_elements(page, [kind] * 120),
    lambda: w.create_elements(page, [{**kind, "confidence": 1.0}] * 3, batch_size=2),
    lambda: w.create_element_parent(page, line),
    lambda: w.create_element_parent(parent=line, child=page),
    lambda: w.create_element_children(page, [line, line]),
    lambda: w.partial_update_element(page, name="2", rotation_angle=90, mirrored=True),
    lambda: w.partial_update_element(page, polygon=square, confidence=None),
    lambda: w.list_elements(type="line", folder=False, name="1", top_level=True, worker_run=False),
    lambda: w.list_element_children(page, recursive=True, with_zone=False, with_classes=True),
    lambda: w.list_element_parents(page, transcription_worker_run=told["uuid"], with_metadata=True),
    lambda: w.create_transcription(page, "a", 0.5),
    lambda: w.create_transcription(page, "a", 0.5, TextOrientation.VerticalLeftToRight),
    lambda: w.create_transcriptions([{**spoken, "element_id": "1"}] * 51),
    lambda: w.create_element_transcriptions(page, "line", [{**spoken, "polygon": square}] * 51),
    lambda: w.list_transcriptions(page, element_type="line", recursive=False, worker_run="r"),
    lambda: w.create_classification(page, "old", 0.5),
    lambda: w.create_classification(page, "new", 0.5, high_confidence=True),
    lambda: w.create_classifications(page, [{"ml_class": "new", "confidence": 0.5}] * 51),
    lambda: w.check_required_entity_types(["person", "place"]),
    lambda: w.list_transcription_entities(text, worker_run=False),
    lambda: w.create_metadata_bulk(page, [note] * 51),
    lambda: w.list_element_metadata(page, load_parents=True),
    lambda: w.list_process_elements(),
    lambda: list(w.list_set_elements(Set(name="train", dataset=Dataset(id="d")))),
]
calls += {
    "04": lambda: [
        lambda: w.check_required_types("page", "line", create_missing=True),
        lambda: w.create_metadata(page, MetaType.Date, "year", "1700", "entity"),
        lambda: w.create_entity("Anna", "person", {"a": 1}, True),
        lambda: w.create_transcription_entity(text, "entity", 0, 4, 0.5),
        lambda: w.create_transcription_entities(
            text, [{"name": "A", "type_id": "t", "offset": 0, "length": 1}]
        ),
        lambda: w.list_corpus_entities(name="a", parent=page),
        lambda: w.update_dataset_state(Dataset(id="d"), DatasetState.Complete),
        lambda: w.create_iiif_url("http://images.test/1"),
    ],
    "06": lambda: [
        lambda: w.check_required_types(["Page", "Line"], create_missing=True),
        lambda: w.retrieve_element("line"),
        lambda: w.create_transcription_entity(text, type_id="t", offset=0, length=4),
        lambda: w.create_transcription_entities(text, [{"type_id": "t", "offset": 0, "length": 1}]),
        lambda: w.create_dataset("d", "lines", ["train"], unique_elements=False),
        lambda: w.create_dataset_element(Set(name="train", dataset=Dataset(id="d")), page),
        lambda: w.destroy_dataset_element(Set(name="train", dataset=Dataset(id="d")), page),
        lambda: w.create_embedding(page, [0.5]),
        lambda: w.list_embeddings(page),
        lambda: w.list_exports(),
        lambda: w.start_export(),
    ],
}[told["version"]]()
for call in calls:
    call()
"""

# Calls that are refused; what is recorded is the class of the error instead of the request.
REFUSED = """
page, bare = Element(**told["page"]), Element(**{**told["page"], "zone": None})
text = Transcription(id="text")
square = [[0, 0], [10, 0], [10, 10], [0, 10]]
kind = {"name": "1", "type": "line", "polygon": square}
spoken = {"text": "a", "confidence": 0.5, "element_id": "1", "polygon": square}
note = {"type": MetaType.Text, "name": "n", "value": "v"}
part = {"name": "A", "type_id": "t", "offset": 0, "length": 1}
calls = [
    lambda: w.create_sub_element(None, "line", "1"),
    lambda: w.create_sub_element(page, "", "1"),
    lambda: w.create_sub_element(page, "line", 1),
    lambda: w.create_sub_element(page, "line", "1", square[:2]),
    lambda: w.create_sub_element(page, "line", "1", square, 1),
    lambda: w.create_sub_element(page, "line", "1", square, image="no uuid"),
    lambda: w.create_sub_element(bare, "line", "1", square),
    lambda: w.create_elements("page", [kind]),
    lambda: w.create_elements(bare, [kind]),
    lambda: w.create_elements(page, []),
    lambda: w.create_elements(page, [kind], batch_size=0),
    *[
        lambda change=change: w.create_elements(page, [{**kind, **change}])
        for change in (
            {"name": None}, {"type": 1}, {"polygon": None}, {"polygon": [[1, 2], [3], [4, 5]]},
            {"polygon": [[1, 2], [3, "4"], [4, 5]]}, {"confidence": 1}, {"confidence": 1.2},
        )
    ],
    lambda: w.create_element_parent(page, "line"),
    lambda: w.create_element_children(page, ["line"]),
    *[
        lambda change=change: w.partial_update_element(page, **change)
        for change in (
            {"type": 1}, {"polygon": square[:2]}, {"confidence": "1"}, {"rotation_angle": -1},
            {"mirrored": 1}, {"image": told["uuid"]},
        )
    ],
    lambda: w.list_elements(folder=1),
    lambda: w.list_elements(nothing=True),
    lambda: w.list_element_children(page, worker_run=True),
    lambda: w.list_element_parents(page, type=1),
    lambda: w.create_transcription(page, "", 0.5),
    lambda: w.create_transcription(page, "a", 1),
    lambda: w.create_transcription(page, "a", 0.5, "horizontal-lr"),
    *[
        lambda change=change: w.create_transcriptions([{**spoken, **change}])
        for change in ({"element_id": None}, {"text": ""}, {"confidence": None}, {"orientation": 1})
    ],
    *[
        lambda change=change: w.create_element_transcriptions(page, "line", [{**spoken, **change}])
        for change in ({"polygon": square[:2]}, {"element_confidence": 2.0}, {"text": 1})
    ],
    lambda: w.list_transcriptions(page, recursive="yes"),
    lambda: w.create_classification(page, "old", 1),
    lambda: w.create_classification(page, "old", 0.5, "yes"),
    lambda: w.create_classifications(page, [{"ml_class": None, "confidence": 0.5}]),
    lambda: w.retrieve_ml_class("unknown"),
    lambda: w.create_transcription_entities(text, [part, part]),
    lambda: w.create_transcription_entities(text, [{**part, "offset": -1}]),
    lambda: w.create_transcription_entities(text, [{**part, "length": 0}]),
    lambda: w.create_metadata(page, "text", "n", "v"),
    lambda: w.create_metadata(page, MetaType.Text, "n", ""),
    lambda: w.create_metadata_bulk(page, [{**note, "value": None}]),
    lambda: w.create_metadata_bulk(page, [note], batch_size="1"),
    lambda: w.list_element_metadata(page, load_parents=1),
    lambda: list(w.list_set_elements("train")),
    lambda: w.download_export("no uuid"),
]
refused = []
for call in calls:
    try:
        call()
    except Exception as error:
        refused.append(type(error).__name__)
    else:
        refused.append(None)
w.api_client.calls = refused
"""

THEIRS = """
import json, sys, types
from arkindex_worker.models import Dataset, Element, Transcription
from arkindex_worker.worker import ElementsWorker, MetaType
from arkindex_worker.worker.transcription import TextOrientation
told = json.loads(sys.argv[1])
if told["version"] == "04":
    from arkindex_worker.models import Set
    from arkindex_worker.worker.dataset import DatasetState
else:
    from arkindex_worker.models import DatasetSet as Set

class Worker(ElementsWorker):
    corpus_id = told["corpus"]
    is_read_only = False
    def __init__(self):
        self.worker_run_id, self.use_cache = told["run"], False
        self.process_information = {"id": told["process"]}
        self.classes, self.corpus_types, self.entity_types = {}, {}, {}

w = Worker()
w.api_client = Recorder()
"""

WRITE = """
json.dump(w.api_client.calls, sys.stdout, default=str)
"""


def told(version: str) -> dict[str, Any]:
    return {
        "version": version,
        "page": element(),
        "uuid": uuid(1),
        "corpus": CORPUS,
        "run": RUN,
        "process": PROCESS,
    }


def theirs(version: str, calls: str = CALLS) -> Any:
    """Run the calls with a version of the published library and return its requests."""
    client = {"04": "arkindex-0.4", "06": "arkindex"}[version]
    python = Path(sys.prefix, "clients", client, "bin", "python")
    if not python.exists():
        pytest.skip("make venv installs the published library")
    program = RECORDER + THEIRS + calls + WRITE
    ended = subprocess.run(
        [python, "-W", "ignore", "-c", program, json.dumps(told(version))],
        capture_output=True, text=True, timeout=ANSWER_S, check=False,
    )  # fmt: skip
    if "libmagic" in ended.stderr:
        pytest.skip("the published library 0.6 needs libmagic of the system")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def ours(version: str, calls: str = CALLS) -> Any:
    """Run the calls with our helpers and return their requests."""
    worker = Helpers(FakeApi())
    names: dict[str, Any] = {
        "w": worker,
        "told": told(version),
        "Dataset": models.Dataset,
        "DatasetState": datasets.DatasetState,
        "Element": models.Element,
        "MetaType": metadata.MetaType,
        "Set": models.Set,
        "TextOrientation": transcriptions.TextOrientation,
        "Transcription": models.Transcription,
    }
    exec(RECORDER + "w.api_client = Recorder()\n" + calls, names)
    return json.loads(json.dumps(worker.api_client.calls, default=str))


def without(calls: list[Any], *, arguments: tuple[str, ...]) -> list[Any]:
    """Return requests without what the version that is compared with does not know."""
    return [
        [
            name,
            {
                key: {k: v for k, v in value.items() if k not in arguments}
                if key == "body" and isinstance(value, dict)
                else value
                for key, value in sent.items()
                if key not in arguments
            },
        ]
        for name, sent in calls
    ]


def test_the_requests_are_those_of_version_0_4() -> None:
    found = theirs("04")
    assert len(found) > 40
    assert ours("04") == found


def test_the_requests_are_those_of_version_0_6_but_for_what_0_4_has_more() -> None:
    found = theirs("06")
    assert len(found) > 40
    # 0.4 always says of which entity metadata are, and whether it wants images.
    more = ("entity_id", "with_image")
    mine = without(ours("06"), arguments=more)
    for name, sent in mine:
        if name == "CreateMetaDataBulk":
            for one in sent["body"]["metadata_list"]:
                one.pop("entity_id")
    assert mine == found


@pytest.mark.parametrize("version", ["04", "06"])
def test_the_texts_that_are_looked_for_in_answers_are_those_of_the_published_library(
    version: str,
) -> None:
    client = {"04": "arkindex-0.4", "06": "arkindex"}[version]
    library = Path(sys.prefix, "clients", client, "lib")
    sources = list(library.glob("python*/site-packages/arkindex_worker/worker/classification.py"))
    if not sources:
        pytest.skip("make venv installs the published library")
    assert classifications.DUPLICATE in sources[0].read_text("utf-8")


@pytest.mark.parametrize("version", ["04", "06"])
def test_what_the_published_library_refuses_we_refuse_with_the_same_error(version: str) -> None:
    found = theirs(version, REFUSED)
    assert len(found) > 30
    assert None not in found
    assert ours(version, REFUSED) == found
