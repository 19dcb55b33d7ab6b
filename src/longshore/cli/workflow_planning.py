"""`longshore workflow simulate|forecast|order`: what throttles would do, and when a run will be over."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, note, out, printable, table
from longshore.errors import InvalidRequest

_API: Final = "/coreauto/v1"
_TIMEOUT_S: Final = 120.0
_RETRIES: Final = 4
_THROTTLES: Final = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?")
_THROTTLES_MAX: Final = 200

_TRIALS: Final = (
    Column("throttle", "THROTTLE", "number"),
    Column("makespan", "MAKESPAN", "number"),
    Column("high", "9 OF 10 WITHIN", "number"),
    Column("bound", "AT LEAST", "number"),
    Column("idle", "IDLE", "number"),
    Column("used", "USED", "number"),
    Column("remark", ""),
)
_STEPS: Final = (
    Column("name", "STEP"),
    Column("area", "AREA"),
    Column("host", "HOST"),
    Column("status", "STATUS"),
    Column("expected", "EXPECTED", "number"),
    Column("progress", "%", "number"),
    Column("overrun", "OVER BY", "number"),
    Column("estimated_finish", "ESTIMATED END", "time"),
    Column("path", "CRITICAL"),
    Column("remark", ""),
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]
OrderOption = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="global|local:STEP",
        help="Order of ready steps: the longest path first, or what leads to STEP first; default "
        "is that of the workflow or the run.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to `longshore workflow`."""
    app.command("simulate")(simulate)
    app.command("forecast")(forecast)
    app.command("order")(order)


def simulate(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A workflow, from its beginning.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Instead: the rest of a run.")
    ] = None,
    throttles: Annotated[
        str,
        typer.Option(
            "--throttles",
            metavar="1..N",
            help="Slots of each host, one after the other: 1..8, or 2,4,8.",
        ),
    ] = "1..8",
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="HOST=N",
            help="This host has N slots whatever the throttle; may be repeated.",
        ),
    ] = None,
    order: OrderOption = None,
    honour_holds: Annotated[
        bool,
        typer.Option(
            "--honour-holds", help="What is on hold never starts; else it is taken as resumed."
        ),
    ] = False,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            min=0,
            max=1_000,
            help="Take durations from the history, so many times, instead of what is expected.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the samples.")] = 0,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Play a workflow, or the rest of a run, through with one throttle after the other."""
    if (name is None) == (run is None):
        raise InvalidRequest("Give the name of a workflow, or a run with --run; one of the two.")
    body: dict[str, Any] = {
        "throttles": throttles_of(throttles),
        "hosts": dict(_fixed(each) for each in host or []),
        "order": None if order is None else order_of(order),
        "holds": "honoured" if honour_holds else "ignored",
        "samples": samples,
        "seed": seed,
    }
    path = f"workflows/{_segment(name)}" if name is not None else f"runs/{_segment(str(run))}"
    found = _call(server, "POST", f"/{path}/simulate", body, repeatable=True)
    if as_json:
        emit_json(found)
        return
    _print_simulation(found)


def forecast(run: RunArgument, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Say when a run will be over, step by step, and which steps are on its critical path."""
    found = _call(server, "GET", f"/runs/{_segment(run)}/forecast")
    if as_json:
        emit_json(found)
        return
    _print_forecast(found)


