"""Where the master key comes from: a file, the environment, a command; and what is told of faults."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from longshore import limits
from longshore.access import keystore_master
from longshore.access.keystore_master import Keyring, keys_in
from longshore.access.vault import Vault
from longshore.errors import ConfigurationError, Conflict
from longshore.server.run import serve
from longshore.settings import Settings, child_environment

KEY = bytes(range(32))
OTHER = bytes(range(32, 64))


def keyring(tmp_path: Path, **settings: Any) -> Keyring:
    return Keyring(Settings(data=tmp_path, **settings))


def marks(found: Keyring) -> list[str]:
    return [vault.mark for vault in found.masters().vaults]


@pytest.mark.parametrize(
    "data",
    [
        KEY,
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        base64.b64encode(KEY),
        base64.urlsafe_b64encode(KEY) + b"\n",
        base64.b64encode(KEY).rstrip(b"="),
        b"  " + KEY.hex().encode() + b"\r\n",
    ],
)
def test_a_key_is_read_in_each_form(data: bytes) -> None:
    assert keys_in(data, "it") == [KEY]


def test_several_keys_are_read_in_their_order() -> None:
    data = f"{OTHER.hex()}\n{base64.b64encode(KEY).decode()},{KEY.hex()}"
    assert keys_in(data.encode(), "it") == [OTHER, KEY, KEY]


def test_bytes_with_a_line_break_behind_them_are_a_key() -> None:
    data = bytes([0xFF, *range(31)])
    assert keys_in(data + b"\n", "it") == [data]


@pytest.mark.parametrize(
    "data", [b"", b"\n", KEY[:31], KEY + KEY, b"zz" * 32, KEY.hex().encode()[:-1], b"hello world"]
)
def test_what_is_no_key_is_refused_and_not_shown(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes") as refused:
        keys_in(data, "the output of a command")
    assert str(refused.value).startswith("The output of a command")
    assert data.decode("latin-1").strip() == "" or data.decode("latin-1") not in str(refused.value)


def test_the_default_file_is_made_for_the_owner_alone_and_only_when_asked(tmp_path: Path) -> None:
    found = keyring(tmp_path)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        found.masters()
    made = found.masters(make=True)
    path = tmp_path / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert marks(found) == [made.current.mark] == marks(keyring(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]


def write_keys(path: Path, count: int) -> list[str]:
    keys = [number.to_bytes(32, "big") for number in range(count)]
    path.write_text("".join(f"{key.hex()}\n" for key in keys), "ascii")
    path.chmod(0o600)
    return [Vault(key).mark for key in keys]


def test_a_file_of_many_rotations_is_read_whole_before_and_after_the_next(tmp_path: Path) -> None:
    old = write_keys(tmp_path / "secret.key", 200)
    found = keyring(tmp_path)
    assert marks(found) == old
    new = found.renew().current.mark
    assert marks(found) == marks(keyring(tmp_path)) == [new, *old]


def test_a_key_that_has_no_room_in_the_file_is_refused_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.key"
    old = write_keys(path, 3)
    monkeypatch.setattr(keystore_master, "_FILE_BYTES", path.stat().st_size)
    with pytest.raises(Conflict, match="Remove its last lines"):
        keyring(tmp_path).renew()
    assert marks(keyring(tmp_path)) == old
    assert [each.name for each in tmp_path.iterdir()] == ["secret.key"]
    write_keys(path, 4)
    with pytest.raises(ConfigurationError, match="not all of its keys"):
        keyring(tmp_path).masters()


def test_a_file_that_the_settings_name_is_never_made_or_changed(tmp_path: Path) -> None:
    found = keyring(tmp_path, secret_key_file=tmp_path / "shared.key")
    with pytest.raises(ConfigurationError, match=r"shared\.key"):
        found.masters(make=True)
    assert list(tmp_path.iterdir()) == []


def test_a_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGSHORE_SECRET_KEY", f"{OTHER.hex()} {KEY.hex()}")
    settings = Settings(data=tmp_path)
    found = Keyring(settings)
    found.check()
    assert marks(found) == [Vault(OTHER).mark, Vault(KEY).mark]
    assert OTHER.hex() not in repr(settings)
    assert list(tmp_path.iterdir()) == []
    assert not [name for name in child_environment() if "SECRET_KEY" in name]


def command(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def test_a_key_comes_from_a_command_that_runs_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"print('{KEY.hex()}'); open('{count}', 'a').write('x')"
    found = keyring(tmp_path, secret_key_command=command(code))
    found.check()
    assert marks(found) == marks(found) == [Vault(KEY).mark]
    assert count.read_text() == "x"


def test_a_command_prints_bytes_as_well(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write(bytes(range(32)))"
    assert marks(keyring(tmp_path, secret_key_command=command(code))) == [Vault(KEY).mark]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("no-such-program --get", "cannot be run"),
        ("'unfinished", "cannot be run"),
        ("", "cannot be run"),
        (command("import sys; sys.exit('the safe is locked')"), "said: the safe is locked"),
        (command("print('too short')"), "32 bytes"),
        (command("pass"), "32 bytes"),
    ],
)
def test_a_command_that_gives_no_key_is_explained(tmp_path: Path, given: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        keyring(tmp_path, secret_key_command=given).check()
    assert "too short" not in str(refused.value)


def test_a_command_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECRET_KEY_COMMAND_S", 0.2)
    hangs = command("import threading; threading.Event().wait(60)")
    with pytest.raises(ConfigurationError, match=r"not ended after 0\.2 seconds"):
        keyring(tmp_path, secret_key_command=hangs).check()


def test_two_sources_at_once_are_refused(tmp_path: Path) -> None:
    found = keyring(tmp_path, secret_key=KEY.hex(), secret_key_command="true")
    with pytest.raises(ConfigurationError, match="one place only"):
        found.check()


def test_without_a_named_source_a_start_reads_nothing(tmp_path: Path) -> None:
    keyring(tmp_path).check()
    assert list(tmp_path.iterdir()) == []


def test_a_server_does_not_start_without_the_key_that_its_settings_name(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path, port=0, secret_key_command=command("import sys; sys.exit(3)")
    )
    started: list[object] = []
    with pytest.raises(ConfigurationError, match="exit code 3"):
        serve(settings, apps=[], worker=False, on_ready=started.append)
    assert started == []
