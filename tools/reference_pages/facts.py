"""The pages of settings, limits, errors and states."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args

from longshore import errors, limits
from longshore.cli import exit_codes
from longshore.engine import states
from longshore.server import problems
from longshore.settings import ClientSettings, Settings
from longshore.surfaces.corpus import datasets as corpus_datasets
from longshore.surfaces.corpus import states as corpus_states
from longshore.surfaces.scripts import viewing
from longshore.wire import apps, buckets
from tools.reference_pages import cell, documented_constants, documented_members, page


def settings_page() -> str:
    """Return the page about settings, from longshore.settings."""
    lines = [
        "# Settings",
        "",
        "Each setting is an environment variable; `longshore up` has an option for the most used ones, and an",
        "option wins over the environment. There is no configuration file.",
        "",
        "## Server",
        "",
        *_settings_table(Settings),
        "",
        "## Client, worker and command line",
        "",
        "Without any of these, they look for `.longshore/credentials.json` in the working directory and in those above it.",
        "",
        *_settings_table(ClientSettings),
    ]
    return page("longshore/settings.py", lines)


def _settings_table(model: Any) -> Iterator[str]:
    prefix = model.model_config["env_prefix"]
    yield from ("| Variable | Default | Meaning |", "|---|---|---|")
    for name, field in model.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        yield f"| `{prefix}{name.upper()}` | {default} | {cell(field.description)} |"


def limits_page() -> str:
    """Return the page about limits, from longshore.limits."""
    lines = [
        "# Limits",
        "",
        "Everything has a limit. What goes beyond one is refused before anything is changed, with a message that",
        "names the limit. `GET /longshore/v1/limits` returns them for a program.",
        "",
        "| Limit | Value | Meaning |",
        "|---|---|---|",
    ]
    parts = sorted(Path(inspect.getfile(limits)).parent.glob("*.py"))
    for name, meaning in itertools.chain.from_iterable(map(documented_constants, parts)):
        lines.append(f"| `{name}` | {_number(getattr(limits, name), name)} | {cell(meaning)} |")
    return page("longshore/limits", lines)


def _number(value: float, name: str) -> str:
    mib = 1024 * 1024
    if name.endswith("_BYTES") and value % mib == 0:
        return f"{value // mib:,} MiB"
    if name.endswith("_S"):
        return f"{value / 3600:g} h" if value >= 3600 else f"{value:g} s"
    return f"{value:,}"


def errors_page() -> str:
    """Return the page about errors, from longshore.errors and the server's table of statuses."""
    lines = [
        "# Errors",
        "",
        "Every error has a stable `code`, a message that says what happened, why, and what to do next, and the id of the",
        "request. The Python client raises the class; the command line ends with the exit status.",
        "",
        'Under `/api/v2` an error is `{"message": ..., "code": ..., "request_id": ...}`; under `/longshore` it is an RFC 9457',
        'problem: `{"type", "title", "status", "detail", "code", "request_id"}`.',
        "",
        "| Class | `code` | HTTP | Exit | Meaning |",
        "|---|---|---|---|---|",
    ]
    for kind in tree(errors.LongshoreError):
        status = _status(kind)
        code = exit_codes.of(_instance(kind))
        meaning = (inspect.getdoc(kind) or "").partition("\n")[0]
        lines.append(
            f"| `{kind.__name__}` | `{kind.code}` | {status} | {int(code)} | {cell(meaning)} |"
        )
    lines += ["", "## The tree", "", "```", *_drawn_tree(errors.__doc__ or ""), "```"]
    return page("longshore/errors.py", lines)


def tree(root: type) -> Iterator[Any]:
    """Yield a class and the classes below it that are of its module."""
    yield root
    children: list[Any] = root.__subclasses__()
    for child in children:
        if child.__module__ == root.__module__:
            yield from tree(child)


def _instance(kind: Any) -> Any:
    return kind("", delay_s=1.0) if kind.code == "retry_later" else kind("")


