"""`longshore demo clear`: deletes what the demos made, and counts it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from longshore.cli.demo.filling.corpus import own
from longshore.cli.demo.filling.reaching import OVER, SCRIPTS, Reach, path_of
from longshore.cli.demo.names import (
    DEMO_APP,
    DEMO_BATCH,
    DEMO_BUCKETS,
    DEMO_HELD_WHY,
    DEMO_KEYS,
    DEMO_MADE,
    DEMO_SECRETS,
    DEMO_SERVICES,
    DEMO_TAG,
    DEMO_WORKER_KEY,
    DEMO_WORKFLOWS,
)
from longshore.cli.demo.receipts_source import APP_NAME
from longshore.errors import Conflict, NotFound

_BEGINNING: Final = datetime(2020, 1, 1, tzinfo=UTC)
_WAIT_S: Final = 120.0
_PAGE: Final = 100
_OVER: Final = frozenset({"unscheduled", "completed", "failed", "error", "stopped", "cancelled"})


def clear(reach: Reach) -> Counter[str]:
    """Delete what the demos made on a server; return how many of what.

    What is not there is not missed, so a second time deletes nothing. Hosts, the app and the
    names of workflows and buckets stay in the lists, since the server keeps them for its history.

    Raises:
        LongshoreError: the server refuses something; what was deleted before stays deleted.
    """
    removed: Counter[str] = Counter()
    for part in (_buckets, _apps, _pipelines, _corpus, _workflows, _people):
        part(reach, removed)
    return +removed


def _buckets(reach: Reach, removed: Counter[str]) -> None:
    buckets, results = reach.client.buckets, reach.client.results
    present = set(buckets.pipelines())
    for name in DEMO_BUCKETS:
        if name in present:
            mine = {"pipeline": name, "tags": DEMO_TAG}
            done = buckets.act("delete", mine).wait(timeout_s=_WAIT_S)
            removed["works of buckets"] += done.info.changed
        while found := results.view(name, {"tags": DEMO_TAG}, {"id": True}, limit=_PAGE):
            ids = [str(each["id"]) for each in found]
            results.unlock(name, ids, force=True)
            results.delete_ids(name, ids)
            removed["results of works"] += len(ids)
    for queue in reach.client.queues.list():
        own_queue = queue.surface == "buckets" and queue.name in DEMO_BUCKETS
        if own_queue and queue.held is not None and queue.held.why == DEMO_HELD_WHY:
            reach.client.queues.release(queue.id)


def _apps(reach: Reach, removed: Counter[str]) -> None:
    client = reach.client
    batches = [batch for batch in client.batches.list() if batch.name == DEMO_BATCH]
    batch_ids = {batch.id for batch in batches}
    # The second app is not the demo's own: people tag runs of it as they like.
    found = [
        run
        for app in (DEMO_APP, APP_NAME)
        for run in client.runs.list(app=app, since=_BEGINNING)
        if run.info is not None
        and DEMO_TAG in run.info.tags
        and (app == DEMO_APP or run.info.batch_id in batch_ids)
    ]
    for run in found:
        if not run.finished:
            run.cancel()
            run.wait(timeout_s=_WAIT_S)
        run.delete().wait(timeout_s=_WAIT_S)
        removed["runs of apps"] += 1
    for batch in batches:
        batch.delete().wait(timeout_s=_WAIT_S)
        removed["batches"] += 1


def _pipelines(reach: Reach, removed: Counter[str]) -> None:
    pipelines = reach.client.pipelines
    found = pipelines.describe()
    for info in (*found.in_progress, *found.recent):
        if info.service_uri.partition("[")[0] not in DEMO_SERVICES:
            continue
        pipeline = pipelines.of(info.id)
        if pipeline.get_info().source_system != DEMO_TAG:
            continue
        if info in found.in_progress:
            pipeline.cancel()
        pipeline.delete()
        removed["pipelines"] += 1
    for service in reach.client.services.list():
        for version in service.versions if service.name in DEMO_SERVICES else ():
            try:
                reach.client.services.delete(version.id)
            except Conflict:
                removed["services that a worker still offers, left"] += 1
            else:
                removed["versions of services"] += 1


def _corpus(reach: Reach, removed: Counter[str]) -> None:
    corpus = own(reach)
    if corpus is None:
        return
    for process in list(reach.corpus.processes(corpus["id"])):
        if process["state"] not in _OVER:
            reach.corpus.change(process["id"], "stop")

            def over(process_id: str = process["id"]) -> bool:
                return reach.corpus.process(process_id)["state"] in _OVER

            reach.until(over, f"process {process['id']} is over", timeout_s=_WAIT_S)
        reach.corpus.delete(process["id"])
        removed["processes"] += 1
    reach.remove(f"/api/v1/corpus/{path_of(corpus['id'])}/")
    removed["corpora"] += 1


def _workflows(reach: Reach, removed: Counter[str]) -> None:
    for name in DEMO_WORKFLOWS:
        path = f"/workflows/{path_of(name)}"
        try:
            workflow = reach.scripts("GET", path)
        except NotFound:
            continue
        if not workflow["definition"]["description"].endswith(DEMO_MADE):
            continue
        if workflow["retired_at"] is None:
            reach.scripts("POST", f"{path}/retire", {"reason": "the demo is over"})
            removed["workflows (retired)"] += 1
        removed["runs of workflows"] += _workflow_runs(reach, name)


def _workflow_runs(reach: Reach, workflow: str) -> int:
    """Delete all runs of a workflow; return how many."""
    count = 0
    while rows := reach.scripts("GET", "/runs", workflow=workflow, limit=_PAGE)["runs"]:
        for row in rows:
            path = f"/runs/{row['id']}"
            if row["state"] not in OVER:
                reach.scripts("POST", f"{path}/cancel", {"reason": "the demo is over"})

            def gone(path: str = path) -> bool:
                try:
                    reach.remove(f"{SCRIPTS}{path}")
                except Conflict:
                    # It is cancelled, and a step of it is still stopping.
                    return False
                return True

            reach.until(gone, f"run {row['id']} of {workflow} is deleted", timeout_s=_WAIT_S)
            count += 1
    return count


def _people(reach: Reach, removed: Counter[str]) -> None:
    names = {name for name, _ in DEMO_KEYS} | {DEMO_WORKER_KEY}
    for key in reach.client.keys.list():
        if key.name in names and key.revoked_at is None:
            reach.client.keys.revoke(key.id)
            removed["keys (revoked)"] += 1
    for name, workflow, scope in DEMO_SECRETS:
        try:
            reach.client.keystore.remove(name, workflow=workflow, scope=scope)
        except NotFound:
            continue
        removed["secrets"] += 1
