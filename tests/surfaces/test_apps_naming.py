from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import InvalidRequest, TooLarge
from longshore.surfaces.apps import naming


@pytest.mark.parametrize(
    ("given_name", "made"),
    [
        ("due date", "due_date"),
        ("3rd category", "_3rd_category"),
        ("secret_id", "secret__id"),
        ("Total", "Total"),
        ("Total (€)", "Total____"),
        ("naïve", "naïve"),
        ("", "_"),
        ("²", "_"),
    ],
)
def test_a_field_name_becomes_an_identifier(given_name: str, made: str) -> None:
    assert naming.field_name(given_name) == made


@given(st.text())
def test_every_field_name_becomes_an_identifier(name: str) -> None:
    assert naming.field_name(name).isidentifier()


def test_versions_sort_as_people_read_them() -> None:
    ordered = [
        "0.9",
        "1.0.0-alpha",
        "1.0.0-rc.1",
        "1.0.0-rc.2",
        "1.0.0",
        "1.0.0.post1",
        "1.0.1",
        "1.2",
        "1.10",
        "v2.0",
        "10",
    ]

    mixed = ordered[::2] + ordered[1::2]

    assert sorted(mixed, key=naming.version_order) == ordered
    assert naming.version_order("1.10") == naming.version_order("v1.10.0")


@pytest.mark.parametrize("version", ["1.0.0-rc1", "2.0a3", "1.dev4", "3-SNAPSHOT", "1.0-beta"])
def test_a_pre_release_is_not_for_production(version: str) -> None:
    assert not naming.is_production(version)
    assert naming.is_production("1.0.0+build.5")


@given(st.text(min_size=1, max_size=300))
def test_a_name_that_passes_cannot_leave_its_folder(name: str) -> None:
    try:
        passed = naming.checked_file_name(name)
    except (InvalidRequest, TooLarge):
        return
    assert passed == name
    segments = name.replace("\\", "/").split("/")
    assert ".." not in segments
    assert "." not in segments
    assert all(name.split("/"))
    assert "\0" not in name
    assert len(name) <= 255


def test_a_path_of_the_drive_is_taken_apart() -> None:
    parsed = naming.parse_drive_path("/og_1/My Team/fs/instabase drive/a/b.txt/")

    assert (parsed.organisation, parsed.workspace, parsed.rest) == ("og_1", "My Team", "a/b.txt")
    assert naming.drive_path("og_1", "My Team", "a") == "og_1/My Team/fs/Instabase Drive/a"
