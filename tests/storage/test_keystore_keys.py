"""X14: values at rest, and changing each of the keys while they are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, func, insert, select, update

from longshore.access import keystore, keystore_rotation, organisations
from longshore.access.keystore import Reader
from longshore.access.keystore_master import Keyring, install
from longshore.access.keystore_tables import keystore_entries, keystore_keys, keystore_versions
from longshore.errors import ConfigurationError, Conflict, CorruptData, NotFound
from longshore.settings import Settings
from longshore.storage import Database, metadata, open_database

VALUES = {"db_password": "correct horse battery", "token": "staple-of-the-other-kind"}


@pytest.fixture
def keyring(database: Database, tmp_path: Path) -> Keyring:
    return install(database, Settings(data=tmp_path))


@pytest.fixture
def organisation_id(database: Database, keyring: Keyring) -> str:
    return database.write_blocking(organisations.ensure, "one").id


def fill(database: Database, organisation_id: str, **values: str) -> None:
    for name, value in (values or VALUES).items():
        database.write_blocking(keystore.put, organisation_id, name, value, actor="test")


def read(database: Database, organisation_id: str, *names: str) -> dict[str, str]:
    reader = Reader(organisation_id, "test", "test")
    return database.write_blocking(
        keystore.read, reader, names or list(VALUES), scopes=[keystore.ORGANISATION]
    )


def every_value(database: Database) -> bytes:
    """Return every column of every row, as bytes."""

    def look(connection: Connection) -> bytes:
        return b"\n".join(
            bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            for table in metadata.sorted_tables
            for row in connection.execute(table.select())
            for value in row
        )

    return database.read_blocking(look)


def test_a_copy_of_the_database_has_no_value_and_no_key(
    database: Database, organisation_id: str, tmp_path: Path
) -> None:
    fill(database, organisation_id)
    master = (tmp_path / "secret.key").read_bytes()
    copies = [every_value(database)]
    copies += [path.read_bytes() for path in tmp_path.glob("longshore.db*")]
    assert database.dialect == "postgresql" or len(copies) > 1
    for copy in copies:
        assert master not in copy
        assert master.hex().encode() not in copy
        for value in VALUES.values():
            assert value.encode() not in copy
    assert read(database, organisation_id) == VALUES


def test_a_copy_opens_with_no_other_key(
    database: Database, organisation_id: str, tmp_path: Path
) -> None:
    fill(database, organisation_id)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    install(database, Settings(data=elsewhere))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        read(database, organisation_id)
    with pytest.raises(ConfigurationError):
        fill(database, organisation_id)
    assert list(elsewhere.iterdir()) == []
    (elsewhere / "secret.key").write_bytes(b"k" * 32)
    (elsewhere / "secret.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match="another key"):
        read(database, organisation_id)


def _exchange(connection: Connection, one: Any, other: Any) -> None:
    """Put what is sealed in one row into the other, and the other way round."""
    for row, sealed in ((one, other.sealed), (other, one.sealed)):
        connection.execute(
            update(keystore_versions)
            .where(
                keystore_versions.c.entry_id == row.entry_id,
                keystore_versions.c.version == row.version,
            )
            .values(sealed=sealed)
        )


def test_two_values_that_were_exchanged_do_not_open(
    database: Database, organisation_id: str
) -> None:
    fill(database, organisation_id)

    def exchange(connection: Connection) -> None:
        _exchange(connection, *connection.execute(select(keystore_versions)).all())

    database.write_blocking(exchange)
    for name in VALUES:
        with pytest.raises(CorruptData):
            read(database, organisation_id, name)
    database.write_blocking(exchange)
    assert read(database, organisation_id) == VALUES


def test_two_versions_of_a_value_that_were_exchanged_do_not_open(
    database: Database, organisation_id: str
) -> None:
    fill(database, organisation_id, token="the old one")
    fill(database, organisation_id, token="the new one")

    def exchange(connection: Connection) -> None:
        _exchange(connection, *connection.execute(select(keystore_versions)).all())

    database.write_blocking(exchange)
    with pytest.raises(CorruptData):
        read(database, organisation_id, "token")


@pytest.mark.parametrize("column", ["name", "scope"])
def test_an_entry_that_was_renamed_or_given_to_others_does_not_open(
    database: Database, organisation_id: str, column: str
) -> None:
    fill(database, organisation_id, token="a value")
    fill(database, organisation_id, other="another")
    changed = {"name": "moved", "scope": keystore.of_workflow("x")}[column]

    def move(connection: Connection) -> None:
        connection.execute(
            update(keystore_entries)
            .where(keystore_entries.c.name == "token")
            .values({column: changed})
        )

    database.write_blocking(move)
    reader = Reader(organisation_id, "test", "test")
    with pytest.raises(CorruptData):
        database.write_blocking(
            keystore.read,
            reader,
            ["token", "moved"],
            scopes=[keystore.ORGANISATION, keystore.of_workflow("x")],
        )


def test_a_data_key_of_another_organisation_does_not_open(
    database: Database, organisation_id: str
) -> None:
    other = database.write_blocking(organisations.ensure, "other").id
    fill(database, organisation_id)
    fill(database, other)

    def exchange(connection: Connection) -> None:
        rows = connection.execute(select(keystore_keys)).all()
        for row, wrapped in zip(rows, reversed([row.wrapped for row in rows]), strict=True):
            connection.execute(
                update(keystore_keys)
                .where(keystore_keys.c.organisation_id == row.organisation_id)
                .values(wrapped=wrapped)
            )

    database.write_blocking(exchange)
    for each in (organisation_id, other):
        with pytest.raises(CorruptData):
            read(database, each)


def test_a_nonce_is_never_used_twice(database: Database, organisation_id: str) -> None:
    for _ in range(3):
        fill(database, organisation_id, token="the same value")

    def sealed(connection: Connection) -> list[bytes]:
        return [bytes(row) for row in connection.scalars(select(keystore_versions.c.sealed))]

    found = database.read_blocking(sealed)
    assert len({each[9:21] for each in found}) == 3
    assert len({each[21:] for each in found}) == 3


@contextmanager
def readers(database: Database, look: Callable[[], None], count: int = 3) -> Iterator[list[int]]:
    """Read again and again in threads while the block runs; any failure fails the test."""
    done = threading.Event()
    faults: list[BaseException] = []
    reads: list[int] = []

    def run() -> None:
        while not done.is_set():
            try:
                look()
            except BaseException as fault:  # noqa: BLE001 - told to the test below
                faults.append(fault)
                return
            reads.append(1)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield reads
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert faults == []
    assert reads


def sealed_with(database: Database) -> set[int]:
    def look(connection: Connection) -> set[int]:
        return set(connection.scalars(select(keystore_versions.c.data_key)))

    return database.read_blocking(look)


def test_the_data_key_changes_step_by_step_while_values_are_read_and_set(
    database: Database, organisation_id: str
) -> None:
    fill(database, organisation_id)
    for number in range(30):
        fill(database, organisation_id, **{f"name{number}": f"value {number}"})

    def look() -> None:
        assert read(database, organisation_id) == VALUES

    with readers(database, look):
        number = database.write_blocking(keystore_rotation.begin, organisation_id)
        fill(database, organisation_id, late="set meanwhile")
        steps = 0
        while database.write_blocking(keystore_rotation.reseal, organisation_id, limit=7):
            steps += 1
            fill(database, organisation_id, later=f"set in step {steps}")
    assert number == 2
    assert steps == 5
    assert sealed_with(database) == {2}
    [key] = database.read_blocking(keystore_rotation.data_keys, organisation_id)
    assert (key.number, key.retired_us) == (2, None)
    assert read(database, organisation_id, "name7", "late") == {
        "name7": "value 7",
        "late": "set meanwhile",
    }


def test_a_change_of_the_data_key_that_stopped_goes_on_where_it_was(
    database: Database, organisation_id: str
) -> None:
    for number in range(10):
        fill(database, organisation_id, **{f"name{number}": f"value {number}"})
    database.write_blocking(keystore_rotation.begin, organisation_id)
    assert database.write_blocking(keystore_rotation.reseal, organisation_id, limit=4) == 4

    def dies(connection: Connection) -> None:
        keystore_rotation.reseal(connection, organisation_id, limit=4)
        raise ConfigurationError("killed before its commit")

    with pytest.raises(ConfigurationError, match="killed"):
        database.write_blocking(dies)
    assert sealed_with(database) == {1, 2}
    for number in range(10):
        assert read(database, organisation_id, f"name{number}")
    # Another one begins before the first has ended.
    assert database.write_blocking(keystore_rotation.begin, organisation_id) == 3
    while database.write_blocking(keystore_rotation.reseal, organisation_id, limit=4):
        pass
    assert sealed_with(database) == {3}
    assert len(database.read_blocking(keystore_rotation.data_keys, organisation_id)) == 1


def test_there_is_no_data_key_to_change_without_secrets(
    database: Database, organisation_id: str
) -> None:
    with pytest.raises(NotFound):
        database.write_blocking(keystore_rotation.begin, organisation_id)


def test_the_master_key_changes_while_values_are_read(
    database: Database, organisation_id: str, keyring: Keyring, tmp_path: Path
) -> None:
    others = [database.write_blocking(organisations.ensure, f"other {n}").id for n in range(5)]
    for each in (organisation_id, *others):
        fill(database, each)
    old = keyring.masters().current.mark

    def look() -> None:
        assert read(database, organisation_id) == VALUES

    with readers(database, look):
        new = keyring.renew().current.mark
        assert database.read_blocking(keystore_rotation.behind, keyring.masters()) == 6
        fill(database, others[0], between="set meanwhile")
        steps = 0
        while database.write_blocking(keystore_rotation.rewrap, limit=2):
            steps += 1
    assert steps == 3
    assert [vault.mark for vault in keyring.masters().vaults] == [new, old]
    # Without the old one everything opens, and with it alone nothing does.
    lines = (tmp_path / "secret.key").read_text("ascii").split()
    (tmp_path / "secret.key").write_text(lines[0], "ascii")
    assert read(database, others[0], "between") == {"between": "set meanwhile"}
    (tmp_path / "secret.key").write_text(lines[1], "ascii")
    with pytest.raises(ConfigurationError, match="another key"):
        read(database, organisation_id)


def test_a_second_server_follows_when_the_file_changes(
    database: Database, database_url: str, organisation_id: str, keyring: Keyring, tmp_path: Path
) -> None:
    fill(database, organisation_id)
    second = open_database(database_url, migrate=False)
    install(second, Settings(data=tmp_path))
    try:
        assert read(second, organisation_id) == VALUES
        keyring.renew()
        database.write_blocking(keystore_rotation.rewrap)
        assert read(second, organisation_id) == VALUES
    finally:
        second.close()


def test_keys_of_the_environment_are_changed_by_putting_a_new_one_in_front(
    database: Database, organisation_id: str, tmp_path: Path
) -> None:
    old, new = "11" * 32, "22" * 32
    install(database, Settings(data=tmp_path, secret_key=SecretStr(old)))
    fill(database, organisation_id)
    keyring = install(database, Settings(data=tmp_path, secret_key=SecretStr(f"{new} {old}")))
    with pytest.raises(Conflict, match="Put a new key before the old one"):
        keyring.renew()
    assert read(database, organisation_id) == VALUES
    assert database.write_blocking(keystore_rotation.rewrap) == 1
    install(database, Settings(data=tmp_path, secret_key=SecretStr(new)))
    assert read(database, organisation_id) == VALUES
    assert not (tmp_path / "secret.key").exists()


def test_a_data_key_in_use_cannot_go(database: Database, organisation_id: str) -> None:
    fill(database, organisation_id)

    def count(connection: Connection) -> int:
        return connection.scalar(select(func.count()).select_from(keystore_keys)) or 0

    assert database.write_blocking(keystore_rotation.reseal, organisation_id) == 0
    assert database.read_blocking(count) == 1
    for name in VALUES:
        database.write_blocking(keystore.remove, organisation_id, name)
    assert database.read_blocking(count) == 0


def test_many_set_the_same_new_name_at_once_and_each_becomes_a_version(
    database: Database, organisation_id: str
) -> None:
    threads = [
        threading.Thread(target=fill, args=(database, organisation_id), kwargs={"token": f"v{n}"})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    entry = database.read_blocking(keystore.get, organisation_id, "token")
    assert entry.version == 8
    versions = database.read_blocking(keystore.history, entry)
    assert [version.version for version in versions] == list(range(8, 0, -1))


def test_a_row_that_somebody_wrote_by_hand_is_no_value(
    database: Database, organisation_id: str
) -> None:
    fill(database, organisation_id)

    def forge(connection: Connection) -> None:
        entry = connection.execute(select(keystore_entries)).first()
        assert entry is not None
        connection.execute(
            insert(keystore_versions).values(
                entry_id=entry.id,
                version=2,
                organisation_id=organisation_id,
                data_key=1,
                sealed=b"\x01" + b"x" * 60,
                created_us=0,
                created_by="nobody",
            )
        )
        connection.execute(
            update(keystore_entries).where(keystore_entries.c.id == entry.id).values(version=2)
        )

    database.write_blocking(forge)
    with pytest.raises((CorruptData, ConfigurationError)):
        read(database, organisation_id)
