"""Works of buckets while workers, depositors and the server are killed again and again.

The full size (`--long`) is half an hour of a busy bucket in two minutes; the short one is the
same with less of it.
"""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.soak.rage import Soak, UnfencedServer

SHORT_S = 12.0
LONG_S = 120.0
CONTROL_S = 8.0


@pytest.fixture
def for_s(request: pytest.FixtureRequest) -> float:
    return LONG_S if request.config.getoption("--long", default=False) else SHORT_S


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_recorded_twice(
    harbour: Harbour, database_url: str, for_s: float
) -> None:
    found = Soak(harbour, harbour.server(database=database_url), seed=20_263).run(for_s)
    print(found)
    assert (found.lost, found.forgotten, found.doubles, found.twins) == ([], [], [], []), found
    # It was put to the test: there was much to lose, and late reports came.
    assert len(found.acknowledged) > 10 * for_s, found
    assert found.held > 0, found
    assert found.refused > 0, found
    assert set(found.kills) == {"worker", "depositor", "server"}, found
    assert found.states["success"] > len(found.acknowledged) * 0.95, found


@pytest.mark.timeout(200)
def test_without_the_fence_works_are_recorded_twice(harbour: Harbour) -> None:
    server = UnfencedServer(harbour.directory / "data", harbour.mark)
    harbour.commands.append(server)
    # More works held too long, so that a short run is sure to see some of them done twice.
    found = Soak(harbour, server, seed=20_263, held_share=0.1).run(CONTROL_S)
    print(found)
    assert found.doubles, f"the soak does not see what the fence prevents: {found}"
    assert found.lost == [], found