def order(
    run: RunArgument,
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="global|local:STEP",
            help="The longest path to any end first, or what leads to STEP first.",
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Order the ready steps of a run in another way from now on; what runs goes on."""
    body = {**order_of(wanted), "reason": reason}
    changed = _call(server, "POST", f"/runs/{_segment(run)}/order", body)
    if as_json:
        emit_json(changed)
        return
    out(
        f"Run {changed['run_id']}: {_order_text(changed['order'])} "
        f"(before: {_order_text(changed['before'])})"
    )


def throttles_of(text: str) -> list[int]:
    """Return the throttles of "1..8" or "2,4,8".

    Raises:
        InvalidRequest: it is neither, or names none, 0, or too many.
    """
    found: list[int] = []
    for part in text.split(","):
        match = _THROTTLES.fullmatch(part.strip())
        if match is None:
            raise InvalidRequest(f"--throttles {text!r}: give a range such as 1..8, or 2,4,8.")
        low, high = int(match[1]), int(match[2] or match[1])
        if not 1 <= low <= high or high - low >= _THROTTLES_MAX:
            raise InvalidRequest(
                f"--throttles {text!r}: give 1 or more slots, the lower number first, and at most "
                f"{_THROTTLES_MAX} of them."
            )
        found += range(low, high + 1)
    return sorted(set(found))


def order_of(text: str) -> dict[str, Any]:
    """Return the order that "global" or "local:STEP" stands for.

    Raises:
        InvalidRequest: it is neither.
    """
    path, _, step = text.partition(":")
    if path == "global" and not step:
        return {"path": "global"}
    if path == "local" and step:
        return {"path": "local", "step": step}
    raise InvalidRequest(
        f"{text!r} is no order; give global, or local:STEP with the name of a step."
    )


def length_text(seconds: float | None) -> str:
    """Return a length of time as a person reads it: 12.3 s, 4:05 min or 1:02:03 h."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def _fixed(text: str) -> tuple[str, int]:
    name, equals, slots = text.partition("=")
    if not (name and equals and slots.isascii() and slots.isdigit() and len(slots) <= 5):
        raise InvalidRequest(f"--host {text!r}: give HOST=N, such as loading=4.")
    return name, int(slots)


def _print_simulation(found: dict[str, Any]) -> None:
    what = f"the rest of run {found['run_id']} of " if found["run_id"] is not None else ""
    out(
        f"{what}{printable(found['workflow'])}, version {found['version']}: {found['steps']} steps "
        f"on {', '.join(map(printable, found['hosts'])) or 'no host'}; "
        f"{_order_text(found['order'])}; longest chain {length_text(found['critical_path_s'])}"
    )
    shown = [column for column in _TRIALS if found["samples"] or column.key != "high"]
    rows = [
        {
            "throttle": trial["throttle"],
            "makespan": length_text(trial["makespan_s"]),
            "high": length_text(trial["high_s"]),
            "bound": length_text(trial["bound_s"]),
            "idle": length_text(trial["idle_s"]),
            "used": f"{100 * trial['utilisation']:.0f} %",
            "remark": _trial_remark(found, trial),
        }
        for trial in found["trials"]
    ]
    table(rows, shown, empty="Nothing was tried.")
    out(f"Knee: {found['knee']}, {found['knee_rule']}.")
    for name in found["stuck"]:
        note(f"{printable(name)} never starts.")
    if found["without_history"]:
        count = len(found["without_history"])
        note(f"{count} {'step has' if count == 1 else 'steps have'} no history yet: a guess.")
    for assumption in found["assumptions"]:
        note(f"Assumed: {assumption}.")


def _trial_remark(found: dict[str, Any], trial: dict[str, Any]) -> str:
    remarks = []
    if trial["throttle"] == found["knee"]:
        remarks.append("knee")
    if trial["longer"]:
        remarks.append("longer than with fewer")
    return ", ".join(remarks)


def _print_forecast(found: dict[str, Any]) -> None:
    end = found["estimated_finish"]
    finish = f"over at {end}" if end is not None else "no end in sight as it stands"
    progress = "" if found["progress"] is None else f", {found['progress']} %"
    out(
        f"Run {found['run_id']} of {printable(found['workflow'])}, {found['state']}: {finish}"
        f"{progress}; {_order_text(found['order'])}"
    )
    rows = [
        {
            **step,
            "expected": length_text(step["expected_s"]),
            "overrun": length_text(step["overrun_s"]) if step["overrun_s"] else "",
            "path": "yes" if step["on_critical_path"] else "",
            "remark": _step_remark(step),
        }
        for step in found["steps"]
    ]
    table(rows, _STEPS, empty="The run has no steps.")
    if end is None and found["finish_if_resumed"] is not None:
        note(f"Over at {found['finish_if_resumed']} if what is on hold were resumed now.")
    for host in found["hosts"]:
        if not host["slots"]:
            why = "no worker serves it" if not host["workers"] else "its throttle is 0"
            note(f"Nothing runs on host {printable(host['host'])}: {why}.")


def _step_remark(step: dict[str, Any]) -> str:
    remarks = []
    if step["no_history"]:
        remarks.append("no history")
    if step["stuck"]:
        remarks.append("never starts as it stands")
    return ", ".join(remarks)


def _order_text(order: dict[str, Any]) -> str:
    if order["path"] == "local":
        return f"order local to {printable(order['step'])}"
    return "order global"


def _segment(text: str) -> str:
    from longshore.sdk._calls import segment

    return segment(text)


def _call(
    server: str | None, method: str, path: str, body: Any = None, *, repeatable: bool | None = None
) -> Any:
    from longshore.sdk._calls import Call
    from longshore.sdk._connection import find_connection
    from longshore.sdk._sync.transport import Transport

    transport = Transport(
        find_connection(server),
        context=None,
        timeout_s=_TIMEOUT_S,
        retries=_RETRIES,
        transport=None,
    )
    try:
        call = Call(method, f"{_API}{path}", json=body, repeatable=repeatable)
        return transport.fetch_json(call)
    finally:
        transport.close()
