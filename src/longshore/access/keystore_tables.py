"""Tables of the keystore: data keys, wrapped by the master key, and what is sealed with them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.storage.schema import metadata

keystore_keys = Table(
    "keystore_keys",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisations.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    # Mark of the master key that wrapped it, to find those that are wrapped by an old one.
    Column("master", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    # When it was followed by another; it goes once nothing is sealed with it any more.
    Column("retired_us", BigInteger),
    Index("ix_keystore_keys_master", "master"),
)

keystore_entries = Table(
    "keystore_entries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    # Who it is for: see longshore.access.keystore.
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    # Whether programs outside, with a key of the role ingress, may read it.
    Column("ingress", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    # JSON object of what else a surface keeps of it.
    Column("details", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
    UniqueConstraint("organisation_id", "scope", "name"),
)

keystore_versions = Table(
    "keystore_versions",
    metadata,
    Column("entry_id", Text, ForeignKey("keystore_entries.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("organisation_id", Text, nullable=False),
    # Number of the data key that sealed it.
    Column("data_key", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    ForeignKeyConstraint(
        ["organisation_id", "data_key"],
        ["keystore_keys.organisation_id", "keystore_keys.number"],
        name="fk_keystore_versions_data_key",
    ),
    Index("ix_keystore_versions_data_key", "organisation_id", "data_key"),
)
