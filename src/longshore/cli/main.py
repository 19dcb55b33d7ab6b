"""The command `longshore`: puts the command groups together and turns errors into one line.

Commands load what they need when they run, not when they are declared, so that `--help` and
`up` start at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from longshore import __version__
from longshore.cli import (
    backup,
    buckets,
    corpus,
    dashboard,
    demo,
    doctor,
    event,
    flag,
    keys,
    keystore,
    process,
    queues,
    results,
    review,
    run,
    runs,
    services,
    top,
    up,
    why,
    worker,
    workers,
    workflow,
    works,
)
from longshore.cli import map as map_command
from longshore.cli.console import fail, out
from longshore.cli.exit_codes import ExitCode, of
from longshore.errors import LongshoreError

app = typer.Typer(
    name="longshore",
    help="Self-hosted batch work: hand it files, run your Python over them, lose nothing.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True)
    ] = False,
) -> None:
    if version:
        out(f"longshore {__version__}")
        raise typer.Exit


@app.command("version")
def version_command() -> None:
    """Print the version."""
    out(f"longshore {__version__}")


app.command("up")(up.up)
app.command("dashboard")(dashboard.dashboard)
app.command("worker")(worker.worker)
app.command("run")(run.run)
app.command("map")(map_command.map_)
app.command("runs")(runs.runs)
app.command("results")(results.results)
app.command("cancel")(runs.cancel)
app.command("delete")(runs.delete)
app.command("apps")(runs.apps)
app.add_typer(review.app, name="review")
app.command("why")(why.why)
app.command("logs")(why.logs)
app.command("workers")(workers.workers)
app.command("top")(top.top)
app.command("doctor")(doctor.doctor)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(buckets.app, name="buckets")
app.add_typer(services.app, name="service")
app.add_typer(corpus.app, name="corpus")
app.add_typer(process.app, name="process")
app.add_typer(works.app, name="works")
app.add_typer(queues.app, name="queue")
app.add_typer(keys.app, name="key")
app.add_typer(keystore.app, name="keystore")
app.add_typer(workflow.app, name="workflow")
app.add_typer(event.app, name="event")
app.add_typer(flag.app, name="flag")
app.add_typer(demo.app, name="demo")


def main() -> None:
    """Run the command line of this process and end it with a documented exit status."""
    try:
        app()
    except LongshoreError as error:
        fail(str(error), of(error))
    except KeyboardInterrupt:
        fail("stopped", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) went away; there is nobody left to tell.
        sys.stderr.close()
        raise SystemExit(int(ExitCode.OK)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(
            f"{where}{error.strerror or error}. Check the path and the permissions, then try again."
        )
