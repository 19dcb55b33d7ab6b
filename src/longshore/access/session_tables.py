"""Tables of people who are signed in to the dashboard: sessions, and codes to begin one."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from longshore.storage.schema import metadata

sign_in_codes = Table(
    "sign_in_codes",
    metadata,
    # SHA-256 of the code, in hexadecimal: a copy of the database opens nothing.
    Column("digest", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("key_id", Text, ForeignKey("api_keys.id"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Index("ix_sign_in_codes_expires_us", "expires_us"),
)

sessions = Table(
    "sessions",
    metadata,
    # SHA-256 of the token in the browser's cookie.
    Column("digest", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    # A session may do what its key may, and ends with it.
    Column("key_id", Text, ForeignKey("api_keys.id"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("ix_sessions_expires_us", "expires_us"),
    Index("ix_sessions_key_id", "key_id"),
)
