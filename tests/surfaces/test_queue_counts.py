"""The counts of queues, exact or of the last census, as a client asks for them."""

from __future__ import annotations

from pathlib import Path

from longshore.engine import activity_census, queues, works
from longshore.engine.works import NewWork
from longshore.storage import Database
from tests.unit.serving import serving

PATH = "/longshore/v1/queues"


async def test_counts_are_exact_or_of_the_census_and_say_as_of_when(
    database: Database, tmp_path: Path
) -> None:
    async with serving(database, tmp_path) as served:
        queue_id = database.write_blocking(
            queues.ensure, organisation_id=served.organisation.id, surface="buckets", name="scans"
        )

        def submit() -> None:
            database.write_blocking(works.submit, [NewWork(queue_id, b"{}")], actor="test")

        async def asked(**query: str) -> tuple[str, dict[str, object]]:
            answer = (await served.client.get(PATH, params=query)).json()
            (found,) = [each for each in answer["queues"] if each["name"] == "scans"]
            return answer["counted"], found["counts"]

        submit()
        taken = database.read_blocking(activity_census.take)
        database.write_blocking(activity_census.keep, taken, took_us=1)
        submit()
        (_, exact), (_, as_ever) = await asked(counts="exact"), await asked()
        assert exact == as_ever
        assert (exact["submitted"], exact["by_state"]) == (2, {"queued": 2})
        counted, census = await asked(counts="census")
        assert (census["submitted"], census["by_state"]) == (1, {"queued": 1})
        assert counted <= (await asked())[0]
        refused = await served.client.get(PATH, params={"counts": "guess"})
        assert (refused.status_code, "exact or census" in refused.json()["detail"]) == (400, True)
