"""Helpers for datasets, processes, exports, artifacts, images, versions of workers and models."""

from __future__ import annotations

import base64
import hashlib
import io
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import stamina

from longshore.corpus import image, multipart
from longshore.corpus.archives import extract_tar_zst_archive
from longshore.corpus.client import ErrorResponse
from longshore.corpus.corpora import ExportNotFinishedError, FailedExportError
from longshore.corpus.datasets import DatasetState, check_dataset_set
from longshore.corpus.models import Artifact, Dataset, Element, Set
from longshore.corpus.training import TAG_TAKEN
from tests.unit.corpus_mixins_rig import (
    CORPUS,
    ELEMENT,
    PROCESS,
    TASK,
    Helpers,
    element,
    error,
    uuid,
    worker,
)

__all__ = ["worker"]

DATASET = uuid(80)
MODEL = uuid(90)
TRAIN = Set(name="train", dataset=Dataset(id=DATASET, state="open"))


@pytest.fixture(autouse=True)
def _without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


class Store:
    """An HTTP server for what is sent with PUT; it may fail the first requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.failures: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if self.failures:
            return httpx.Response(self.failures.pop(0))
        etag = hashlib.md5(request.content).hexdigest()
        return httpx.Response(200, headers={"Etag": etag})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    client = httpx.Client(transport=httpx.MockTransport(made))
    monkeypatch.setattr(image, "_client", lambda *_: client)
    return made


def test_the_argument_for_sets_has_one_colon_and_a_uuid() -> None:
    assert check_dataset_set(f"{DATASET}:train") == (UUID(DATASET), "train")
    for wrong in (DATASET, f"{DATASET}:a:b", "", "dataset:train"):
        with pytest.raises(ArgumentTypeError):
            check_dataset_set(wrong)


def test_sets_are_those_of_the_process_and_then_those_of_the_command_line(worker: Helpers) -> None:
    dataset = {"id": DATASET, "state": "complete"}
    worker.api.answers(
        "ListProcessSets",
        [{"id": uuid(1), "set_name": "train", "dataset": dataset},
         {"set_name": "dev", "dataset": dataset}],
    )  # fmt: skip
    worker.api.answers("RetrieveDataset", lambda id: {"id": id, "state": "open"})  # noqa: A006 - its name
    worker.args.set = [(UUID(uuid(81)), "test"), (UUID(uuid(81)), "dev")]
    found = list(worker.list_sets())
    assert [one.name for one in found] == ["train", "dev", "test", "dev"]
    assert found[0].id == uuid(1)
    assert isinstance(found[0].dataset, Dataset)
    assert found[2].dataset is found[3].dataset
    assert str(found[0]) == f"Set (train) from Dataset ({DATASET})"
    assert worker.api.calls == [
        ("ListProcessSets", {"id": PROCESS}),
        ("RetrieveDataset", {"id": uuid(81)}),
    ]
    worker.is_read_only = True
    assert [one.name for one in worker.list_sets()] == ["test", "dev"]
    with pytest.raises(AssertionError, match="pass --set"):
        worker.list_process_sets()


def test_the_elements_of_a_set_are_complete(worker: Helpers) -> None:
    worker.api.answers("ListDatasetElements", [{"set": "train", "element": dict(element())}])
    (found,) = worker.list_set_elements(TRAIN)
    assert isinstance(found, Element)
    assert found.zone.image.width == 100
    assert worker.api.calls == [("ListDatasetElements", {"id": DATASET, "set": "train"})]
    with pytest.raises(AssertionError, match="dataset_set must be of type Set"):
        worker.list_set_elements({"name": "train"})  # type: ignore[arg-type]


def test_datasets_are_made_filled_and_changed(worker: Helpers) -> None:
    worker.api.answers("CreateDataset", lambda body, **_: {"id": DATASET, **body})
    worker.api.answers("CreateDatasetElement", {"id": uuid(1)})
    worker.api.answers("DestroyDatasetElement", None)
    worker.api.answers("PartialUpdateDataset", {"id": DATASET, "state": "building"})
    made = worker.create_dataset("lines", "of all pages", ["train", "dev"])
    assert made == {
        "id": DATASET,
        "name": "lines",
        "description": "of all pages",
        "set_names": ["train", "dev"],
        "unique_elements": True,
    }
    assert worker.create_dataset_element(TRAIN, element()) == {"id": uuid(1)}
    worker.destroy_dataset_element(TRAIN, element())
    dataset = Dataset(id=DATASET, state="open", name="lines")
    assert worker.update_dataset_state(dataset, DatasetState.Building) is dataset
    assert (dataset.state, dataset.name) == ("building", "lines")
    assert worker.api.calls[1:] == [
        ("CreateDatasetElement", {"id": DATASET, "body": {"set": "train", "element_id": ELEMENT}}),
        ("DestroyDatasetElement", {"dataset": DATASET, "element": ELEMENT, "set": "train"}),
        ("PartialUpdateDataset", {"id": DATASET, "body": {"state": "building"}}),
    ]
    with pytest.raises(AssertionError, match=r"set_names\[1\] must be text"):
        worker.create_dataset("lines", "of all pages", ["train", ""])
    with pytest.raises(AssertionError, match="state must be of type DatasetState"):
        worker.update_dataset_state(dataset, "open")  # type: ignore[arg-type]


def test_in_read_only_mode_nothing_is_made(
    worker: Helpers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worker.is_read_only = True
    path = tmp_path / "model.bin"
    path.write_bytes(b"model")
    made = [
        worker.create_dataset("lines", "of all pages", ["train"]),
        worker.create_dataset_element(TRAIN, element()),
        worker.update_dataset_state(Dataset(id=DATASET), DatasetState.Open),
        worker.start_export(),
        worker.create_iiif_url("http://images.test/iiif/1"),
    ]
    worker.destroy_dataset_element(TRAIN, element())
    worker.upload_artifact(path)
    worker.publish_model_version(tmp_path, MODEL)
    worker.create_model_version(MODEL)
    assert made == [None] * 5
    assert worker.api.calls == []
    assert caplog.text.count("as this worker is in read-only mode") == 9


def test_the_elements_of_a_process_are_listed_in_long_pages(worker: Helpers) -> None:
    worker.api.answers("ListProcessElements", [{"id": ELEMENT}])
    assert worker.list_process_elements(with_image=True) == [{"id": ELEMENT}]
    assert worker.api.calls == [
        (
            "ListProcessElements",
            {"id": PROCESS, "with_image": True, "allow_missing_data": True, "page_size": 500},
        )
    ]
    worker.process_information = None
    with pytest.raises(AssertionError, match="no process in read-only mode"):
        worker.list_process_elements()


def test_an_export_is_waited_for_and_downloaded(worker: Helpers) -> None:
    states = [[{"id": uuid(1), "state": state, "created": "2026-01-01"}]
              for state in ("created", "running", "done")]  # fmt: skip
    worker.api.answers("StartExport", {"id": uuid(1)})
    worker.api.answers("ListExports", *states)
    worker.api.answers("DownloadExport", lambda **_: named(b"SQLite"))
    export_id = worker.start_export(UUID(DATASET))
    assert export_id == uuid(1)
    path = worker.get_export(export_id, UUID(DATASET))
    assert path.read_bytes() == b"SQLite"
    path.unlink()
    assert worker.api.bodies("StartExport") == [{"dataset_id": DATASET}]
    assert worker.api.names.count("ListExports") == 3
    assert worker.api.calls[1] == ("ListExports", {"id": CORPUS, "dataset_id": DATASET})


def test_an_export_that_fails_or_does_not_end_is_an_error(
    worker: Helpers, caplog: pytest.LogCaptureFixture
) -> None:
    worker.api.answers("ListExports", [{"id": uuid(1), "state": "failed", "created": "1"}])
    with pytest.raises(FailedExportError, match="start another one"):
        worker.get_export(uuid(1))
    worker.api.answers("ListExports", [{"id": uuid(1), "state": "running", "created": "1"}])
    with pytest.raises(ExportNotFinishedError, match="still running"):
        worker.get_export(uuid(1))
    assert "still running" in caplog.text
    worker.check_export_status(uuid(2))  # one that is not listed is taken to be there


def test_an_export_that_exists_is_used(worker: Helpers) -> None:
    refusal = {"attr": None, "code": "existing_export", "detail": "There is one."}
    worker.api.answers("StartExport", error(400, type="validation_error", errors=[refusal]))
    worker.api.answers(
        "ListExports",
        [{"id": uuid(1), "state": "done", "created": "2026-01-01"},
         {"id": uuid(2), "state": "done", "created": "2026-02-01"}],
    )  # fmt: skip
    assert worker.start_export() == uuid(2)
    worker.api.answers("StartExport", error(400, dataset_id=["unknown"]))
    with pytest.raises(ErrorResponse):
        worker.start_export()


def test_the_latest_export_is_the_newest_that_is_done(worker: Helpers) -> None:
    worker.api.answers(
        "ListExports",
        [{"id": uuid(1), "state": "done", "updated": "2026-01-01"},
         {"id": uuid(2), "state": "done", "updated": "2026-02-01"},
         {"id": uuid(3), "state": "running", "updated": "2026-03-01"}],
        [],
    )  # fmt: skip
    worker.api.answers("DownloadExport", lambda **_: named(b"SQLite"))
    assert worker.download_latest_export().read() == b"SQLite"
    assert worker.api.calls[-1] == ("DownloadExport", {"id": uuid(2)})
    with pytest.raises(AssertionError, match="has no export that is done"):
        worker.download_latest_export()
    with pytest.raises(ValueError, match="export_id must be a UUID"):
        worker.download_export("latest")


def named(data: bytes) -> Any:
    file = io.BytesIO(data)
    file.name = "export.sqlite"
    return file


def test_artifacts_are_listed_and_downloaded(worker: Helpers) -> None:
    worker.api.answers("ListArtifacts", [{"id": uuid(1), "path": "logs/a.txt"}])
    worker.api.answers("DownloadArtifact", lambda **_: io.BytesIO(b"a"))
    (artifact,) = worker.list_artifacts(UUID(TASK))
    assert str(artifact) == f"Artifact ({uuid(1)})"
    assert worker.download_artifact(UUID(TASK), artifact).read() == b"a"
    assert worker.api.calls[-1] == ("DownloadArtifact", {"id": TASK, "path": "logs/a.txt"})
    with pytest.raises(AssertionError, match="task_id must be of type UUID"):
        worker.list_artifacts(TASK)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="artifact must be of type Artifact"):
        worker.download_artifact(UUID(TASK), "a")  # type: ignore[arg-type]
    assert isinstance(artifact, Artifact)


def test_a_file_is_sent_as_an_artifact_again_where_the_store_falters(
    worker: Helpers, store: Store, tmp_path: Path
) -> None:
    worker.work_dir = tmp_path
    path = tmp_path / "out" / "lines.json"
    path.parent.mkdir()
    path.write_bytes(b"[]")
    store.failures = [503]
    worker.api.answers("CreateArtifact", {"s3_put_url": "http://store.test/put"})
    worker.upload_artifact(path)
    assert worker.api.calls == [
        (
            "CreateArtifact",
            {
                "id": TASK,
                "body": {"path": "out/lines.json", "content_type": "application/json", "size": 2},
            },
        )
    ]
    assert [request.content for request in store.requests] == [b"[]", b"[]"]
    assert store.requests[0].headers["Content-Type"] == "application/json"
    assert store.requests[0].headers["Content-Length"] == "2"
    assert "Authorization" not in store.requests[0].headers
    with pytest.raises(AssertionError, match="there is no file"):
        worker.upload_artifact(tmp_path / "none")


def test_an_image_of_a_server_is_made_known(worker: Helpers) -> None:
    worker.api.answers("CreateIIIFURL", {"id": uuid(1), "width": 5})
    made = worker.create_iiif_url("http://images.test/iiif/1")
    assert made is not None
    assert (str(made), made.width) == (f"Image ({uuid(1)})", 5)


def test_a_version_of_a_worker_is_asked_for_once(worker: Helpers) -> None:
    worker.api.answers("RetrieveWorkerVersion", {"worker": {"slug": "reader"}})
    with pytest.warns(DeprecationWarning, match="WorkerVersion usage is deprecated"):
        assert worker.get_worker_version_slug(uuid(1)) == "reader"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        assert worker.get_worker_version(uuid(1)) == {"worker": {"slug": "reader"}}
    assert worker.api.names == ["RetrieveWorkerVersion"]
    with (
        pytest.raises(ValueError, match="without an id"),
        pytest.warns(DeprecationWarning, match="deprecated"),
    ):
        worker.get_worker_version(None)  # type: ignore[arg-type]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "weights.bin").write_bytes(b"weights")
    (path / "a.txt").write_bytes(b"words")
    return path


def test_a_model_version_is_published(
    worker: Helpers, store: Store, model: Path, tmp_path: Path
) -> None:
    pending = {
        "id": uuid(1),
        "model_id": MODEL,
        "state": "created",
        "s3_put_url": "http://s.test/1",
    }
    worker.api.answers("CreateModelVersion", pending)
    worker.api.answers("PartialUpdateModelVersion", {"id": uuid(1), "state": "available"})
    worker.publish_model_version(model, MODEL, tag="v1", parent=UUID(uuid(7)))
    assert worker.api.calls[0] == (
        "CreateModelVersion",
        {"id": MODEL, "body": {"tag": "v1", "configuration": {}, "parent": uuid(7)}},
    )
    (sent,) = store.requests
    assert sent.headers["Content-Type"] == "application/zstd"
    assert worker.api.bodies("PartialUpdateModelVersion") == [
        {
            "state": "available",
            "size": len(sent.content),
            "hash": hashlib.md5(b"words" + b"weights").hexdigest(),
            "archive_hash": hashlib.md5(sent.content).hexdigest(),
        }
    ]
    (tmp_path / "sent").write_bytes(sent.content)
    extract_tar_zst_archive(tmp_path / "sent", tmp_path / "out")[1].unlink()
    assert (tmp_path / "out" / "deep" / "weights.bin").read_bytes() == b"weights"
    assert worker.model_version == {"id": uuid(1), "state": "available"}
    with pytest.raises(AssertionError, match="has already been created"):
        worker.create_model_version(MODEL)


def test_a_version_with_the_same_files_is_used_instead(
    worker: Helpers, store: Store, model: Path
) -> None:
    pending = {
        "id": uuid(1),
        "model_id": MODEL,
        "state": "created",
        "s3_put_url": "http://s.test/1",
    }
    existing = {"id": uuid(2), "model_id": MODEL, "state": "available"}
    worker.api.answers("CreateModelVersion", pending)
    worker.api.answers("PartialUpdateModelVersion", error(409, id=[uuid(2)]))
    worker.api.answers("DestroyModelVersion", error(403))
    worker.api.answers("RetrieveModelVersion", existing)
    worker.api.answers("UpdateModelVersion", existing)
    worker.publish_model_version(model, MODEL, tag="v1")
    assert len(store.requests) == 1
    assert worker.model_version == existing
    assert worker.api.calls[-3:] == [
        ("DestroyModelVersion", {"id": uuid(1)}),
        ("RetrieveModelVersion", {"id": uuid(2)}),
        ("UpdateModelVersion", {"id": uuid(2), "body": {"tag": "v1"}}),
    ]


def test_a_tag_that_is_taken_is_left_out(worker: Helpers, caplog: pytest.LogCaptureFixture) -> None:
    worker.api.answers(
        "CreateModelVersion", error(400, non_field_errors=[TAG_TAKEN]), {"id": uuid(1)}
    )
    worker.create_model_version(MODEL, tag="v1", description="first")
    assert worker.api.bodies("CreateModelVersion")[-1] == {
        "configuration": {},
        "description": "first",
    }
    assert "`v1` is taken" in caplog.text


def test_a_model_is_sent_in_parts_where_no_address_for_the_whole_is_given(
    worker: Helpers, store: Store, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "part_bytes", lambda _: 64)
    store.failures = [500]
    pending = {"id": uuid(1), "model_id": MODEL, "state": "created"}
    worker.api.answers("CreateModelVersion", pending)
    worker.api.answers("UpdateModelVersion", pending)
    worker.api.answers("CreateMultipartUpload", {"upload_id": "u"})
    worker.api.answers("CreateMultipartUploadPart", {"url": "http://store.test/part"})
    worker.api.answers("CompleteMultipartUpload", None)
    worker.publish_model_version(model, MODEL)
    (update,) = worker.api.bodies("UpdateModelVersion")
    contents = [request.content for request in store.requests[1:]]
    assert store.requests[0].content == contents[0]
    assert update == {
        "size": sum(map(len, contents)),
        "archive_hash": hashlib.md5(b"".join(contents)).hexdigest(),
    }
    (complete,) = worker.api.bodies("CompleteMultipartUpload")
    assert complete["upload_id"] == "u"
    assert complete["parts"] == [
        {
            "part_number": number,
            "etag": hashlib.md5(content).hexdigest(),
            "checksum": None,
            "md5_hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
        }
        for number, content in enumerate(contents, start=1)
    ]
    assert len(contents) > 1
    assert worker.model_version == {**pending, "state": "available"}


def test_parts_that_cannot_be_sent_are_dropped(worker: Helpers, store: Store, model: Path) -> None:
    store.failures = [403]
    worker.api.answers("CreateMultipartUpload", {"upload_id": "u"})
    worker.api.answers("CreateMultipartUploadPart", {"url": "http://store.test/part"})
    worker.api.answers("AbortMultipartUpload", error(500))
    with pytest.raises(httpx.HTTPStatusError):
        multipart.upload_in_parts(
            worker.api, model / "a.txt", object_type="model_version", object_id=uuid(1)
        )
    assert worker.api.names[-1] == "AbortMultipartUpload"
    assert len(store.requests) == 1


@pytest.mark.parametrize(
    ("size_mib", "part_mib"), [(0, 5), (25, 5), (26, 6), (250, 50), (251, 50), (400_000, 50)]
)
def test_parts_are_neither_tiny_nor_huge(size_mib: int, part_mib: int) -> None:
    assert multipart.part_bytes(size_mib << 20) == part_mib << 20


def test_a_file_of_any_size_fits_into_the_parts_there_may_be() -> None:
    size_bytes = 1 << 42
    assert multipart.part_bytes(size_bytes) * multipart.PARTS_MAX >= size_bytes
