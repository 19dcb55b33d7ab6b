"""Starting a run: everything is checked before the first row is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, insert

from longshore import ids, limits
from longshore.access import Principal
from longshore.edge.addresses import Network
from longshore.engine import works
from longshore.engine.works import NewWork
from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import ATTEMPTS
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.apps import (
    batches,
    catalogue,
    deletions,
    files,
    finishing,
    naming,
    run_settings,
    runs,
    scopes,
    secrets,
)
from longshore.surfaces.apps.catalogue import App, Version
from longshore.surfaces.apps.files import DriveFile
from longshore.surfaces.apps.run_settings import Settings
from longshore.surfaces.apps.tables import app_runs, run_files
from longshore.wire import apps as wire
from longshore.wire.payloads import AppFile, AppPayload

FOLDER: Final = "runs"
"""Folder of the drive that takes the output of runs which name no other."""

_FILE_COLUMNS: Final = ("run_id", "position", "name", "path", "blob_id", "size_bytes", "work_id")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be, with all names resolved."""

    app: App
    version: Version
    settings: Settings
    batch_id: int | None
    input_dir: str | None
    output_workspace: str | None
    output_dir: str | None
    deployment_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Input:
    folder: str
    files: list[DriveFile]

    def name(self, file: DriveFile) -> str:
        """Return the name of a file as the run shows it: its path below the folder."""
        return file.path[len(self.folder) + 1 :]


@dataclass(frozen=True, slots=True)
class _Named:
    """A file, its name in the run, and the entry of the keystore with its password."""

    file: DriveFile
    name: str
    password_entry: str | None


def create(
    connection: Connection,
    principal: Principal,
    request: wire.RunRequest,
    *,
    networks: Sequence[Network] = (),
) -> wire.Run:
    """Start a run of an app; its webhook may be in one of the private `networks`.

    Raises:
        NotFound: there is no such app, version, batch or folder for the key.
        InvalidRequest: the request names no app or no input, the input is empty, or a setting
            cannot be used.
        TooLarge: the input has more than `limits.FILES_PER_RUN` files.
        Conflict: the batch is being deleted.
    """
    app = catalogue.find_app(
        connection,
        principal,
        app_id=request.app_id,
        name=request.app_name,
        owner=request.owner,
    )
    plan = Plan(
        app=app,
        version=catalogue.find_version(connection, app, request.version),
        settings=run_settings.checked(request.settings, networks),
        batch_id=request.batch_id,
        input_dir=request.input_dir,
        output_workspace=request.output_workspace,
        output_dir=request.output_dir,
    )
    return start(connection, principal, plan)


def start(connection: Connection, principal: Principal, plan: Plan) -> wire.Run:
    """Write a run with its works and its finisher; see `create` for what is refused."""
    source = _input(connection, principal, plan)
    run_id = ids.new(ids.RUN)
    workspace, output_dir = _output(connection, principal, plan, run_id)
    secrets.check(connection, principal.organisation_id, plan.settings.secrets, workspace)
    work_ids = _submit(connection, principal, plan, run_id, source)
    finisher_id = deletions.submit_job(
        connection,
        principal.organisation_id,
        {"job": "apps.finish_run", "run_id": run_id},
        actor=principal.key_name,
        requires=tuple(work_ids),
        # A run without its end would be RUNNING for ever, so this is tried longer than others.
        attempts_max=ATTEMPTS,
    )
    connection.execute(
        insert(app_runs).values(
            id=run_id,
            organisation_id=principal.organisation_id,
            app_id=plan.app.id,
            app_name=plan.app.name,
            owner=plan.app.owner,
            version=plan.version.version,
            queue_id=plan.version.queue_id,
            deployment_id=plan.deployment_id,
            batch_id=plan.batch_id,
            input_dir=source.folder,
            output_dir=output_dir,
            output_workspace=workspace,
            username=principal.key_name,
            settings=plan.settings.for_run().text(),
            status=wire.RunStatus.RUNNING,
            finisher_id=finisher_id,
            started_us=now_us(connection),
        )
    )
    rows = [
        (run_id, position, source.name(file), file.path, file.blob_id, file.size_bytes, work_id)
        for position, (work_id, file) in enumerate(zip(work_ids, source.files, strict=True))
    ]
    insert_rows(connection, run_files, _FILE_COLUMNS, rows)
    return runs.status(connection, principal, run_id)


def _submit(
    connection: Connection, principal: Principal, plan: Plan, run_id: str, source: _Input
) -> list[str]:
    """Submit a work for each file and return their ids, in the order of the files."""
    names = [source.name(file) for file in source.files]
    passwords = secrets.seal_passwords(
        connection, principal, run_id, plan.settings.passwords, names
    )
    new = [
        NewWork(
            plan.version.queue_id,
            _payload(plan, run_id, position, _Named(file, names[position], passwords[position])),
            group_id=run_id,
            timeout_s=plan.version.timeout_s,
            attempts_max=plan.version.attempts_max,
        )
        for position, file in enumerate(source.files)
    ]
    return [work.id for work in works.submit(connection, new, actor=principal.key_name)]


def _input(connection: Connection, principal: Principal, plan: Plan) -> _Input:
    """Find the files of the run; they stay as they are now, whatever becomes of the batch."""
    if plan.batch_id is not None:
        batch = batches.usable(connection, principal, plan.batch_id)
        what, folder = f"Batch {batch.id}", batch.folder
    elif plan.input_dir:
        folder = scopes.own_path(connection, principal, plan.input_dir)
        what = f"The folder {folder!r}"
    else:
        raise InvalidRequest("The request names no input. Send batch_id, or input_dir.")
    found = files.page(
        connection,
        principal.organisation_id,
        folder,
        limit=limits.FILES_PER_RUN + 1,
        lock=True,
    )
    if not found:
        raise InvalidRequest(f"{what} has no files. Upload at least one, then start the run.")
    if len(found) > limits.FILES_PER_RUN:
        raise TooLarge(
            f"{what} has more than {limits.FILES_PER_RUN} files, which is the most that one run "
            "takes. Split it over several batches.",
            details={"limit": limits.FILES_PER_RUN},
        )
    return _Input(folder, found)


def _output(
    connection: Connection, principal: Principal, plan: Plan, run_id: str
) -> tuple[str, str]:
    """Return the workspace and the folder of the run's output.

    The folder bears the run's id, so that no run writes over the output of another.
    """
    workspace = plan.output_workspace
    rest = f"{FOLDER}/{run_id}"
    if plan.output_dir:
        parsed = naming.parse_drive_path(plan.output_dir)
        batches.refuse_folder(parsed)
        workspace = parsed.workspace
        rest = f"{parsed.rest}/{run_id}" if parsed.rest else run_id
        scopes.check_reach(principal, parsed)
    name = scopes.workspace_for(connection, principal, workspace).name
    folder = naming.drive_path(principal.organisation_id, name, rest)
    results_path = naming.checked_path(f"{folder}/{finishing.RESULTS_NAME}")
    files.check_place(connection, principal.organisation_id, results_path)
    return name, folder


def _payload(plan: Plan, run_id: str, position: int, named: _Named) -> bytes:
    file = named.file
    return msgspec.json.encode(
        AppPayload(
            run_id=run_id,
            owner=plan.app.owner,
            app=plan.app.name,
            version=plan.version.version,
            position=position,
            file=AppFile(
                blob_id=file.blob_id,
                name=named.name,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
            ),
            keys=plan.settings.keys,
            generate_pdf=plan.settings.generate_pdf,
            secret_aliases=plan.settings.secrets,
            password_entry=named.password_entry,
        )
    )
