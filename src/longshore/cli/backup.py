"""`longshore backup` and `longshore restore`: copies of a server's data on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli.console import bytes_text, emit_json, note, out
from longshore.cli.exit_codes import ExitCode

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Data directory of the server; default is .longshore."
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", metavar="URL", help="Its SQLite file, where it is not in the data directory."
    ),
]
BlobsOption = Annotated[
    str | None,
    typer.Option(
        "--blobs", metavar="DIR", help="Its files, where they are not in the data directory."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def backup(
    target: Annotated[Path, typer.Argument(metavar="DIR", help="New directory for the back-up.")],
    data: DataOption = None,
    database: DatabaseOption = None,
    blobs: BlobsOption = None,
    without_blobs: Annotated[
        bool, typer.Option("--without-blobs", help="The database only; files are kept elsewhere.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a server's database and files, whether it runs or not.

    Needs no key: whoever can read the data directory can do it. The master key (secret.key) is not
    copied; keep it elsewhere. For SQLite; PostgreSQL has pg_dump.
    """
    from longshore.cli.configuring import settings_of
    from longshore.server import backup as backups

    settings = settings_of(data=data, database=database, blobs=blobs)
    made = backups.take(settings, target, without_blobs=without_blobs)
    if as_json:
        emit_json(msgspec.to_builtins(made))
    else:
        files = "no files" if made.blobs is None else f"{made.blobs} files"
        size = bytes_text(made.database_bytes + made.blobs_bytes)
        out(f"{target}: {made.works} works, {files}, {size}, as of {made.taken}")
        note("secret.key is not in it: keep a copy of that apart from this one.")
    if made.damaged:
        note(
            f"{len(made.damaged)} files are missing or damaged and not in it: {made.damaged[0]}..."
        )
        raise typer.Exit(int(ExitCode.FAILED))


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A back-up.")],
    data: DataOption = None,
    database: DatabaseOption = None,
    blobs: BlobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a back-up into a new data directory, and let what was running then run again.

    Everything is compared with its checksum. Works that were running when the back-up was taken are
    queued again; those that ended later are run again, too, since the back-up does not know.
    """
    from longshore.cli.configuring import settings_of
    from longshore.server import backup as backups
    from longshore.server import credentials, restoring
    from longshore.storage import open_database

    settings = settings_of(data=data, database=database, blobs=blobs)
    backups.read(source)
    credentials.make_data_directory(settings.data)
    with credentials.exclusive(settings):
        restored = backups.put_back(source, settings)
        opened = open_database(settings.database_url)
        try:
            queued = opened.write_blocking(restoring.void_leases)
            sealed = opened.read_blocking(restoring.holds_secrets)
        finally:
            opened.close()
    if as_json:
        emit_json({**msgspec.to_builtins(restored), "queued_again": queued})
    else:
        out(
            f"{settings.data}: {restored.works} works as of {restored.taken}, {queued} queued again"
        )
    if sealed and not (settings.data / "secret.key").exists():
        note(
            f"It has secrets. Put the secret.key of then into {settings.data} before the start, "
            "unless the settings name another."
        )
