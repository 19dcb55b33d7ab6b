"""`longshore workflow hold|resume|skip|force-ok|rerun|cancel|delete`: what operators do with runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import emit_json, out, printable
from longshore.cli.scripts_calls import fetch, segment
from longshore.errors import InvalidRequest

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]
MaybeRun = Annotated[
    str | None, typer.Argument(metavar="RUN", help="Id of a run.", show_default=False)
]
StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="Name of a step, in any case.")]
StepOption = Annotated[
    str | None, typer.Option("--step", metavar="STEP", help="Only this step of it.")
]
AreaOption = Annotated[
    str | None, typer.Option("--area", metavar="AREA", help="Only the steps of this area.")
]
WorkflowOption = Annotated[
    str | None,
    typer.Option("--workflow", metavar="NAME", help="In place of a run: all runs of a workflow."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]
WhyOption = Annotated[
    str, typer.Option("--reason", help="Why; kept with the step and in the audit log.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to `longshore workflow`."""
    app.command("hold")(hold)
    app.command("resume")(resume)
    app.command("skip")(skip)
    app.command("force-ok")(force_ok)
    app.command("rerun")(rerun)
    app.command("cancel")(cancel)
    app.command("delete")(delete)


def hold(
    run: MaybeRun = None,
    step: StepOption = None,
    area: AreaOption = None,
    workflow: WorkflowOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Let nothing begin of a run, an area, a step or a workflow; what runs goes on to its end."""
    path = _place(run, step, area, workflow)
    told = fetch(server, "POST", f"{path}/hold", {"reason": reason})
    _tell_holds(told, as_json=as_json)


def resume(
    run: MaybeRun = None,
    step: StepOption = None,
    area: AreaOption = None,
    workflow: WorkflowOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Lift the hold of a run, an area, a step or a workflow."""
    path = _place(run, step, area, workflow)
    told = fetch(server, "POST", f"{path}/resume", {"reason": reason})
    _tell_holds(told, as_json=as_json)


def skip(
    run: RunArgument,
    step: StepArgument,
    reason: WhyOption,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Leave a step out, so that what depends on it goes on."""
    path = f"{_place(run, step, None, None)}/skip"
    told = fetch(server, "POST", path, {"reason": reason})
    _tell(told, "skipped", "skipped", as_json=as_json)


def force_ok(
    run: RunArgument,
    step: StepArgument,
    reason: WhyOption,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Take a step for finished, whatever became of it."""
    path = f"{_place(run, step, None, None)}/force-ok"
    told = fetch(server, "POST", path, {"reason": reason})
    _tell(told, "forced", "taken for finished", as_json=as_json)


def rerun(
    run: RunArgument,
    step: Annotated[
        str | None,
        typer.Option("--step", metavar="STEP", help="Only this step and what it kept waiting."),
    ] = None,
    from_step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="This step and all after it, finished or not."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Everything, as a new run with the same input.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Run again what failed or was cancelled, and what it kept waiting; or more, by the options."""
    if sum((step is not None, from_step is not None, whole)) > 1:
        raise InvalidRequest("Give one of --step, --from and --whole.")
    mode = "failed"
    if whole:
        mode = "whole"
    elif step is not None or from_step is not None:
        mode = "step" if step is not None else "from_step"
    body = {"mode": mode, "step": step or from_step, "reason": reason}
    told = fetch(server, "POST", f"/runs/{segment(run)}/rerun", body)
    if as_json:
        emit_json(told)
    elif whole:
        out(f"run {told['id']}")
    else:
        out(f"run {told['id']}: {_names(told['again'])} to run again")


def cancel(
    run: RunArgument,
    reason: WhyOption,
    step: StepOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Cancel a run or one step of it; processes that run are told to stop."""
    told = fetch(server, "POST", f"{_place(run, step, None, None)}/cancel", {"reason": reason})
    if as_json:
        emit_json(told)
        return
    for word, names in told.items():
        if names:
            out(f"{'over already' if word == 'final' else word}: {_names(names)}")


def delete(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs.")],
    server: ServerOption = None,
) -> None:
    """Delete runs that are over, with what their steps stored and printed."""
    for run in runs:
        fetch(server, "DELETE", f"/runs/{segment(run)}")
        out(f"run {printable(run)}: deleted")


def _place(run: str | None, step: str | None, area: str | None, workflow: str | None) -> str:
    if (run is None) is (workflow is None) or (step is not None and area is not None):
        raise InvalidRequest(
            "Say what is meant: RUN, RUN with --step or --area, or --workflow NAME."
        )
    if workflow is not None:
        if step is not None or area is not None:
            raise InvalidRequest("--step and --area are of a run; give its id.")
        return f"/workflows/{segment(workflow)}"
    path = f"/runs/{segment(str(run))}"
    if step is not None:
        return f"{path}/steps/{segment(step)}"
    return f"{path}/areas/{segment(area)}" if area is not None else path


def _tell_holds(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(told)
    elif "runs" in told:
        out(f"runs under way: {_names([str(run) for run in told['runs']])}")
    else:
        out(f"on hold: {_names(told['on_hold'])}")


def _tell(told: dict[str, Any], key: str, words: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(told)
    else:
        out(f"{words}: {_names(told[key])}")


def _names(names: list[str]) -> str:
    return ", ".join(map(printable, names)) or "nothing"
