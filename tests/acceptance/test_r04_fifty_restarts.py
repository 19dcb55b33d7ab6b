"""R4: however often the server is restarted, idle workers claim again by themselves."""

from __future__ import annotations

import pytest

from tests.acceptance import invariants
from tests.acceptance.conftest import Harbour, wait_for_apps
from tests.acceptance.harness import eventually

RESTARTS_EACH, RESTARTS_EACH_LONG = 6, 25
CLAIMED_WITHIN_S = 10.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["killed", "stopped"])
def test_idle_workers_claim_again_after_each_of_fifty_restarts(
    harbour: Harbour, kind: str, request: pytest.FixtureRequest
) -> None:
    long = request.config.getoption("--long", default=False)
    restarts = RESTARTS_EACH_LONG if long else RESTARTS_EACH
    # Nothing runs while the server is away, so no lease has to end, however slow the machine is.
    server = harbour.server(settings={"LONGSHORE_LEASE_S": "60"})
    server.start()
    user = harbour.user(server)
    # One slot each, so that two files that are held at once prove that both workers claim.
    for name in ("one", "two"):
        harbour.worker(server, name, slots=1).start()
    wait_for_apps(user, ["Patient"])

    slowest_s = 0.0
    for restart in range(restarts):
        if kind == "stopped":
            assert server.stop() == 0
            server.start()
        else:
            server.restart()
        marker = harbour.directory / f"marker{restart}"
        hold = f"until {marker}".encode()
        run_id = user.run_files("Patient", {"a.txt": hold, "b.txt": hold})

        def holders(run_id: str = run_id) -> bool:
            works = user.works(run_id)
            return len({work["worker"] for work in works if work["state"] == "running"}) == 2

        eventually(holders, CLAIMED_WITHIN_S, f"both workers hold work after restart {restart}")
        marker.touch()
        assert user.finished(run_id, within_s=20.0)["status"] == "COMPLETE"
        slowest_s = max(slowest_s, server.starts_s[-1])
    invariants.check_all(user)
    attempts = [work["attempt"] for run_id in user.acknowledged.runs for work in user.works(run_id)]
    assert attempts == [1] * (2 * restarts), "nothing ran twice"
    print(f"slowest start {slowest_s:.2f} s")
