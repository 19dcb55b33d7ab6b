"""The client finds server and key by itself, and says what to do when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longshore.errors import ConfigurationError
from longshore.sdk import Client, find_connection


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LONGSHORE_URL", "LONGSHORE_KEY", "LONGSHORE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def _credentials(directory: Path, **changes: str | None) -> Path:
    stored = {
        "url": "http://127.0.0.1:8400",
        "key": "ls_a_admin",
        "worker_key": "ls_w_worker",
        "organisation": "local",
        "organisation_id": "og_1",
        **changes,
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "credentials.json"
    path.write_text(json.dumps({name: value for name, value in stored.items() if value}))
    return path


def test_arguments_win_over_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _credentials(tmp_path / ".longshore")
    monkeypatch.setenv("LONGSHORE_URL", "http://elsewhere:1")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_e_env")
    found = find_connection("http://given:2/", "ls_g_given")
    assert (found.url, found.key) == ("http://given:2", "ls_g_given")


def test_the_environment_wins_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _credentials(tmp_path / ".longshore")
    monkeypatch.setenv("LONGSHORE_URL", "http://elsewhere:1")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_e_env")
    found = find_connection()
    assert (found.url, found.key) == ("http://elsewhere:1", "ls_e_env")


def test_the_data_directory_of_the_environment_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _credentials(tmp_path / "data", key="ls_d_data")
    _credentials(tmp_path / ".longshore", key="ls_h_here")
    monkeypatch.setenv("LONGSHORE_DATA", str(tmp_path / "data"))
    assert find_connection().key == "ls_d_data"


def test_a_directory_above_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _credentials(tmp_path / ".longshore")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    found = find_connection()
    assert (found.url, found.key, found.origin) == (
        "http://127.0.0.1:8400",
        "ls_a_admin",
        str(path),
    )


def test_a_worker_gets_the_key_for_workers(tmp_path: Path) -> None:
    _credentials(tmp_path / "data")
    assert find_connection(data=tmp_path / "data", role="worker_key").key == "ls_w_worker"


def test_a_given_data_directory_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _credentials(tmp_path / "data")
    monkeypatch.setenv("LONGSHORE_URL", "http://elsewhere:1")
    monkeypatch.setenv("LONGSHORE_KEY", "ls_e_env")
    assert find_connection(data=tmp_path / "data").url == "http://127.0.0.1:8400"


def test_without_a_server_the_message_names_the_next_step() -> None:
    with pytest.raises(ConfigurationError, match="longshore up"):
        Client()


def test_a_stored_key_is_not_sent_to_another_server(tmp_path: Path) -> None:
    _credentials(tmp_path / ".longshore")
    with pytest.raises(ConfigurationError, match="There is no key for http://stranger"):
        find_connection("http://stranger:8400")


def test_a_stored_key_is_used_for_its_own_address(tmp_path: Path) -> None:
    _credentials(tmp_path / ".longshore")
    assert find_connection("http://127.0.0.1:8400/api/").key == "ls_a_admin"


def test_a_given_key_uses_the_stored_address(tmp_path: Path) -> None:
    _credentials(tmp_path / ".longshore")
    found = find_connection(key="ls_v_viewer")
    assert (found.url, found.key) == ("http://127.0.0.1:8400", "ls_v_viewer")


def test_a_server_that_never_started_is_said_to_be_so(tmp_path: Path) -> None:
    _credentials(tmp_path / ".longshore", url=None)
    with pytest.raises(ConfigurationError, match="never started"):
        find_connection()


@pytest.mark.parametrize("content", ["{", "[]", '{"url": "http://127.0.0.1:8400"}'])
def test_an_unusable_credentials_file_is_named(tmp_path: Path, content: str) -> None:
    path = _credentials(tmp_path / ".longshore")
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"credentials\.json"):
        find_connection()


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8400", "ftp://host", "http://", "http://host:port", "http://[::1"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address of a server"):
        find_connection(url, "ls_k_key")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:1/api", "http://host:1"),
        ("https://host/", "https://host"),
        (" http://host/longshore-behind-a-proxy/ ", "http://host/longshore-behind-a-proxy"),
    ],
)
def test_addresses_are_brought_to_one_form(url: str, expected: str) -> None:
    assert find_connection(url, "ls_k_key").url == expected


def test_a_key_with_a_line_break_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="copy it again"):
        find_connection("http://host", "ls_k_key\n")


def test_the_key_is_not_printed() -> None:
    found = find_connection("http://host", "ls_k_secret")
    with Client("http://host", "ls_k_secret") as client:
        assert "secret" not in f"{found!r} {client!r}"


@pytest.mark.parametrize("options", [{"retries": -1}, {"timeout_s": 0}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="retries is"):
        Client("http://host", "ls_k_key", **options)  # type: ignore[arg-type]