def _status(kind: type[errors.LongshoreError]) -> str:
    client_only = {"ServerUnreachable", "WaitTimeout", "WorkControl", "RetryLater", "Reject"}
    return "" if kind.__name__ in client_only else str(problems.TABLE[kind][0])


def _drawn_tree(docstring: str) -> list[str]:
    text = inspect.cleandoc(docstring)
    return inspect.cleandoc(text.split("\n\n")[1]).splitlines()


STATE_DIAGRAM: Final = """
                 submitted                 claimed                done
  (new) ----------------------> queued ---------------> running ---------> success
    |                           ^  ^ ^                  |  |  |
    | blocked, delayed          |  | |   handed_back    |  |  |  cancel_confirmed
    v                  released |  | +------------------+  |  +---------> cancelled
  waiting ----------------------+  |                       |                 ^
    |                              | retried               | failed, timed_out,
    |                              |                       | rejected, lease_expired,
    |                              |                       v worker_lost     |
    |                              +------------------- failure -------------+
    |                                                             cancelled  |
    +------------------------------------------------------------------------+
        dependency_failed, cancelled (queued works are cancelled the same way)
"""


def states_page() -> str:
    """Return the page about states: the engine's, and what the surfaces call them."""
    meanings = documented_members(Path(inspect.getfile(states)), "State")
    lines = [
        "# States",
        "",
        "A work is in one of six states. Why it is there, its *reason*, is kept apart: two reasons may lead to one state.",
        "Being *held* is not a state: it is a mark on a queue, or the reason why a single work waits.",
        "",
        "```",
        *STATE_DIAGRAM.strip("\n").splitlines(),
        "```",
        "",
        "| State | Meaning |",
        "|---|---|",
        *(f"| `{state.value}` | {cell(meanings[state.name])} |" for state in states.State),
        "",
        "## Transitions",
        "",
        "Every legal change, by its reason. Nothing else can happen: the one statement that changes a state names these",
        "source states in its `WHERE`, and each change writes an event in the same transaction.",
        "",
        "| Reason | From | To | Meaning |",
        "|---|---|---|---|",
        *map(_transition, states.TRANSITIONS.items()),
        "",
        "## What the surfaces call them",
        "",
        "Each protocol has words of its own. They are computed from the works' states whenever somebody asks, and stored",
        "nowhere, so that the two cannot disagree.",
        *_surface_states(),
    ]
    return page("longshore/engine/states.py", lines)


def _transition(row: tuple[states.Reason, states.Change]) -> str:
    reason, change = row
    sources = ", ".join(f"`{state.value}`" for state in states.State if state in change.sources)
    again = " Tried again while attempts are left." if change.retryable else ""
    return f"| `{reason.value}` | {sources or '(new)'} | `{change.target.value}` | {change.meaning}{again} |"


def _surface_states() -> Iterator[str]:
    for title, words, sentence in surface_states():
        yield from ("", f"### {title}", "", sentence, "", "| State | Meaning |", "|---|---|")
        yield from (f"| `{word}` | {cell(meaning)} |" for word, meaning in words.items())


PIPELINE: Final = {
    "created": "No chunk has been pushed yet.",
    "in_progress": "It takes chunks.",
    "closed": "It takes no more chunks, and computes what it has.",
    "closed_by_timeout": "The same, because no request about it came for half an hour.",
    "completed": "Closed, and everything is computed.",
    "completed_by_timeout": "Closed by time-out, and everything is computed.",
    "failed": "More records have failed than `acceptable_error_percentage` allows, and nothing is left to compute.",
    "cancelled": "Stopped on request; what was not pulled is gone.",
}
_STEPS: Final = {
    "waiting": "For steps before it, a flag, or a time.",
    "ready": "It may start; a slot or a throttle keeps it.",
    "running": "An attempt runs on its host.",
    "hold": "Held by a person, or its definition has `status: hold`.",
    "finished": "Its last attempt succeeded, or an operator said `force-ok`.",
    "failed": "No attempt is left.",
    "skipped": "Its condition was not met, or an operator left it out; what depends on it goes on.",
    "cancelled": "Stopped by an operator.",
}
_BUCKETS: Final = {
    "created": "Made in a program, and not deposited yet.",
    "queued": "May be withdrawn: `queued`, `waiting`, and a failure that will be tried again by the server.",
    "running": "Somebody holds it.",
    "success": "Finished; it moves to the results store.",
    "failure": "The last attempt failed, or the work was cancelled.",
}
_EVENTS: Final = {
    "pending": "The limit of its event or workflow keeps it from starting.",
    "running": "Steps of it wait or run.",
    "finished": "It is over, and what failed of it, if anything, is covered by a condition of a later step.",
    "failed": "It is over, and a step failed or was cancelled that no condition of a later step covers.",
    "cancelled": "Stopped by an operator.",
}


