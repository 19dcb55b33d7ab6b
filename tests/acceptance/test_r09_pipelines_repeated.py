"""R9: every POST of pipelines comes three times; nothing is counted more than once."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Harbour
from tests.acceptance.pipelines import SERVICES, SQUARE, Shipper, chunk, chunks_of
from tests.acceptance.repeating import RepeatingProxy

RECORDS = 400
CHUNK = 20


@pytest.mark.parametrize("once", [("/claim",), ()], ids=["claims once", "claims as well"])
def test_requests_sent_three_times_have_the_effect_of_one(
    harbour: Harbour, once: tuple[str, ...]
) -> None:
    server = harbour.server(settings={"LONGSHORE_LEASE_S": "1"})
    server.start()
    with RepeatingProxy(server.port, once=once) as proxy:
        user = Shipper(server, url=proxy.url)
        harbour.clients.append(user)
        options = ("--server", proxy.url)
        harbour.worker(server, slots=2, apps=SERVICES, options=options).start()
        user.wait_for(SQUARE)
        pipeline = user.pipeline(SQUARE)
        described = user.ask("GET", f"{user.root}/status").json()
        assert [each["id"] for each in described["in_progress_batches"]] == [pipeline.id]

        records = RECORDS if once else RECORDS // 10
        for each in chunks_of(records, CHUNK):
            answer = pipeline.push(each).json()
            assert answer["record_submitted"] == (int(each["id"][-5:]) + 1) * CHUNK
        unnamed = {**chunk(0, range(records, records + CHUNK)), "id": ""}
        assert pipeline.push(unnamed).json()["record_submitted"] == records + CHUNK
        pipeline.drain(records // CHUNK + 1)
        pipeline.check_squares(records + CHUNK)
        assert proxy.repeated["batch"] == 1
        assert proxy.repeated["chunks"] == records // CHUNK + 1
        assert proxy.repeated["report"] >= 1
        summary = pipeline.info()["summary"]
        assert summary["records_submitted"] == summary["records_completed"] == records + CHUNK
        assert summary["chunks_failed"] == summary["records_failed"] == 0
        if once:
            assert summary["chunks_retried"] == 0
        harbour.close()
