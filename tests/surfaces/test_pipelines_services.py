"""Services and versions: what workers offer, and which version a request means."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Connection

from longshore.access import organisations
from longshore.clock import ManualClock
from longshore.engine import queues, workers
from longshore.errors import InvalidRequest, LongshoreError, NotFound
from longshore.storage import Database
from longshore.surfaces.pipelines import naming, services
from longshore.surfaces.pipelines.services import Version
from longshore.wire.pipelines import VersionDetails
from longshore.wire.worker import InputField, ServiceOffer

NAME = "my-folder/my-service"
FIRST_DAY = "2023-11-14"
"""The day on which the clock of the tests starts, in the evening."""
DAY_S = 86_400.0


@dataclass
class Offered:
    """An organisation to whom workers offer services."""

    database: Database
    clock: ManualClock
    organisation_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.organisation_id = self.database.write_blocking(organisations.ensure_first).id

    def offer(self, name: str, *versions: str, active_since: str | None = None) -> list[int]:
        offers = [
            ServiceOffer(name=name, version=version, active_since=active_since)
            for version in versions
        ]
        return self.database.write_blocking(services.offer, self.organisation_id, offers)

    def offer_one(self, made: ServiceOffer) -> Version:
        self.database.write_blocking(services.offer, self.organisation_id, [made])
        return self.resolve(f"{made.name}[{made.version}]")

    def resolve(
        self,
        service: str | None,
        *,
        version_id: str | None = None,
        active_since: str | None = None,
        organisation_id: str | None = None,
    ) -> Version:
        return self.database.read_blocking(
            services.resolve,
            organisation_id or self.organisation_id,
            service=service,
            version_id=version_id,
            active_since=active_since,
        )

    def version(self, service: str | None, active_since: str | None = None) -> str:
        return self.resolve(service, active_since=active_since).version

    def refused(
        self, kind: type[LongshoreError], service: str | None, **how: str
    ) -> LongshoreError:
        with pytest.raises(kind) as caught:
            self.resolve(service, **how)
        return caught.value


@pytest.fixture
def offered(database: Database, clock: ManualClock) -> Offered:
    return Offered(database, clock)


def test_an_offer_can_be_repeated_and_keeps_ids_and_queues(offered: Offered) -> None:
    queue_ids = offered.offer(NAME, "1.0.0", "1.1.0")
    before = offered.resolve(NAME)
    assert offered.offer(NAME.upper(), "1.0.0", "1.1.0") == queue_ids
    assert offered.resolve(NAME) == before
    assert before.uri == "my-folder/my-service[1.1.0]"
    assert before.queue_id == queue_ids[1]
    assert before.id.startswith("sv_")
    assert before.service_id.startswith("sn_")


def test_workers_that_offer_the_same_at_once_get_the_same(offered: Offered) -> None:
    made = [ServiceOffer(name=NAME, version=version) for version in ("1.0.0", "2.0.0")]

    def offer(connection: Connection) -> list[int]:
        return services.offer(connection, offered.organisation_id, made)

    asked = [offered.database.submit_write(offer) for _ in range(8)]
    found = {tuple(each.result(20)) for each in asked}
    assert len(found) == 1
    everything = offered.database.read_blocking(services.versions, offered.organisation_id)
    assert [each.version for each in everything] == ["2.0.0", "1.0.0"]


def test_what_is_said_of_a_version_is_that_of_the_last_offer(offered: Offered) -> None:
    first = offered.offer_one(ServiceOffer(name=NAME, version="1", description="old"))
    inputs = [InputField(name="value", kind="number")]
    second = offered.offer_one(
        ServiceOffer(
            name=NAME, version="1", inputs=inputs, outputs=["total"], timeout_s=2.5, batch=True
        )
    )
    assert (first.id, first.details.description) == (second.id, "old")
    assert second.details == VersionDetails(
        inputs=inputs, outputs=["total"], timeout_s=2.5, batch=True
    )


def test_the_queue_of_a_version_tells_of_failures_only(offered: Offered) -> None:
    version = offered.offer_one(ServiceOffer(name=NAME, version="1", attempts_max=4))
    queue = offered.database.read_blocking(queues.get, version.queue_id)
    assert (queue.surface, queue.attempts_max) == ("pipelines", 4)
    assert (queue.notices, queue.successes_told) == (True, False)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (NAME, "2.0.0"),
        (f"{NAME}[]", "2.0.0"),
        (f"{NAME}[2]", "2.0.0"),
        (f"{NAME}[1]", "1.10.0"),
        (f"{NAME}[1.4]", "1.4.2"),
        (f"{NAME}[1.4.]", "1.4.2"),
        (f"{NAME}[1.4.1]", "1.4.1"),
        (" /folders/my-folder/services/my-service [ 1.4 ] ", "1.4.2"),
        ("folders/My-Folder/services/MY-SERVICE", "2.0.0"),
    ],
)
def test_a_beginning_of_a_version_means_the_highest_that_begins_so(
    offered: Offered, wanted: str, expected: str
) -> None:
    offered.offer(NAME, "1.4.1", "1.10.0", "1.4.2", "2.0.0", "1.9.9", "2.0.0-rc1")
    assert offered.version(wanted) == expected


def test_versions_sort_by_their_numbers_and_not_as_text() -> None:
    ordered = ["0.9", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.2", "1.2.1", "1.10", "10"]
    assert sorted(ordered, key=naming.version_order) == ordered


def test_a_service_and_a_version_are_found_by_their_ids_alone(offered: Offered) -> None:
    offered.offer(NAME, "1.0.0", "1.2.0", "2.0.0")
    old = offered.resolve(f"{NAME}[1.0.0]")
    for text in (old.service_id, f"service/{old.service_id}", f" {old.service_id}"):
        assert offered.version(text) == "2.0.0"
    assert offered.version(f"{old.service_id}[1]") == "1.2.0"
    assert offered.version(f"version/{old.id}") == "1.0.0"
    assert offered.version(old.id) == "1.0.0"
    # The id counts first, whatever else the request names.
    assert offered.resolve("other/thing", version_id=old.id) == old


def test_names_may_have_blanks_and_letters_of_any_language(offered: Offered) -> None:
    offered.offer("f o/Prämie é", "1")
    # The same letters, composed and not, and in either case.
    for text in ("f o/Prämie é", "F O/PRÄMIE E\u0301[1]", "/folders/f o/services/Pra\u0308mie é"):
        assert offered.resolve(text).service == "f o/Prämie é"


def test_a_date_takes_the_highest_version_that_was_active_then(offered: Offered) -> None:
    offered.offer(NAME, "1.0.0", active_since="2021-01-01")
    offered.offer(NAME, "1.5.0", active_since="2022-06-01T12:00:00Z")
    offered.offer(NAME, "2.0.0", active_since="2024-01-01")
    offered.offer(NAME, "1.9.0")
    # 2.0.0 lies in the future of the clock, 1.9.0 counts since it was offered first.
    assert offered.version(NAME) == "1.9.0"
    assert offered.version(NAME, FIRST_DAY) == "1.9.0"
    assert offered.version(NAME, "2023-11-13") == "1.5.0"
    assert offered.version(NAME, "2022-06-01") == "1.5.0"
    assert offered.version(NAME, "2022-06-01T11:59:59Z") == "1.0.0"
    assert offered.version(NAME, "2022-06-01T13:30:00+02:00") == "1.0.0"
    assert offered.version(NAME, "2024-01-01T00:00:00.000Z") == "2.0.0"
    assert offered.version(f"{NAME}[1]", "2030-01-01") == "1.9.0"
    error = offered.refused(NotFound, NAME, active_since="2020-12-31")
    assert "1.0.0 (active since 2021-01-01T00:00:00Z)" in error.message


def test_a_whole_version_is_taken_whatever_the_date(offered: Offered) -> None:
    offered.offer(NAME, "0.4.2", active_since="2030-01-01")
    assert offered.version(f"{NAME}[0.4.2]", "2024-01-01") == "0.4.2"
    assert offered.version(f"{NAME}[0.4.2]") == "0.4.2"
    offered.refused(NotFound, NAME)
    offered.clock.advance(7 * 366 * DAY_S)
    assert offered.version(NAME) == "0.4.2"


def test_a_later_offer_can_change_since_when_a_version_is_active(offered: Offered) -> None:
    offered.offer(NAME, "1")
    offered.clock.advance(30 * DAY_S)
    offered.offer(NAME, "1")
    assert offered.version(NAME, FIRST_DAY) == "1"
    offered.refused(NotFound, NAME, active_since="2020-01-01")
    offered.offer(NAME, "1", active_since="2019-01-01")
    assert offered.version(NAME, "2020-01-01") == "1"


def test_an_unknown_service_is_answered_with_near_names(offered: Offered) -> None:
    assert "No worker has offered" in offered.refused(NotFound, NAME).message
    offered.offer(NAME, "1")
    offered.offer("other/thing", "1")
    error = offered.refused(NotFound, "my-folder/my-servise[1]")
    assert "Did you mean my-folder/my-service?" in error.message
    assert error.details == {"near": [NAME]}
    far = offered.refused(NotFound, "zzz/qqq")
    assert "There are: my-folder/my-service, other/thing." in far.message
    assert offered.refused(NotFound, "sn_unknown").details == {"near": []}


def test_an_unknown_version_is_answered_with_those_there_are(offered: Offered) -> None:
    offered.offer(NAME, "1.0.0", "1.2.0")
    error = offered.refused(NotFound, f"{NAME}[1.4]")
    assert "There are: 1.2.0, 1.0.0." in error.message
    assert error.details == {"versions": ["1.2.0", "1.0.0"]}
    offered.refused(NotFound, None, version_id="sv_unknown")


def test_services_of_another_organisation_are_not_there(offered: Offered) -> None:
    offered.offer(NAME, "1")
    mine = offered.resolve(NAME)
    other = offered.database.write_blocking(organisations.ensure, "other").id
    for text in (NAME, mine.service_id, mine.id):
        with pytest.raises(NotFound):
            offered.resolve(text, organisation_id=other)
    with pytest.raises(NotFound):
        offered.resolve(None, version_id=mine.id, organisation_id=other)


@pytest.mark.parametrize(
    "text", ["", " ", "/", "a/", "/b", "a/b/c", "a/b[1][2]", "a/b[1]c", "proxy/x/y", "a//b", "[1]"]
)
def test_what_has_no_known_form_is_refused(offered: Offered, text: str) -> None:
    assert "names no service" in offered.refused(InvalidRequest, text).message


def test_a_request_without_a_service_or_with_an_odd_date_is_refused(offered: Offered) -> None:
    offered.offer(NAME, "1")
    offered.refused(InvalidRequest, None)
    for text in ("soon", "2024-13-01", "2024-01-01T25:00:00", "99999-01-01", ""):
        assert "no date" in offered.refused(InvalidRequest, NAME, active_since=text).message


@pytest.mark.parametrize(
    "made",
    [
        ServiceOffer(name="no-slash", version="1"),
        ServiceOffer(name="a/b/c", version="1"),
        ServiceOffer(name="a/b[c]", version="1"),
        ServiceOffer(name="/b", version="1"),
        ServiceOffer(name="a/ ", version="1"),
        ServiceOffer(name="a/b\n", version="1\n2"),
        ServiceOffer(name=f"a/{'b' * 256}", version="1"),
        ServiceOffer(name="a/b", version=""),
        ServiceOffer(name="a/b", version="1..2"),
        ServiceOffer(name="a/b", version="1]"),
        ServiceOffer(name="a/b", version="1" * 65),
        ServiceOffer(name="a/b", version="1", active_since="never"),
        ServiceOffer(name="a/b", version="1", attempts_max=0),
        ServiceOffer(name="a/b", version="1", timeout_s=0),
        ServiceOffer(name="a/b", version="1", timeout_s=float("inf")),
    ],
)
def test_an_offer_that_cannot_be_one_changes_nothing(offered: Offered, made: ServiceOffer) -> None:
    good = ServiceOffer(name=NAME, version="1")
    with pytest.raises(InvalidRequest):
        offered.database.write_blocking(services.offer, offered.organisation_id, [good, made])
    offered.refused(NotFound, NAME)


def test_a_workbook_and_a_function_cannot_be_one_version(offered: Offered) -> None:
    book = offered.database.write_blocking(
        services.enter,
        offered.organisation_id,
        service=NAME,
        version="1",
        kind=services.WORKBOOK,
        details=VersionDetails(sha256="0" * 64),
        blob_id="bl_x",
    )
    with pytest.raises(InvalidRequest, match="there as a workbook"):
        offered.offer(NAME, "1")
    offered.offer(NAME, "2")
    queue_ids = offered.database.read_blocking(services.offer_workbooks, offered.organisation_id)
    assert queue_ids == [offered.database.read_blocking(services.serving_queue, book)]
    assert [offered.database.read_blocking(queues.get, book.queue_id).parent_id] == queue_ids


def test_only_live_workers_count(offered: Offered) -> None:
    queue_ids = offered.offer(NAME, "1")
    version = offered.resolve(NAME)

    def live() -> int:
        return offered.database.read_blocking(services.workers_of, version)

    assert live() == 0
    worker_id = offered.database.write_blocking(
        workers.register,
        organisation_id=offered.organisation_id,
        name="worker",
        incarnation=secrets.token_hex(8),
        slots=1,
        queue_ids=queue_ids,
    )
    assert live() == 1
    offered.clock.advance(workers.ONLINE_S + 1)
    assert live() == 0
    offered.database.write_blocking(workers.seen, worker_id)
    assert live() == 1
    offered.database.write_blocking(workers.leave, worker_id)
    assert live() == 0