def surface_states() -> Iterator[tuple[str, dict[str, str], str]]:
    """Yield the states of each noun of the surfaces: a title, the words, and a sentence."""
    yield "Runs of apps", _members(apps.RunStatus), "A run is as its files are."
    yield "Jobs", _members(apps.JobState), "What the server does on its own, such as deleting."
    words = get_args(buckets.Status)
    yield "Works of buckets", {word: _BUCKETS[word] for word in words}, "The words of `status`."
    yield "Pipelines of records", PIPELINE, "The word is `batch_status`; a chunk is a work."
    sentence = "An activity is one element for one worker run: a work."
    yield "Activities", _members(corpus_states.Activity), sentence
    yield "Tasks", _members(corpus_states.Task), "One run of a worker's program: a work."
    yield "Processes", _members(corpus_states.Process), "A process is as its tasks are."
    yield "Datasets", _members(corpus_datasets.State), "Stored, since no work stands for a dataset."
    yield "Runs of workflows", _EVENTS, "A run is as its steps are."
    steps = {word: _STEPS[word] for word in viewing.STATUSES}
    yield (
        "Steps",
        steps,
        "A step becomes a work when it is ready; before that it is a row of its run.",
    )


_SAID: Final = {
    ("JobState", "PENDING"): "It waits for a server.",
    ("JobState", "RUNNING"): "A server is at it; another goes on if that one dies.",
    ("JobState", "COMPLETE"): "Done; it has counts.",
    ("JobState", "FAILED"): "It gave up; the message says why.",
    ("JobState", "CANCELLED"): "Stopped on request.",
    ("Activity", "QUEUED"): "It waits for a worker; so does one whose worker was lost.",
    ("Activity", "STARTED"): "A worker has it.",
    ("Activity", "PROCESSED"): "Done.",
    ("Activity", "ERROR"): "It failed, and no attempt is left.",
    ("Activity", "CANCELLED"): "The process was stopped before it.",
    ("Task", "PENDING"): "It waits for a worker that serves its program.",
    ("Task", "RUNNING"): "Its program runs.",
    ("Task", "STOPPING"): "Its program has been told to stop.",
    ("Task", "COMPLETED"): "Its program ended well.",
    ("Task", "STOPPED"): "It was stopped while it ran.",
    ("Process", "PENDING"): "None of its tasks has begun.",
    ("Process", "RUNNING"): "A task has begun, and not all have ended.",
    ("Process", "STOPPING"): "It was stopped, and a task has not let go yet.",
    ("Process", "COMPLETED"): "All tasks ended well.",
    ("Process", "FAILED"): "A task failed.",
    ("Process", "ERROR"): "A task was lost too often.",
    ("Process", "STOPPED"): "It was stopped.",
    ("Process", "CANCELLED"): "Its tasks were cancelled before they began.",
    ("State", "OPEN"): "Its sets can change.",
    (
        "State",
        "BUILDING",
    ): "It is complete as far as people are concerned; the server writes its archive.",
    ("State", "COMPLETE"): "It has an archive, and cannot change any more.",
    ("State", "ERROR"): "The archive could not be written.",
}


def _members(kind: type[StrEnum]) -> dict[str, str]:
    """Return the meanings of the members of a class of states, by their words."""
    written = documented_members(Path(inspect.getfile(kind)), kind.__name__)
    return {
        member.value: written.get(member.name) or _SAID[kind.__name__, member.name]
        for member in kind
    }
