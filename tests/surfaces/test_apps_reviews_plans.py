"""Reviews are found without looking through those that others wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, text

from longshore.access import Principal, Role
from longshore.surfaces.apps import reviews
from longshore.surfaces.apps.review_finding import Filter
from longshore.surfaces.apps.review_tables import reviews as table
from tests.storage.test_plans import caught, explain
from tests.surfaces.apps_rig import Platform

MANY = 4_000


def principal(apps: Platform, workspace: str | None = None) -> Principal:
    organisation = apps.served.organisation
    return Principal(
        "ky_1", "me", organisation.id, organisation.name, workspace, workspace, Role.ADMIN
    )


def fill(connection: Connection, organisation_id: str) -> None:
    """Store open reviews of one app in one workspace, and one that somebody looks at."""
    one = {
        "organisation_id": organisation_id, "document": 0, "workspace": "big", "app_name": "a",
        "file_name": "a.jpg", "state": "open", "reasons": "[]", "version": 1, "created_us": 1,
        "updated_us": 1, "lease_us": None,
    }  # fmt: skip
    rows: list[dict[str, Any]] = [
        {**one, "run_id": f"rn_{number // 10}", "position": number} for number in range(MANY)
    ]
    rows[MANY // 2]["lease_us"] = 4_000_000_000_000_000
    connection.execute(insert(table), rows)


def analyse(connection: Connection) -> None:
    connection.execute(text("ANALYZE"))


def listing(wanted: Filter) -> Callable[[Connection, Principal], Any]:
    return lambda connection, who: reviews.listing(connection, who, wanted, limit=50)


IN_REVIEW = Filter(state="in_review")
ASKED: dict[str, tuple[Callable[[Connection, Principal], Any], str | None, str]] = {
    "in review": (listing(IN_REVIEW), None, "ix_reviews_leased"),
    "in review, of a workspace": (listing(IN_REVIEW), "big", "ix_reviews_leased"),
    "of an app": (listing(Filter(app_name="b")), None, "_id_app_name_state_id"),
    "of a workspace": (listing(Filter()), "small", "_id_workspace_state_id"),
    "of an app in a workspace": (
        listing(Filter(app_name="a")), "small", "_id_workspace_app_name_state_id",
    ),
    "of a run": (listing(Filter(run_id="rn_1")), "big", "run_id"),
    "of a run and its app": (listing(Filter(run_id="rn_1", app_name="a")), "big", "run_id"),
    "counted": (lambda one, who: reviews.waiting(one, who, most=1_000), "small", "_id_workspace_"),
    "next": (reviews.next_waiting, "small", "_id_workspace_"),
    "next of a run": (
        lambda one, who: reviews.next_waiting(one, who, run_id="rn_1"), "big", "run_id",
    ),
}  # fmt: skip


async def test_every_look_at_reviews_uses_the_index_of_what_it_asks_for(
    apps: Platform,
) -> None:
    apps.database.write_blocking(fill, apps.organisation_id)
    # PostgreSQL makes statistics by itself; of SQLite's, nobody asks for any.
    if apps.database.read_blocking(lambda one: one.dialect.name) == "postgresql":
        apps.database.write_blocking(analyse)
    for name, (ask, workspace, index) in ASKED.items():
        who = principal(apps, workspace)

        def plans(connection: Connection) -> list[str]:
            with caught(connection, "reviews") as statements:
                ask(connection, who)  # noqa: B023
            return [explain(connection, *statement) for statement in statements]

        found = apps.database.read_blocking(plans)
        assert found, name
        for plan in found:
            assert index in plan, (name, plan)


async def test_what_somebody_looks_at_is_listed_for_whom_it_concerns(apps: Platform) -> None:
    apps.database.write_blocking(fill, apps.organisation_id)
    wanted = Filter(state="in_review", run_id=f"rn_{MANY // 20}")
    for workspace, filtered, count in (
        (None, wanted, 1),
        ("big", wanted, 1),
        ("small", wanted, 0),
        ("big", replace(wanted, app_name="b"), 0),
        ("big", replace(wanted, run_id="rn_1"), 0),
        ("big", Filter(run_id="rn_1"), 10),
        ("small", Filter(run_id="rn_1"), 0),
    ):
        who = principal(apps, workspace)
        found = apps.database.read_blocking(reviews.listing, who, filtered, limit=50)
        assert len(found.reviews) == count, (workspace, filtered)
