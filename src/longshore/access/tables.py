"""Tables of organisations, keys, the audit log, kept answers and secrets of webhooks."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from longshore.access.roles import Role
from longshore.storage.schema import Identity64, metadata

_ROLES = ", ".join(f"'{role}'" for role in Role)

organisations = Table(
    "organisations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # Names are compared without regard to case; SQL's lower() knows only ASCII on SQLite.
    Column("folded", Text, nullable=False, unique=True),
    Column("created_us", BigInteger, nullable=False),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "folded"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("workspace_id", Text, ForeignKey("workspaces.id")),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # SHA-256 of the secret, in hexadecimal: the secret has 256 random bits, so that a slow
    # password hash would add nothing but time to each request.
    Column("digest", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    Column("last_used_us", BigInteger),
    CheckConstraint(f"role IN ({_ROLES})", name="role"),
    Index(None, "organisation_id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("organisation_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    # Name and id are copied, so that an entry can be read after its key is gone.
    Column("key_id", Text, nullable=False),
    Column("key_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text),
    Column("request_id", Text),
    Index(None, "organisation_id", "id"),
)

answers = Table(
    "idempotency_answers",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    # SHA-256 over method, path, query and body of the request that was answered.
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index(None, "created_us"),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisations.id"), primary_key=True),
    # JSON list, newest first; see longshore.edge.secrets.
    Column("secrets", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
)

# Tokens of attempts of works: what a program that the worker starts may call the server with.
work_tokens = Table(
    "work_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("work_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    # The surface whose routes it opens; no others.
    Column("surface", Text, nullable=False, server_default="corpus"),
    Column("digest", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Index("ix_work_tokens_work_id", "work_id"),
)
