"""What a workflow's file says, in the form in which the rest of the surface reads it.

`reading` makes it from YAML; the JSON schema in docs and at the server is made from these classes.
Unknown keys are refused everywhere. Lengths of time are seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
"""Names of workflows, steps, areas, hosts and events; compared without regard to case."""
Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}\Z")]
"""Names of entries of the keystore; case matters."""
Seconds = Annotated[float, Meta(gt=0, le=30 * 86_400)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Retries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a step that failed is tried again, and after which pauses.

    Attributes:
        attempts: further attempts after the first.
        delay_s: pause before the second attempt.
        factor: each further pause is so many times as long.
        delay_max_s: longest pause.
    """

    attempts: Annotated[int, Meta(ge=0, le=100)] = 0
    delay_s: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    factor: Annotated[float, Meta(ge=1, le=100)] = 2.0
    delay_max_s: Annotated[float, Meta(ge=0, le=86_400)] = 300.0


class ExitCodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What exit codes mean; those that are not named fail the attempt.

    Attributes:
        success: the step is finished.
        retry: only these are tried again; None for all that are neither success nor fatal.
        fatal: the step has failed, whatever attempts are left.
    """

    success: tuple[int, ...] = (0,)
    retry: tuple[int, ...] | None = None
    fatal: tuple[int, ...] = ()


class Concurrency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `limit` steps of the organisation that name this key run at once.

    Attributes:
        key: the name that the steps share.
        limit: so many of them at once.
    """

    key: Name
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1


class Flag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Word from outside that something is there: `name` of a system for a business date.

    Attributes:
        name: what is there; case matters in all three.
        system_name: the system that it is for.
        source_system_name: the system that it comes from.
    """

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    system_name: Annotated[str, Meta(max_length=128)] = ""
    source_system_name: Annotated[str, Meta(max_length=128)] = ""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition on an earlier step; all conditions of a step must hold, or it is skipped.

    Attributes:
        step: which step; one of `depends_on`.
        state: what it must be: finished, failed, skipped, or settled (any of them).
        payload: dotted path into its payload, to compare with exactly one of the others.
        equals: the value is this one.
        not_equals: the value is another one.
        above: the value is a number above this one.
        below: the value is a number below this one.
        among: the value is one of a list.
        exists: whether there is a value at all.
    """

    step: Name
    state: Literal["finished", "failed", "skipped", "settled"] | None = None
    payload: str | None = None
    equals: Any = msgspec.UNSET
    not_equals: Any = msgspec.UNSET
    above: float | msgspec.UnsetType = msgspec.UNSET
    below: float | msgspec.UnsetType = msgspec.UNSET
    among: list[Any] | msgspec.UnsetType = msgspec.UNSET
    exists: bool | msgspec.UnsetType = msgspec.UNSET


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each process of a step may use; enforced by the operating system of its host.

    Attributes:
        memory_bytes: address space.
        cpu_s: time on a processor.
        open_files: files and sockets open at once.
        file_bytes: size of a file that it writes.
    """

    memory_bytes: Annotated[int, Meta(ge=1_048_576)] | None = None
    cpu_s: Seconds | None = None
    open_files: Annotated[int, Meta(ge=16)] | None = None
    file_bytes: Annotated[int, Meta(ge=0)] | None = None


class Status(StrEnum):
    ACTIVE = "active"
    HOLD = "hold"
    """Its runs begin on hold: what depends on it waits."""
    INACTIVE = "inactive"
    """Taken out: what depends on it goes on without it."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a workflow, after the defaults were filled in.

    Attributes:
        script: path below the host's scripts directory; exactly one of `script` and `command`.
        program: what runs the script, such as python or bash; None for python where the name
            ends in .py, else the script itself.
        command: a program with its arguments, run without a shell.
        arguments: further arguments of the script. `${run.id}`, `${run.date}`, `${step.name}`,
            `${matrix.NAME}` and `${event.FIELD}` in arguments, command and environment are
            replaced.
        host: where it runs.
        other_hosts: where it may move to when its host is lost and `on_lost_host` is move.
        on_lost_host: whether a ready step waits for its host to come back.
        on_lost_worker: what becomes of a running step whose worker died: it is run again (steps
            are to be safe to run twice), or it has failed.
        area: the group that it is held and resumed with.
        depends_on: steps that must be settled first. One that failed or was cancelled keeps it
            waiting, unless a condition of this step names that step.
        retries: of attempts that failed or passed their time limit.
        timeout_s: time limit of an attempt.
        grace_s: time between SIGTERM and SIGKILL.
        exit_codes: what the exit code of its process means.
        keystore: names of the entries that it may read; none other.
        concurrency: limits that it shares with other steps.
        when: conditions; where they do not hold, it is skipped.
        flags: flags of the run's business date that it waits for.
        matrix: one instance for each combination of values. A value is a list, or the text
            `${steps.NAME.payload.PATH}` for a list in the payload of a step it depends on.
        environment: further environment variables.
        status: hold begins each run with the step on hold, so that what depends on it waits;
            inactive takes it out, so that what depends on it goes on without it.
        limits: what each of its processes may use.
        expected_s: duration to plan with until there is history.
        description: for people.
    """

    script: str | None = None
    program: str | None = None
    command: list[str] | None = None
    arguments: list[str] = []
    host: Name
    other_hosts: list[Name] = []
    on_lost_host: Literal["wait", "move"] = "wait"
    on_lost_worker: Literal["rerun", "fail"] = "rerun"
    area: Name = "main"
    depends_on: list[Name] = []
    retries: Retries = Retries()
    timeout_s: Seconds | None = None
    grace_s: Annotated[float, Meta(ge=0, le=600)] = 10.0
    exit_codes: ExitCodes = ExitCodes()
    keystore: list[Key] = []
    concurrency: list[Concurrency] = []
    when: list[Condition] = []
    flags: list[Flag] = []
    matrix: dict[Name, list[Any] | str] = {}
    environment: dict[str, str] = {}
    status: Status = Status.ACTIVE
    limits: ProcessLimits = ProcessLimits()
    expected_s: Seconds | None = None
    description: str = ""


class Calendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days are worked on; dates as YYYY-MM-DD in the time zone of the schedule.

    Attributes:
        working_days: weekdays.
        holidays: dates on which nobody works, whatever weekday they are.
    """

    working_days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    holidays: tuple[str, ...] = ()


class EventTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each event of this name starts a run; an event name belongs to one workflow.

    Attributes:
        name: of the event, in any case.
        parallel: so many of its runs at once; 0 holds them (the contract's Automask).
        priority: lower numbers come first (Eventprt).
        stop_on_error: a failed run keeps later ones of the event from starting until it is rerun
            to success, or cancelled (Errormode 1).
    """

    name: Name
    parallel: Annotated[int, Meta(ge=0, le=10_000)] = 1
    priority: Annotated[int, Meta(ge=0, le=999)] = 100
    stop_on_error: bool = False


class ScheduleTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs at the instants of a cron expression in a time zone.

    Attributes:
        cron: five fields.
        time_zone: IANA name.
        days: which days count, by the calendar: all, the working days, the holidays that it
            lists, or the last working day of each month.
        business_date: which date the run is for.
        missed: what becomes of instants that passed while no server ran: the last of them is run
            (`last`), all (`all`), or none; each that is not run is reported as missed.
    """

    cron: str
    time_zone: str = "UTC"
    days: Literal["all", "working", "holidays", "last_working_day_of_month"] = "all"
    business_date: Literal["same_day", "previous_day", "previous_working_day"] = "same_day"
    missed: Literal["last", "all", "none"] = "last"


class WorkflowTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Starts a run, for the same business date, when a run of another workflow has ended.

    Attributes:
        name: of the workflow that is followed.
        on: how its run must have ended: finished, failed, or ended (either, or cancelled).
    """

    name: Name
    on: Literal["finished", "failed", "ended"] = "finished"


class Triggers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What starts runs besides people.

    Attributes:
        events: names of events.
        schedules: instants.
        flags: each list starts a run for a business date once all of its flags are set for it.
        workflows: others that this one follows.
    """

    events: list[EventTrigger] = []
    schedules: list[ScheduleTrigger] = []
    flags: list[list[Flag]] = []
    workflows: list[WorkflowTrigger] = []


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In which order ready steps are run: by the longest remaining path, to any end or to `step`.

    Attributes:
        path: global shortens the whole run, local what leads to one step.
        step: the one that is to finish as soon as possible; for local.
    """

    path: Literal["global", "local"] = "global"
    step: Name | None = None


class Workflow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workflow's definition.

    Attributes:
        workflow: its name.
        description: for people.
        calendar: which days its schedules count.
        triggers: what starts runs besides people.
        areas: order of the areas for people; those of the steps that are not named follow.
        order: which ready steps come first.
        steps: by name.
    """

    workflow: Name
    description: str = ""
    calendar: Calendar = Calendar()
    triggers: Triggers = Triggers()
    areas: list[Name] = []
    order: Order = Order()
    steps: dict[Name, Step]
