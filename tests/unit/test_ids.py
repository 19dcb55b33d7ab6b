from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest
import uuid_utils
from hypothesis import given
from hypothesis import strategies as st

from longshore import ids


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_the_extended_hex_base32_of_its_uuid(bits: bytes) -> None:
    made = uuid_utils.UUID(bytes=bits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "uuid_utils", SimpleNamespace(uuid7=lambda: made))
        text = ids.new(ids.WORK)
    assert text == f"wk_{base64.b32hexencode(bits).decode().rstrip('=').lower()}"


def test_ids_made_later_sort_later() -> None:
    made = [ids.new(ids.WORK) for _ in range(2_000)]
    assert made == sorted(set(made))
