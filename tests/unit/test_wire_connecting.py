from __future__ import annotations

import pytest

from longshore.wire.connecting import connection_options, is_loopback


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("http://localhost:8400/iiif/1", True),
        ("http://127.0.0.1:8400", True),
        ("http://127.8.9.10", True),
        ("https://[::1]/iiif/1", True),
        ("https://images.test/iiif/1", False),
        ("http://127.0.0.1.images.test/", False),
        ("http://localhost.images.test/", False),
        ("http://192.168.0.1:8400", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_address(url: str, is_ours: bool) -> None:
    assert is_loopback(url) is is_ours


@pytest.mark.parametrize(
    ("url", "trust_env", "verify"),
    [
        ("http://127.0.0.1:8400", False, False),
        ("https://127.0.0.1:8400", False, True),
        # A proxy of the environment may be reached by https.
        ("http://longshore.test", True, True),
        ("https://longshore.test", True, True),
    ],
)
def test_certificates_are_left_out_only_where_nothing_can_be_encrypted(
    url: str, trust_env: bool, verify: bool
) -> None:
    assert connection_options(url) == {"trust_env": trust_env, "verify": verify}
