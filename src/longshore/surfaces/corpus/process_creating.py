"""Making processes: what they are over, and which workers run, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, insert, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.errors import TooLarge
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus import configurations, scope, worker_runs, workers
from longshore.surfaces.corpus.processes import Process, Selection, get
from longshore.surfaces.corpus.scope import refusal, unknown, uuid_of
from longshore.surfaces.corpus.states import Mode
from longshore.surfaces.corpus.tables import (
    corpus_dataset_sets,
    corpus_datasets,
    corpus_elements,
    corpus_process_sets,
    corpus_processes,
    corpus_types,
    corpus_worker_runs,
)
from longshore.surfaces.corpus.workers import Version

_RUN_COLUMNS: Final = (
    "id", "process_id", "worker_version_id", "model_version_id", "configuration_id", "run_key",
    "parents", "summary", "position",
)  # fmt: skip


class NewRun(msgspec.Struct, frozen=True):
    """A worker of a process that is to be made.

    Attributes:
        worker: its slug.
        version: the one that was entered last, unless given.
        configuration: values that the user chooses, or the id of a stored configuration.
        model_version: id of a version of a model.
        parents: places, in the list of the process's workers, of those that must be over first.
    """

    worker: str
    version: str | None = None
    configuration: dict[str, Any] | str | None = None
    model_version: str | None = None
    parents: list[int] = []


class NewProcess(msgspec.Struct, frozen=True):
    """A process that is to be made.

    Attributes:
        element_type: slug of the type of its elements.
        elements: ids of its elements.
        parent: an element that its elements are below, at any depth.
        sets: ids of sets of datasets, for mode `dataset`.
        chunks: into how many tasks the elements are split, for each worker.
        activity: whether each element is to be processed once, and its state kept.
        queue: whether tasks ask for the next element, in place of being given a list.
        activity_timeout_s: how long a program without a heartbeat may take for an element.
        use_cache: whether its first tasks are given the elements in a cache.
    """

    corpus: str
    workers: list[NewRun]
    mode: Mode = Mode.WORKERS
    name: str = ""
    element_type: str | None = None
    elements: list[str] | None = None
    parent: str | None = None
    sets: list[str] = []
    chunks: int = 1
    activity: bool = True
    queue: bool = False
    activity_timeout_s: float = limits.ACTIVITY_TIMEOUT_S
    use_cache: bool = False


def create(connection: Connection, principal: Principal, new: NewProcess) -> Process:
    """Make a process; nothing is run before it is started.

    Raises:
        InvalidRequest: something that the body names does not exist, or does not go together.
        TooLarge: it names more than a process may have.
    """
    organisation_id = principal.organisation_id
    corpus_id = scope.named_corpus(connection, organisation_id, new.corpus)
    _check(new)
    set_ids = _sets(connection, corpus_id, new)
    selection = Selection(
        type=_type(connection, corpus_id, new.element_type),
        parent=_parent(connection, organisation_id, corpus_id, new.parent),
        ids=_elements(connection, corpus_id, new.elements),
    )
    versions = [
        workers.named(connection, organisation_id, run.worker, run.version, "workers", place)
        for place, run in enumerate(new.workers)
    ]
    process_id = ids.uuid()
    name = new.name.strip() or ", then ".join(dict.fromkeys(each.name for each in versions))
    connection.execute(
        insert(corpus_processes).values(
            id=process_id,
            organisation_id=organisation_id,
            corpus_id=corpus_id,
            name=name[: limits.NAME_CHARACTERS],
            mode=new.mode.value,
            creator=principal.key_name,
            chunks=new.chunks,
            activity=new.activity and new.mode in (Mode.WORKERS, Mode.LOCAL),
            queued=new.queue,
            use_cache=new.use_cache,
            activity_timeout_s=new.activity_timeout_s,
            selection=msgspec.json.encode(selection).decode(),
            created_us=now_us(connection),
        )
    )
    insert_rows(
        connection,
        corpus_process_sets,
        ("process_id", "set_id", "position"),
        [(process_id, set_id, place) for place, set_id in enumerate(set_ids)],
    )
    _make_runs(connection, organisation_id, process_id, new, versions)
    return get(connection, organisation_id, process_id)


def _check(new: NewProcess) -> None:
    if not new.workers:
        raise refusal("workers: give at least one.", "workers", code="required")
    if len(new.workers) > limits.PROCESS_WORKERS:
        raise TooLarge(f"workers: a process has at most {limits.PROCESS_WORKERS}.")
    if len(new.name) > limits.NAME_CHARACTERS:
        raise refusal(f"name: it may have {limits.NAME_CHARACTERS} characters.", "name")
    if not 1 <= new.chunks <= limits.PROCESS_CHUNKS:
        raise refusal(f"chunks: it is {new.chunks}; give 1 to {limits.PROCESS_CHUNKS}.", "chunks")
    if not 1 <= new.activity_timeout_s <= limits.PAUSE_MAX_S:
        raise refusal(
            f"activity_timeout_s: it is {new.activity_timeout_s}; give 1 to "
            f"{limits.PAUSE_MAX_S:.0f} seconds.",
            "activity_timeout_s",
        )
    _check_mode(new)
    for place, run in enumerate(new.workers):
        for parent in run.parents:
            if not 0 <= parent < place:
                raise refusal(
                    f"workers: worker {place} has the parent {parent}. Parents are the places, "
                    "counted from 0, of workers that come before it in the list.",
                    "workers",
                    place,
                    "parents",
                )


def _check_mode(new: NewProcess) -> None:
    chosen = new.element_type is not None or new.elements is not None or new.parent is not None
    if new.mode is Mode.DATASET:
        if not new.sets:
            raise refusal("sets: a process over datasets needs some.", "sets", code="required")
        if chosen or new.chunks != 1 or new.queue:
            raise refusal(
                "mode: a process over datasets has sets, and neither elements, nor several chunks, "
                "nor a queue of elements.",
                "mode",
            )
        return
    if new.sets:
        raise refusal(f"sets: a process of mode {new.mode} has none; use mode dataset.", "sets")
    if not chosen and new.mode is not Mode.EXPORT:
        raise refusal(
            "element_type: say which elements the process is for: by element_type, by elements "
            "(ids), or by the element (parent) that they are below.",
            "element_type",
            code="required",
        )
    if new.mode in (Mode.LOCAL, Mode.EXPORT) and new.chunks != 1:
        raise refusal(f"chunks: the elements of a process of mode {new.mode} are one.", "chunks")
    if new.use_cache and (new.mode is not Mode.WORKERS or new.queue):
        raise refusal(
            "use_cache: only a process of mode workers without a queue has a cache, in which its "
            "tasks find their elements.",
            "use_cache",
        )
    if new.queue and not (new.activity and new.mode is Mode.WORKERS):
        raise refusal("queue: only a process of mode workers with activity has a queue.", "queue")


def _sets(connection: Connection, corpus_id: str, new: NewProcess) -> list[str]:
    wanted = {place: uuid_of(each) for place, each in enumerate(new.sets)}
    query = (
        select(corpus_dataset_sets.c.id)
        .join(corpus_datasets, corpus_datasets.c.id == corpus_dataset_sets.c.dataset_id)
        .where(
            corpus_datasets.c.corpus_id == corpus_id,
            corpus_dataset_sets.c.id.in_([each for each in wanted.values() if each is not None]),
        )
    )
    known = set(connection.scalars(query))
    for place, each in wanted.items():
        if each not in known:
            raise unknown("set of a dataset of the corpus", new.sets[place], "sets", place)
    return [each for each in dict.fromkeys(wanted.values()) if each is not None]


def _type(connection: Connection, corpus_id: str, slug: str | None) -> str | None:
    if slug is None:
        return None
    known = set(
        connection.scalars(select(corpus_types.c.slug).where(corpus_types.c.corpus_id == corpus_id))
    )
    if slug not in known:
        raise refusal(
            f"element_type: the corpus has no type {slug[:80]!a}. It has "
            f"{', '.join(sorted(known)) or 'none'}.",
            "element_type",
            code="does_not_exist",
        )
    return slug


def _parent(
    connection: Connection, organisation_id: str, corpus_id: str, given: str | None
) -> str | None:
    if given is None:
        return None
    found = scope.found_element(connection, organisation_id, given)
    if found is None or found.corpus_id != corpus_id:
        raise unknown("element of the corpus", given, "parent")
    return found.id


def _elements(
    connection: Connection, corpus_id: str, given: Sequence[str] | None
) -> list[str] | None:
    if given is None:
        return None
    if len(given) > limits.PROCESS_ELEMENTS_GIVEN:
        raise TooLarge(
            f"elements: {len(given)} ids, and at most {limits.PROCESS_ELEMENTS_GIVEN} can be given. "
            "Choose them by element_type or parent."
        )
    wanted = [uuid_of(each) for each in given]
    dialect = connection.dialect.name
    rows = given_rows(dialect, id=Text)
    query = (
        select(corpus_elements.c.id)
        .join(rows, rows.c.id == corpus_elements.c.id)
        .where(corpus_elements.c.corpus_id == corpus_id)
    )
    parameters = given_parameters(dialect, [(each,) for each in wanted if each is not None], 1)
    known = set(connection.execute(query, parameters).scalars())
    for place, each in enumerate(wanted):
        if each not in known:
            raise unknown("element of the corpus", given[place], "elements", place)
    return [each for each in dict.fromkeys(wanted) if each is not None]


def _make_runs(
    connection: Connection,
    organisation_id: str,
    process_id: str,
    new: NewProcess,
    versions: Sequence[Version],
) -> None:
    run_ids = [ids.uuid() for _ in new.workers]
    rows: list[tuple[Any, ...]] = []
    for place, (run, version) in enumerate(zip(new.workers, versions, strict=True)):
        if version.kind == "dataset" and new.mode is not Mode.DATASET:
            raise refusal(
                f"workers: {version.slug} works on sets of datasets. Use mode dataset.",
                "workers",
                place,
                "worker",
            )
        model = None
        if run.model_version is not None:
            model = worker_runs.named_model(
                connection, organisation_id, run.model_version, "workers", place, "model_version"
            )
        configuration_id = _configuration(connection, version, run, place)
        model_id = None if model is None else model.id
        summary = f"Worker {version.name} @ {version.version}"
        if model is not None:
            summary += f" with model {model.name} @ {model.tag or model.id}"
        rows.append(
            (
                run_ids[place],
                process_id,
                version.id,
                model_id,
                configuration_id,
                f"{version.id}|{model_id or ''}|{configuration_id or ''}",
                msgspec.json.encode(
                    [run_ids[each] for each in dict.fromkeys(run.parents)]
                ).decode(),
                summary,
                place,
            )
        )
    keys = [row[_RUN_COLUMNS.index("run_key")] for row in rows]
    if len(set(keys)) < len(keys):
        raise refusal(
            "workers: one is given twice with the same version, model and configuration; it would "
            "process each element once in any case.",
            "workers",
        )
    insert_rows(connection, corpus_worker_runs, _RUN_COLUMNS, rows)


def _configuration(connection: Connection, version: Version, run: NewRun, place: int) -> str | None:
    attr = ("workers", place, "configuration")
    if isinstance(run.configuration, str):
        found = configurations.find(connection, version.worker_id, run.configuration, *attr)
        chosen = msgspec.json.decode(found.configuration)
    else:
        chosen = run.configuration or {}
    configurations.check(version.configuration, chosen, *attr)
    return configurations.ensure(connection, version.worker_id, chosen)
