"""A worker with all helpers, on an API that records what it is asked and answers from a table."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshore.corpus import cache
from longshore.corpus.classifications import ClassificationMixin
from longshore.corpus.client import ErrorResponse
from longshore.corpus.corpora import CorpusMixin
from longshore.corpus.datasets import DatasetMixin
from longshore.corpus.elements import ElementMixin
from longshore.corpus.embeddings import EmbeddingMixin
from longshore.corpus.entities import EntityMixin
from longshore.corpus.images import ImageMixin
from longshore.corpus.metadata import MetaDataMixin
from longshore.corpus.models import Element
from longshore.corpus.process_elements import ProcessMixin
from longshore.corpus.tasks import TaskMixin
from longshore.corpus.training import TrainingMixin
from longshore.corpus.transcriptions import TranscriptionMixin
from longshore.corpus.worker_versions import WorkerVersionMixin

CORPUS = "11111111-1111-4111-8111-111111111111"
RUN = "22222222-2222-4222-8222-222222222222"
PROCESS = "33333333-3333-4333-8333-333333333333"
IMAGE = "44444444-4444-4444-8444-444444444444"
ELEMENT = "55555555-5555-4555-8555-555555555555"
TASK = "66666666-6666-4666-8666-666666666666"

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]

Answer = Callable[..., Any] | ErrorResponse | Any


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


class FakeApi:
    """Answers are values, functions of the arguments, errors; lists of them are used up in turn."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[str, list[Answer]] = {}

    def answers(self, operation_id: str, *answers: Answer) -> None:
        """Set the answers of an operation; the last one stays."""
        self._answers[operation_id] = list(answers)

    def request(self, operation_id: str, **arguments: Any) -> Any:
        self.calls.append((operation_id, arguments))
        left = self._answers.get(operation_id)
        assert left, f"no answer is prepared for {operation_id}"
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, ErrorResponse):
            raise answer
        return answer(**arguments) if callable(answer) else answer

    paginate = request

    def bodies(self, operation_id: str) -> list[Any]:
        return [arguments["body"] for name, arguments in self.calls if name == operation_id]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class Arguments:
    """The last one to be asked for arguments, as BaseWorker is."""

    def add_arguments(self) -> None:
        self.arguments_added = True


class Helpers(
    ElementMixin,
    DatasetMixin,
    ClassificationMixin,
    CorpusMixin,
    TranscriptionMixin,
    WorkerVersionMixin,
    EntityMixin,
    MetaDataMixin,
    ImageMixin,
    ProcessMixin,
    EmbeddingMixin,
    TaskMixin,
    TrainingMixin,
    Arguments,
):
    """A worker that has been configured."""

    corpus_id = CORPUS
    is_read_only = False

    def __init__(self, api: FakeApi) -> None:
        self.api = self.api_client = api
        self.parser = ArgumentParser()
        self.args = Namespace(set=[])
        self.worker_run_id = RUN
        self.task_id = TASK
        self.model_version_id = None
        self.process_information = {"id": PROCESS}
        self.use_cache = False
        self.classes = {}
        self.corpus_types = {}
        self.entity_types = {}
        self.work_dir = Path()


def error(status_code: int, **content: Any) -> ErrorResponse:
    return ErrorResponse(title=f"{status_code} Error", status_code=status_code, content=content)


def element(**changes: Any) -> Element:
    image = {
        "id": IMAGE,
        "width": 100,
        "height": 50,
        "url": "http://images.test/iiif/page",
        "s3_url": None,
        "server": {"max_width": None, "max_height": None},
    }
    made = {
        "id": ELEMENT,
        "type": "page",
        "name": "1r",
        "corpus": {"id": CORPUS},
        "rotation_angle": 0,
        "mirrored": False,
        "zone": {
            "polygon": [[0, 0], [100, 0], [100, 50], [0, 50], [0, 0]],
            "url": "http://images.test/iiif/page/0,0,100,50/full/0/default.jpg",
            "image": image,
        },
    }
    return Element({**made, **changes})


@pytest.fixture
def worker() -> Helpers:
    return Helpers(FakeApi())


@pytest.fixture
def cached_worker(worker: Helpers, tmp_path: Path) -> Iterator[Helpers]:
    """The same with a cache that has one element, `cached_element()`."""
    cache.init_cache_db(tmp_path / "db.sqlite")
    cache.create_version_table()
    cache.create_tables()
    cache.CachedImage.create(id=IMAGE, width=100, height=50, url="http://images.test/iiif/page")
    cache.CachedElement.create(
        id=ELEMENT, type="page", image_id=IMAGE, polygon=SQUARE, initial=True
    )
    worker.use_cache = True
    yield worker
    cache.db.close()


def cached_element() -> cache.CachedElement:
    return cache.CachedElement.get_by_id(ELEMENT)
