"""`longshore demo all`: fills every surface of a running server with living data.

A test that wants such a server uses the same parts:

    with Reach(url, key) as reach, Crew(reach, directory):
        made = fill(reach)
        settle(reach, made)         # where the finite parts are to be over
        feed(reach, 0)              # one round of new work
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from longshore.cli.demo.filling import apps, buckets, corpus, people, pipelines, scripts
from longshore.cli.demo.filling.reaching import OVER, Made, Reach
from longshore.cli.demo.names import (
    DEMO_APP,
    DEMO_BUCKET,
    DEMO_TAG,
    DEMO_TAG_FED,
    DEMO_WORKFLOW,
    DEMO_WORKFLOW_BROKEN,
)
from longshore.errors import Conflict

OFFER_S: Final = 120.0
SETTLE_S: Final = 180.0
LONG_S: Final = 180.0
RUNS_KEPT: Final = 5
WORKFLOW_RUNS_KEPT: Final = 20
Tell = Callable[[str], None]


def fill(reach: Reach, *, long_s: float = LONG_S, tell: Tell = lambda _: None) -> Made:
    """Fill every surface of a server through its public APIs; needs an admin's key and a `Crew`.

    The names are those of `longshore.cli.demo.names`:

    - keys of several roles, one revoked (`DEMO_KEYS`), and secrets (`DEMO_SECRETS`);
    - buckets: `DEMO_BUCKET` (60 works, done; some at the second attempt), `DEMO_BUCKET_FAILING`
      (failed for good, or to be tried again), `DEMO_BUCKET_SLOW` (running for `long_s`),
      `DEMO_BUCKET_HELD` (queue on hold), `DEMO_BUCKET_IDLE` (nobody serves it; one work withdrawn,
      one cancelled);
    - workflows, one run of each: `DEMO_WORKFLOW` (finishes), `DEMO_WORKFLOW_LONG` (three parallel
      steps for up to `long_s`), `DEMO_WORKFLOW_BROKEN` (fails), `DEMO_WORKFLOW_HELD` (a step on
      hold), `DEMO_WORKFLOW_WAITING` (a host that nobody serves), `DEMO_WORKFLOW_CLOCK` (schedules
      and a calendar; no run yet), on `DEMO_HOST`, `DEMO_HOST_OTHER` and `DEMO_HOST_IDLE`;
    - runs of `DEMO_APP`: 12 receipts, four of them smudged, and a file that is refused; and one of 40
      receipts that goes on, with the tag `DEMO_TAG_LONG`;
    - pipelines over `DEMO_SERVICE` and `DEMO_SERVICE_SLOW`: pulled empty, partly pulled, with
      records that were refused, slow, cancelled;
    - with the extra [corpus], `DEMO_CORPUS` with 6 pages and their lines, `DEMO_PROCESS_DONE` over
      the pages and `DEMO_PROCESS` over the lines, slow and with failed elements.

    Args:
        reach: the server.
        long_s: about how long the long things take, in seconds.
        tell: is told in a line what was made.

    Raises:
        WaitTimeout: the workers do not offer what they serve within two minutes.
        ConfigurationError: a worker of the crew has ended by itself.
    """
    made = Made()
    # What needs no worker comes first, so that there is something to see at once.
    buckets.fill(reach, made, long_s=long_s)
    tell(f"buckets: {sum(map(len, made.works.values()))} works in {len(made.works)} buckets")
    scripts.fill(reach, made, long_s=long_s)
    tell(f"scripts: {len(made.workflow_runs)} runs of workflows, schedules, hosts")
    people.fill(reach, made)
    tell("keys of several roles, secrets in the keystore")
    if corpus.available():
        corpus.fill(reach, made, long_s=long_s)
        tell("corpus: pages with lines and transcriptions")
    else:
        tell("corpus: left out, since its worker needs an extra: pip install 'longshore[corpus]'")
    apps.wait_until_offered(reach, timeout_s=OFFER_S)
    apps.fill(reach, made, long_s=long_s)
    tell(f"apps: {len(made.runs)} runs over receipts")
    pipelines.wait_until_offered(reach, timeout_s=OFFER_S)
    pipelines.fill(reach, made, long_s=long_s)
    tell(f"pipelines: {len(made.pipelines)}")
    if made.corpus is not None:
        corpus.wait_until_offered(reach, timeout_s=OFFER_S)
        corpus.start(reach, made, long_s=long_s)
        tell(f"corpus: {len(made.processes)} processes")
    return made


def settle(reach: Reach, made: Made, *, timeout_s: float = SETTLE_S) -> None:
    """Wait until what was made to end has ended: photos, the first run, two workflows, a process.

    Raises:
        WaitTimeout: it has not in time.
    """
    client = reach.client

    def photos() -> bool:
        counts = client.buckets.status(DEMO_BUCKET)
        return bool(counts.get("success", 0) >= len(made.works[DEMO_BUCKET]))

    reach.until(photos, f"the works of {DEMO_BUCKET} are done", timeout_s=timeout_s)
    run = client.runs.of(made.runs["done"])
    reach.until(lambda: run.refresh().finished, f"run {run.id} is over", timeout_s=timeout_s)
    for name in (DEMO_WORKFLOW, DEMO_WORKFLOW_BROKEN):
        number = made.workflow_runs[name]

        def over(run_id: int = number) -> bool:
            return reach.scripts("GET", f"/rtevent/status/{run_id}")["status"] in OVER

        reach.until(over, f"run {number} of {name} is over", timeout_s=timeout_s)
    if "done" in made.processes:
        process = made.processes["done"]

        def worked() -> bool:
            return str(reach.corpus.process(process)["state"]) in ("completed", "failed")

        reach.until(worked, f"process {process} is over", timeout_s=timeout_s)


def feed(reach: Reach, number: int) -> None:
    """Add the new work of one second, and take away what is old; `number` counts the seconds."""
    count = 1 + number % 4
    first = 1000 + number * 5
    works = [buckets.photo(first + each, pause_s=0.05 * (each + 1)) for each in range(count)]
    reach.client.buckets.deposit(works)
    if number % 10 == 5:
        scripts.event(reach, {"north": [number], "south": [1, 2], "east": [number % 7]})
    if number % 30 == 15:
        apps.start(reach, 2, seed=number, tags=[DEMO_TAG, DEMO_TAG_FED])
        _prune(reach)


def go_on(reach: Reach, *, for_s: float | None, check: Callable[[], None]) -> int:
    """Feed the server each second, until the time is over or Ctrl-C; return how many rounds."""
    begun = time.monotonic()
    rounds = 0
    while for_s is None or time.monotonic() - begun < for_s:
        check()
        feed(reach, rounds)
        rounds += 1
        time.sleep(max(begun + rounds - time.monotonic(), 0.05))
    return rounds


def _prune(reach: Reach) -> None:
    """Delete the oldest runs that were fed, so that a demo that runs for hours stays small."""
    fed = [
        run
        for run in reach.client.runs.list(app=DEMO_APP)
        if run.finished and run.info is not None and DEMO_TAG_FED in run.info.tags
    ]
    for run in fed[RUNS_KEPT:]:
        run.delete()
    rows = reach.scripts("GET", "/runs", workflow=DEMO_WORKFLOW)["runs"]
    over = [each["id"] for each in rows if each["state"] in OVER]
    for run_id in sorted(over, reverse=True)[WORKFLOW_RUNS_KEPT:]:
        # One whose last step is still stopping goes the next time.
        with contextlib.suppress(Conflict):
            reach.remove(f"/coreauto/v1/runs/{run_id}")
